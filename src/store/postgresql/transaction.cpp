#include "store/postgresql/transaction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "store/postgresql/deletion.hpp"
#include "store/postgresql/references.hpp"

namespace calib::postgresql {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Kind = StoreError::Kind;

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
  if (connection_.is_cockroach()) return;
  const auto began = Clock::now();
  while (!tables_are_free()) {
    const auto waited = Clock::now() - began;
    if (waited >= wait) throw still_locked(connection_.path(), waited);
    connection_.pause(between_tries);
  }
}

bool Transaction::require_writable() {
  bool has_waited = false;
  for (const auto began = Clock::now();; has_waited = true) {
    try {
      write_nothing();
      return has_waited;
    } catch (const StoreError& error) {
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
  if (!connection_.is_cockroach() && !try_lock_sessions()) {
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

}  // namespace calib::postgresql
