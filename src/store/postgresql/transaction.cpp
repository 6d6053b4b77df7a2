#include "store/postgresql/transaction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "store/postgresql/deletion.hpp"
#include "store/postgresql/holder.hpp"
#include "store/postgresql/references.hpp"

namespace calib::postgresql {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Kind = PassError::Kind;

// For any lock that a statement needs: what holds it may wait for us in turn.
constexpr milliseconds lock_wait{100};

// While this lock is queued for, nobody else gets at `sessions`.
constexpr milliseconds table_lock_wait{50};
constexpr milliseconds between_tries{50};

std::string lock_statement(const Schema& schema) {
  return fmt::format("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", schema.sessions().locked);
}

/// What a DELETE takes of the tables whose rows go, and of those that it changes or looks at;
/// sessions last, for nobody is to wait there for the others.
std::string lock_statements(const Knowledge& knowledge) {
  std::string statements = knowledge.locks_beside;
  for (const auto table : knowledge.counted_tables) {
    statements +=
        fmt::format("LOCK TABLE {} IN ROW EXCLUSIVE MODE; ", knowledge.schema.tables[table].locked);
  }
  return statements + lock_statement(knowledge.schema);
}

constexpr milliseconds row_poll{10};

}  // namespace

Transaction::Transaction(Connection& connection, Knowledge& knowledge, milliseconds wait)
    : connection_(connection),
      knowledge_(knowledge),
      closure_(connection, knowledge.schema, knowledge.covered, Closure::Lock::rows) {
  begin(wait);
  // Asked here and not before each look, which may come while others wait: an older number means
  // some sessions more.
  begun_at_ = oldest_transaction(connection_);
}

Transaction::~Transaction() {
  if (open_) connection_.roll_back();
}

void Transaction::begin(milliseconds wait) {
  wait_for_tables(wait);
  connection_.begin(Access::read_write, lock_wait, Kind::disturbed);
  open_ = true;
}

bool Transaction::tables_are_free() {
  connection_.begin(Access::read_write, table_lock_wait, Kind::busy);
  try {
    connection_.query(lock_statements(knowledge_));
  } catch (const ServerError& error) {
    connection_.roll_back();
    if (error.kind() != Kind::busy && error.kind() != Kind::disturbed) throw;
    return false;
  }
  connection_.roll_back();
  return true;
}

/// Whoever has written to `sessions` and is in no hurry to commit would stop the pass at its end,
/// and whoever has locked another table, to make an index, say, at its beginning: better to know it
/// before anything is moved. Between the tries nobody waits for the pass.
void Transaction::wait_for_tables(milliseconds wait) {
  const auto began = Clock::now();
  const auto holder = [&] { return holder_of_tables(connection_, knowledge_); };
  ToldWait told(connection_, "waiting for the database", wait, holder);
  while (!tables_are_free()) {
    const auto waited = Clock::now() - began;
    if (waited >= wait) throw still_locked(connection_.path(), waited, holder());
    told.goes_on();
    connection_.pause(between_tries);
  }
}

bool Transaction::require_writable() {
  bool has_waited = false;
  for (const auto began = Clock::now();; has_waited = true) {
    try {
      write_nothing();
      return has_waited;
    } catch (const PassError& error) {
      const auto left = connection_.wait() - (Clock::now() - began);
      if (error.kind() != Kind::disturbed || left.count() <= 0) throw;
      // Nobody waits for what this transaction has while it waits itself.
      connection_.roll_back();
      open_ = false;
      begin(std::chrono::duration_cast<milliseconds>(left));
    }
  }
}

void Transaction::write_nothing() {
  const auto& schema = knowledge_.schema;
  if (!knowledge_.locks_beside.empty()) connection_.query(knowledge_.locks_beside);
  connection_.on_roles_path([&] {
    for (const auto table : knowledge_.counted_tables) {
      connection_.query(fmt::format("DELETE FROM {} WHERE false", schema.tables[table].sql));
    }
    return connection_.query(fmt::format("DELETE FROM {} WHERE false", schema.sessions().sql));
  });
  connection_.query(fmt::format("SELECT 1 FROM {} WHERE false FOR UPDATE", schema.sessions().sql));
}

void Transaction::visit_new_sessions(const SessionVisitor& visit) {
  const auto& schema = knowledge_.schema;
  looks_in_ = tables_of_sessions(connection_, schema);
  std::string where;
  std::vector<std::string> parameters;
  // A row's xmin is whose transaction wrote it as it stands, by INSERT or UPDATE. Numbers are
  // compared by their distance from now, for they start over.
  if (knowledge_.looked_up_to) {
    where =
        " WHERE pg_catalog.age(s.xmin) <= pg_catalog.age($1::xid) OR s.tableoid <> ALL ($2::oid[])";
    parameters = {std::to_string(*knowledge_.looked_up_to), knowledge_.looked_in};
  }
  connection_.stream(
      fmt::format("SELECT {} FROM {} s{}", session_columns(schema), schema.sessions().sql, where),
      parameters, [&](const Rows& rows) { visit(session_row(connection_, schema, rows, 0, 0)); });
  has_looked_ = true;
}

std::int64_t Transaction::delete_chosen(RecordCounts& counts) {
  const auto work = [&] {
    return delete_rows(connection_, knowledge_, closure_, ids_, other_keys_, counts);
  };
  std::int64_t gone = 0;
  if (knowledge_.skips_checks && checks_say_nothing_new(connection_, knowledge_.schema)) {
    connection_.query("SET LOCAL session_replication_role = replica");
    gone = work();
    connection_.query("SET LOCAL session_replication_role = origin");
  } else {
    gone = connection_.on_roles_path([&] { return connection_.setting_off_triggers(work); });
    has_set_off_triggers_ = true;
  }
  // From here on the statement's own locks keep more of them from being made.
  if (read_references(connection_, knowledge_.schema) != knowledge_.references) {
    throw connection_.failure(Kind::unusable,
                              "the database was changed in its structure while the pass ran; run "
                              "again");
  }
  return gone;
}

void Transaction::delete_records(RecordCounts& counts) {
  if (knowledge_.needs_closure) {
    closure_.count(counts, [&](std::size_t table) { return knowledge_.column_of(table); });
  }
  const auto gone = delete_chosen(counts);
  const auto wanted = ids_.size();
  if (static_cast<std::size_t>(gone) < wanted) {
    throw connection_.failure(Kind::refused, trigger_keeps);
  }
  if (static_cast<std::size_t>(gone) != wanted) {
    throw connection_.failure(
        Kind::refused, fmt::format("{} were to go, and {} would have; nothing of them was deleted",
                                   count_text(wanted, "session", "sessions"), gone));
  }
  for (const auto owner : chosen_) {
    (knowledge_.is_session(owner) ? deleted_sessions_ : deleted_leaked_)
        .emplace_back(knowledge_.key_of(owner));
  }
}

bool Transaction::try_lock_sessions() {
  connection_.query(
      fmt::format("SAVEPOINT calib_cleanup; SET LOCAL lock_timeout = {}", table_lock_wait.count()));
  try {
    connection_.query(fmt::format("{}; SET LOCAL lock_timeout = {}",
                                  lock_statement(knowledge_.schema), lock_wait.count()));
    return true;
  } catch (const ServerError& error) {
    if (error.state() != "55P03") throw;
    connection_.query("ROLLBACK TO SAVEPOINT calib_cleanup");
    return false;
  }
}

Sealed Transaction::seal() {
  if (std::exchange(sealed_, true)) return Sealed::before;
  // What was put off to the end of the transaction is to fail here, where smaller slices help.
  connection_.on_roles_path([&] {
    return connection_.setting_off_triggers(
        [&] { return connection_.query("SET CONSTRAINTS ALL IMMEDIATE"); });
  });
  // A trigger AFTER DELETE can put back what has gone, and nobody else can before the commit.
  if (has_set_off_triggers_ &&
      !standing(connection_, knowledge_.schema, deleted_sessions_).empty()) {
    throw connection_.failure(Kind::refused, "a trigger puts back what was to go");
  }
  if (!try_lock_sessions()) {
    throw connection_.failure(
        Kind::busy, "others keep writing sessions; try again, or wait longer with --lock-wait");
  }
  if (!not_leaked(connection_, knowledge_.schema, deleted_leaked_).empty()) {
    throw connection_.failure(Kind::busy,
                              "a session came back while its leaked records went; try again");
  }
  return Sealed::now;
}

CommitOutcome Transaction::commit() {
  const auto error = connection_.commit();
  open_ = false;
  if (!error) {
    // What was visited is known from here on.
    if (has_looked_) {
      knowledge_.looked_up_to = begun_at_;
      knowledge_.looked_in = looks_in_;
    }
    return CommitOutcome::committed;
  }
  commit_error_ = *error;
  // The server says itself that it has rolled back, and that the same again will do.
  const bool again = error->state() == "40001" || error->state() == "40P01";
  return again ? CommitOutcome::busy : CommitOutcome::unknown;
}

std::vector<std::string> Transaction::ids_of(const std::vector<OwnerIndex>& owners) const {
  std::vector<std::string> ids;
  ids.reserve(owners.size());
  for (const auto owner : owners) ids.emplace_back(knowledge_.key_of(owner));
  return ids;
}

/// Locks those rows that nobody else holds, and refuses the ones that changed. Returns whose rows
/// it did not get.
std::set<OwnerIndex> Transaction::lock_rows(const std::vector<OwnerIndex>& owners,
                                            std::vector<Refusal>& refusals) {
  const auto& schema = knowledge_.schema;
  const auto rows = connection_.query(
      fmt::format("SELECT u.n, {} FROM {} s JOIN pg_catalog.unnest($1::{}[]) WITH ORDINALITY AS "
                  "u(k, n) ON s.id = u.k FOR UPDATE OF s SKIP LOCKED",
                  session_columns(schema), schema.sessions().sql, schema.sessions().type_of("id")),
      {array_of(ids_of(owners))});
  std::set<OwnerIndex> missing(owners.begin(), owners.end());
  std::set<OwnerIndex> refused;
  const auto refuse = [&](OwnerIndex owner, Refusal::Reason reason, const char* detail) {
    if (refused.insert(owner).second) refusals.push_back({owner, reason, detail});
  };
  for (int row = 0; row < rows.count(); ++row) {
    const auto owner = owners[static_cast<std::size_t>(rows.number(row, 0) - 1)];
    // A second row of this id may be of any age; deleting by id would take it along.
    if (missing.erase(owner) == 0) refuse(owner, Refusal::Reason::held, "sessions.id");
    const auto found = session_row(connection_, schema, rows, row, 1);
    if (found.fingerprint != knowledge_.doomed[owner].fingerprint) {
      refuse(owner, Refusal::Reason::changed, "");
    }
  }
  for (const auto owner : owners) {
    if (!missing.contains(owner) && !refused.contains(owner)) chosen_.push_back(owner);
  }
  return missing;
}

std::vector<Refusal> Transaction::recheck_sessions(const std::vector<OwnerIndex>& owners) {
  std::vector<Refusal> refusals;
  auto missing = owners;
  while (!missing.empty()) {
    const auto left = lock_rows(missing, refusals);
    const std::vector<OwnerIndex> unlocked(left.begin(), left.end());
    const auto there = standing(connection_, knowledge_.schema, ids_of(unlocked));
    missing.clear();
    for (const auto owner : unlocked) {
      if (there.contains(std::string(knowledge_.key_of(owner)))) {
        missing.push_back(owner);
      } else {
        refusals.push_back({owner, Refusal::Reason::gone, {}});
      }
    }
    if (missing.empty()) break;
    if (patience_.count() <= 0) {
      throw connection_.failure(
          Kind::disturbed, fmt::format("another transaction holds the row of session {}; try again",
                                       knowledge_.key_of(missing.front())));
    }
    patience_ -= row_poll;
    connection_.pause(row_poll);
  }
  return refusals;
}

std::vector<Refusal> Transaction::recheck_leaked(const std::vector<OwnerIndex>& owners) {
  std::vector<Refusal> refusals;
  const auto keys = ids_of(owners);
  const auto back = not_leaked(connection_, knowledge_.schema, keys);
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (back.contains(keys[i])) {
      refusals.push_back({owners[i], Refusal::Reason::changed, {}});
    } else {
      chosen_.push_back(owners[i]);
    }
  }
  return refusals;
}

std::vector<Refusal> Transaction::choose(std::span<const OwnerIndex> owners) {
  chosen_.clear();
  ids_.clear();
  other_keys_.clear();
  std::vector<OwnerIndex> sessions;
  std::vector<OwnerIndex> leaked;
  for (const auto owner : owners) {
    (knowledge_.is_session(owner) ? sessions : leaked).push_back(owner);
  }
  auto refusals = recheck_sessions(sessions);
  auto back = recheck_leaked(leaked);
  refusals.insert(refusals.end(), back.begin(), back.end());
  std::sort(chosen_.begin(), chosen_.end());

  find_stereo_keys();
  for (const auto owner : chosen_) {
    (knowledge_.is_session(owner) ? ids_ : other_keys_).emplace(knowledge_.key_of(owner), owner);
  }
  for (const auto& [owner, key] : stereo_keys_) other_keys_.emplace(key, owner);
  if (!knowledge_.needs_closure) return refusals;
  start_closure();
  auto held = refuse_held();
  refusals.insert(refusals.end(), held.begin(), held.end());
  return refusals;
}

/// Those of the chosen; a session of that very name is one.
void Transaction::find_stereo_keys() {
  stereo_keys_.clear();
  std::vector<std::string> names;
  for (const auto owner : chosen_) {
    const auto [first, last] = knowledge_.stereo_keys.equal_range(owner);
    stereo_keys_.insert(first, last);
    for (auto key = first; key != last; ++key) names.push_back(key->second);
  }
  const auto sessions = standing(connection_, knowledge_.schema, names);
  std::erase_if(stereo_keys_, [&](const auto& key) { return sessions.contains(key.second); });
}

void Transaction::start_closure() {
  std::vector<Closure::Start> starts;
  for (const auto& [id, owner] : ids_) starts.push_back({owner, id, true});
  for (const auto& [owner, key] : stereo_keys_) starts.push_back({owner, key, false});
  for (const auto owner : chosen_) {
    if (knowledge_.is_session(owner)) continue;
    starts.push_back({owner, std::string(knowledge_.key_of(owner)), false});
  }
  closure_.find(starts);
}

std::vector<Refusal> Transaction::refuse_held() {
  auto held = take_held_out(closure_);
  drop_chosen(owners_of(held));
  return held;
}

std::vector<Refusal> Transaction::withdraw(std::span<const OwnerIndex> owners) {
  if (owners.empty()) return {};
  drop_chosen(owners);
  if (!knowledge_.needs_closure) return {};
  closure_.withdraw(owners);
  return refuse_held();
}

void Transaction::drop_chosen(std::span<const OwnerIndex> owners) {
  const std::set<OwnerIndex> out(owners.begin(), owners.end());
  std::erase_if(chosen_, [&](OwnerIndex owner) { return out.contains(owner); });
  std::erase_if(ids_, [&](const auto& id) { return out.contains(id.second); });
  std::erase_if(other_keys_, [&](const auto& key) { return out.contains(key.second); });
  std::erase_if(stereo_keys_, [&](const auto& key) { return out.contains(key.first); });
  // It may name another session of the chosen as well.
  for (const auto& [owner, key] : stereo_keys_) other_keys_.emplace(key, owner);
}

}  // namespace calib::postgresql
