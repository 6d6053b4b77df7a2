#include "store/sqlite/transaction.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "store/sqlite/pieces.hpp"

namespace calib::sqlite {
namespace {

// A commit waits for readers with the pending lock held, which keeps new readers out: not longer
// than this, then it is tried again.
constexpr std::chrono::milliseconds max_commit_wait{1000};

}  // namespace

Transaction::Transaction(Connection& connection, Knowledge& knowledge, Closure& closure,
                         std::chrono::milliseconds wait, std::chrono::milliseconds usual_wait)
    : connection_(connection),
      knowledge_(knowledge),
      closure_(closure),
      usual_wait_(usual_wait),
      added_rows_(connection, knowledge) {
  connection_.translated([&] {
    connection_.wait_at_most(wait);
    connection_.database().exec("BEGIN IMMEDIATE");
    open_ = true;
    connection_.wait_at_most(usual_wait_);
    connection_.require_in_place();
  });
}

Transaction::~Transaction() {
  // SQLite has rolled back by itself after some errors; what is left is an open transaction, and
  // where even this fails, its journal: the next opening of the database rolls it back.
  if (open_ && sqlite3_get_autocommit(connection_.database().getHandle()) == 0) {
    connection_.database().tryExec("ROLLBACK");
  }
}

bool Transaction::require_writable() {
  connection_.translated([&] {
    auto& database = connection_.database();
    const auto version = database.execAndGet("PRAGMA main.user_version").getInt64();
    database.exec(fmt::format("PRAGMA main.user_version = {}", version));
  });
  return false;
}

template <typename Work>
void Transaction::for_every_slice(const Work& work) {
  try {
    connection_.translated(work);
  } catch (const PassError& error) {
    if (error.kind() != PassError::Kind::refused) throw;
    throw PassError(PassError::Kind::unusable, error.path(), error.text());
  }
}

std::optional<Refusal> Transaction::recheck_session(OwnerIndex owner, SQLite::Statement& look) {
  look.reset();
  look.bind(1, std::string(knowledge_.key_of(owner)));
  if (!look.executeStep()) return Refusal{owner, Refusal::Reason::gone, {}};
  const auto row = session_row(look, 0, knowledge_.schema);
  if (row.fingerprint != knowledge_.doomed[owner].fingerprint) {
    return Refusal{owner, Refusal::Reason::changed, {}};
  }
  // A second row of this id may be of any age; deleting by id would take it along.
  if (look.executeStep()) return Refusal{owner, Refusal::Reason::held, "sessions.id"};
  return std::nullopt;
}

std::vector<Refusal> Transaction::recheck(std::span<const OwnerIndex> owners) {
  std::vector<Refusal> refusals;
  SQLite::Statement look(connection_.database(),
                         fmt::format("SELECT {} FROM main.sessions WHERE id = ?1",
                                     session_columns(knowledge_.schema)));
  LeakCheck leaks(connection_);
  for (const auto owner : owners) {
    std::optional<Refusal> refusal;
    if (knowledge_.is_session(owner)) {
      refusal = recheck_session(owner, look);
    } else if (!leaks.is_leaked(knowledge_.key_of(owner))) {
      refusal = Refusal{owner, Refusal::Reason::changed, {}};
    }
    if (refusal) {
      refusals.push_back(std::move(*refusal));
    } else {
      chosen_.push_back(owner);
    }
  }
  std::sort(chosen_.begin(), chosen_.end());
  return refusals;
}

std::vector<Refusal> Transaction::choose(std::span<const OwnerIndex> owners) {
  return connection_.translated([&] {
    require_same_schema(connection_, knowledge_);
    connection_.keep_journal();
    chosen_.clear();
    auto refusals = recheck(owners);
    std::vector<Closure::Owner> starts;
    starts.reserve(chosen_.size());
    for (const auto owner : chosen_) {
      starts.push_back({owner, knowledge_.key_of(owner), knowledge_.is_session(owner)});
    }
    closure_.start(
        starts,
        [this](std::size_t table, const RangeVisitor& visit) {
          added_rows_.for_each_range(table, chosen_, visit);
        },
        Closure::Lookup::by_index);
    for_every_slice([&] { added_rows_.find(); });
    for (std::size_t i = 0; i < knowledge_.direct.size(); ++i) {
      const auto& direct = knowledge_.direct[i];
      if (!knowledge_.schema.tables[direct.table].has_rowid || direct.plain) continue;
      for (std::size_t position = 0; position < direct.keys.size(); ++position) {
        RunStatement seed(connection_, knowledge_, closure_.seed_statement(direct, position));
        added_rows_.for_each_run(i, position, chosen_, [&](const Run& run) { seed.execute(run); });
      }
    }
    closure_.spread();
    auto held = refuse_held();
    refusals.insert(refusals.end(), held.begin(), held.end());
    return refusals;
  });
}

std::vector<Refusal> Transaction::refuse_held() {
  auto held = take_held_out(closure_);
  drop_chosen(owners_of(held));
  return held;
}

std::vector<Refusal> Transaction::withdraw(std::span<const OwnerIndex> owners) {
  if (owners.empty()) return {};
  return connection_.translated([&] {
    closure_.withdraw(owners);
    drop_chosen(owners);
    return refuse_held();
  });
}

void Transaction::drop_chosen(std::span<const OwnerIndex> owners) {
  std::vector<OwnerIndex> out(owners.begin(), owners.end());
  std::sort(out.begin(), out.end());
  std::erase_if(
      chosen_, [&](OwnerIndex owner) { return std::binary_search(out.begin(), out.end(), owner); });
}

bool Transaction::known_sessions_stand() {
  // Once: from here on only this transaction changes anything.
  if (!known_stand_) known_stand_ = knowledge_.sessions.stand(connection_, knowledge_.schema);
  return *known_stand_;
}

bool Transaction::can_look_quickly() {
  if (!knowledge_.has_many_sessions()) return true;
  bool quickly = false;
  for_every_slice([&] {
    if (read_data_version(connection_) == knowledge_.data_version) {
      quickly = true;
      return;
    }
    require_same_schema(connection_, knowledge_);
    quickly = !knowledge_.has_very_many_sessions() && known_sessions_stand();
    if (!quickly) knowledge_.sessions_changed = true;
  });
  return quickly;
}

void Transaction::visit_new_sessions(const SessionVisitor& visit) {
  for_every_slice([&] {
    visited_version_ = read_data_version(connection_);
    if (*visited_version_ == knowledge_.data_version) return;
    const auto& schema = knowledge_.schema;
    if (!known_sessions_stand()) {
      // All of them: an UPDATE shows in no rowid.
      seen_ = SeenSessions();
      visit_sessions(connection_, schema, std::nullopt, *seen_, visit);
    } else if (schema.tables[schema.sessions].has_rowid) {
      seen_ = knowledge_.sessions;
      visit_sessions(connection_, schema, knowledge_.sessions.highest(), *seen_, visit);
    }
  });
}

void Transaction::delete_records(RecordCounts& counts) {
  connection_.translated([&] {
    for (std::size_t i = 0; i < knowledge_.direct.size(); ++i) {
      const auto& direct = knowledge_.direct[i];
      if (!direct.plain) continue;
      const auto& table = knowledge_.schema.tables[direct.table];
      for (std::size_t position = 0; position < direct.keys.size(); ++position) {
        const auto& key = knowledge_.schema.keys[direct.keys[position]];
        // A damaged index would hide rows, and SQLite would say nothing.
        const auto where = [&](const std::string& condition) {
          return fmt::format("DELETE FROM {} AS c NOT INDEXED WHERE c.{} BETWEEN ?1 AND ?2 AND {}",
                             main_table(table), quoted_name(table.identity.front()), condition);
        };
        // Where a condition asks another table, SQLite first collects the rows that meet it; most
        // rows need no such condition.
        RunStatement remove_own(connection_, knowledge_, where(equal_condition(key, "?3")));
        std::optional<RunStatement> remove_all;
        added_rows_.for_each_run(i, position, chosen_, [&](const Run& run) {
          auto& count = counts.at(run.owner, knowledge_.column_of(direct.table));
          const auto own = remove_own.execute(run);
          count += own;
          if (!key.is_session_id || !run.exceeds(own)) return;
          if (!remove_all) {
            remove_all.emplace(connection_, knowledge_, where(owned_condition(key, "?3")));
          }
          count += remove_all->execute(run);
        });
      }
    }
    closure_.count(counts, [&](std::size_t table) { return knowledge_.column_of(table); });
    closure_.execute();
    const auto wanted = std::count_if(chosen_.begin(), chosen_.end(), [&](OwnerIndex owner) {
      return knowledge_.is_session(owner);
    });
    const auto gone = connection_.database().exec(
        fmt::format("DELETE FROM main.sessions WHERE id IN (SELECT key FROM {} WHERE is_session)",
                    owner_table));
    for (const auto owner : chosen_) {
      if (knowledge_.is_session(owner)) deleted_.push_back(knowledge_.doomed[owner].fingerprint);
    }
    if (gone != wanted) {
      throw PassError(
          PassError::Kind::refused, connection_.path(),
          fmt::format("{} were to go, and {} would have; nothing of them was deleted",
                      count_text(static_cast<std::uint64_t>(wanted), "session", "sessions"), gone));
    }
    highest_left_ = highest_session(connection_, knowledge_.schema);
    added_rows_.look_ahead();
  });
}

CommitOutcome Transaction::commit() {
  auto& database = connection_.database();
  connection_.require_in_place();
  connection_.wait_at_most(max_commit_wait);
  const int result = database.tryExec("COMMIT");
  const auto extended = sqlite3_extended_errcode(database.getHandle());
  if (result == SQLITE_OK) {
    connection_.wait_at_most(usual_wait_);
    open_ = false;
    connection_.write_log_back_at_close();
    added_rows_.committed();
    // What was visited is known from here on: others' later commits show in another version.
    if (visited_version_) knowledge_.data_version = *visited_version_;
    if (seen_) {
      knowledge_.sessions = *seen_;
      knowledge_.sessions_changed = false;
    }
    for (const auto fingerprint : deleted_) knowledge_.sessions.remove(fingerprint);
    // All that are left are known where the new ones have been visited.
    if (visited_version_ && !deleted_.empty()) knowledge_.sessions.end_at(highest_left_);
    return CommitOutcome::committed;
  }
  commit_error_ = connection_.store_error(SQLite::Exception(database.getHandle(), result));
  connection_.wait_at_most(usual_wait_);
  if (sqlite3_get_autocommit(database.getHandle()) == 0) {
    database.tryExec("ROLLBACK");
    if (result == SQLITE_BUSY && extended != SQLITE_BUSY_RECOVERY) {
      open_ = false;
      return CommitOutcome::busy;
    }
  }
  open_ = false;
  return CommitOutcome::unknown;
}

}  // namespace calib::sqlite
