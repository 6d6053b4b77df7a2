// The session database on a PostgreSQL server. This folder is the only one that
// sees libpq: not libpqxx, whose calls block in libpq until the server answers, so that neither a
// signal nor a dead network could end them.
//
// What keeps passes and the app apart:
// - One connection does all of a pass, and holds an advisory lock from before anything is settled
//   until the end. Two passes on two machines that share the uploads folder so exclude each other.
//   And where a pass is killed while the server works on its COMMIT, the server's process goes on
//   with it and holds the lock until it is done: only then does the next pass ask which sessions
//   are there. A pooler between would take the lock's connection away, so it is refused.
// - A slice is a transaction as in transaction.hpp.
// - A COMMIT that was not answered is settled in the same way: connect again, wait for the lock,
//   ask.
// A dry run takes no lock, and its transactions are READ ONLY: SELECT is all that its role needs.
// CockroachDB speaks the same protocol, and takes what is no lock there for one: it is refused.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/staged_name.hpp"
#include "base/text.hpp"
#include "store/postgresql/closure.hpp"
#include "store/postgresql/connection.hpp"
#include "store/postgresql/guard.hpp"
#include "store/postgresql/holder.hpp"
#include "store/postgresql/knowledge.hpp"
#include "store/postgresql/references.hpp"
#include "store/postgresql/schema.hpp"
#include "store/postgresql/survey.hpp"
#include "store/postgresql/transaction.hpp"

namespace calib::postgresql {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Kind = PassError::Kind;

// `cali`: with the number of the table it is this tool's own lock on these sessions.
constexpr std::int32_t lock_class = 0x63616c69;
constexpr milliseconds lock_poll{50};

class PostgresqlStore : public SessionStore {
 public:
  PostgresqlStore(const DatabaseLocation& location, Access access, milliseconds wait,
                  const StopFlag& stop, Progress* progress)
      : connection_(location, access, wait, stop, progress) {
    connection_.reading([&] {
      try {
        auto schema = read_schema(connection_);
        refuse_what_misleads(connection_, schema);
        knowledge_.learn(std::move(schema));
      } catch (const ServerError&) {
        throw;
      } catch (const PassError& error) {
        if (!error.path().empty()) throw;
        throw connection_.failure(error.kind(), error.text());
      }
      const auto& schema = knowledge_.schema;
      connection_.expect_to_read(size_of_tables(connection_, schema));
      mark_ = read_mark();
      unindexed_ = read_unindexed(connection_, schema);
      knowledge_.references = read_references(connection_, schema);
      if (access == Access::read_only) return;
      knowledge_.locks_beside = locks_beside(connection_, schema, knowledge_.counted_tables);
      knowledge_.skips_checks = may_skip_checks(connection_, schema);
    });
    if (access == Access::read_only) return;
    take_lock(
        "another pass is at work on this database, or the server is still ending one; try again "
        "when it is done, or wait longer with --lock-wait");
  }

  void visit_sessions(const SessionVisitor& visit) override {
    connection_.reading([&] {
      const auto& schema = knowledge_.schema;
      knowledge_.looked_up_to = oldest_transaction(connection_);
      knowledge_.looked_in = tables_of_sessions(connection_, schema);
      keys_ = {};
      connection_.stream(
          fmt::format("SELECT {} FROM {} s", session_columns(schema), schema.sessions().sql), {},
          [&](const Rows& rows) {
            const auto row = session_row(connection_, schema, rows, 0, 0);
            keys_.add(row.id);
            visit(row);
          });
      keys_.settle();
    });
  }

  std::uint64_t count_sessions() override {
    return connection_.reading([&] {
      const auto rows =
          connection_.query("SELECT pg_catalog.count(*) FROM " + knowledge_.schema.sessions().sql);
      return static_cast<std::uint64_t>(rows.number(0, 0));
    });
  }

  Survey survey(std::span<const DoomedKey> doomed, Leaked leaked) override {
    knowledge_.doomed = doomed;
    keys_.set_doomed(doomed);
    return connection_.reading(
        [&] { return survey_records(connection_, knowledge_, keys_, leaked); });
  }

  [[nodiscard]] bool is_slow() const override {
    return !unindexed_.empty() && !knowledge_.skips_checks;
  }

  std::unique_ptr<StoreTransaction> begin(milliseconds wait) override {
    // Where a standby is away, that is to be found out by a COMMIT which keeps nobody waiting.
    if (!commits_are_answered_ && has_standbys()) make_durable();
    commits_are_answered_ = true;
    return std::make_unique<Transaction>(connection_, knowledge_, wait);
  }

  std::vector<bool> present(std::span<const OwnerIndex> owners) override {
    connection_.reopen();
    take_lock("the server has not ended that transaction yet");
    return connection_.reading([&] {
      std::vector<std::string> ids;
      for (const auto owner : owners) ids.emplace_back(knowledge_.key_of(owner));
      const auto there = standing(connection_, knowledge_.schema, ids);
      std::vector<bool> result;
      result.reserve(ids.size());
      for (const auto& id : ids) result.push_back(there.contains(id));
      return result;
    });
  }

  /// Of the cluster (where the role may see that), the database and the table.
  std::string mark() override { return mark_; }

  /// With synchronous_commit off the app's commits are seen before they are on the disk. The log is
  /// written in order: a commit that waits for the disk takes along all that came before it.
  void make_durable() override {
    const DefersSuspension until_the_end;
    connection_.begin(Access::read_write, connection_.wait(), Kind::busy);
    try {
      connection_.query("SELECT pg_catalog.pg_logical_emit_message(true, 'calib-cleanup', '')");
    } catch (const PassError&) {
      connection_.roll_back();
      throw;
    }
    if (const auto error = connection_.commit()) {
      connection_.check_stop();
      throw ServerError(*error);
    }
    commits_are_answered_ = true;
  }

  std::optional<std::uint64_t> size_bytes() override {
    const auto bytes =
        connection_.query("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())");
    return std::stoull(std::string(bytes.text(0, 0)));
  }

  std::optional<std::uint64_t> free_bytes() override { return std::nullopt; }

  /// VACUUM FULL would give all free pages back, and keep everybody out for as long as it copies
  /// the tables; nobody here can see whether the server has room for the copy. The plain one keeps
  /// nobody waiting: it makes the space usable again, and gives back what is free at the end of
  /// the tables.
  std::uint64_t vacuum() override {
    const auto before = size();
    // No VACUUM can be in a transaction, so it waits as the reading did. SKIP_LOCKED still waits
    // for indexes, and ANALYZE for partitions; and what was passed over is told as a warning.
    connection_.query(
        "SELECT pg_catalog.set_config('lock_timeout', $1, false), "
        "pg_catalog.set_config('client_min_messages', 'warning', false)",
        {std::to_string(connection_.lock_wait().count())});
    std::vector<std::string> left;
    std::vector<std::string> locked;
    for (const auto& table : knowledge_.schema.tables) {
      if (!is_owner(table)) {
        left.push_back(table.name);
        continue;
      }
      // Where somebody has the table locked, it is left for another day.
      connection_.query("VACUUM (ANALYZE, SKIP_LOCKED) " + table.locked);
      if (connection_.has_passed_over()) locked.push_back(table.name);
    }
    std::vector<std::string> why;
    if (!left.empty()) {
      why.push_back(fmt::format(
          "{} is not this role's own; leave that to autovacuum, or connect as the owner",
          fmt::join(left, ", ")));
    }
    if (!locked.empty()) {
      why.push_back(fmt::format("{} is locked; leave that to autovacuum, or run again",
                                fmt::join(locked, ", ")));
    }
    // No more than a warning, as for any vacuum that has to wait for another day.
    if (!why.empty()) throw connection_.failure(Kind::busy, fmt::to_string(fmt::join(why, "; ")));
    const auto after = size();
    return before > after ? before - after : 0;
  }

  [[nodiscard]] std::vector<std::string> remarks() const override {
    std::vector<std::string> result;
    const auto& triggers = knowledge_.schema.triggers;
    if (!triggers.empty()) {
      result.push_back(
          fmt::format("{}: the database has {} on tables of sessions ({}, …); a pass lets them run",
                      connection_.path(), count_text(triggers.size(), "trigger", "triggers"),
                      triggers.front()));
    }
    if (!is_slow()) return result;
    for (const auto& unindexed : unindexed_) {
      result.push_back(fmt::format(
          "{}: the server reads all {} of {} for each session that goes, for want of an index; as "
          "its owner: {}",
          connection_.path(), size_text(unindexed.bytes), unindexed.table, unindexed.create));
    }
    return result;
  }

 private:
  std::string read_mark() {
    const auto database = connection_.query(
        "SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) "
        "pg_catalog.current_database()");
    std::string cluster = "0";
    if (may_see_cluster()) {
      cluster = connection_.query("SELECT system_identifier FROM pg_catalog.pg_control_system()")
                    .text(0, 0);
    }
    return mark_of(fmt::format("postgresql {} {} {}", cluster, database.text(0, 0),
                               knowledge_.schema.sessions().oid));
  }

  bool may_see_cluster() {
    return connection_
               .query(
                   "SELECT pg_catalog.has_function_privilege(pg_catalog.to_regprocedure("
                   "'pg_catalog.pg_control_system()')::pg_catalog.oid, 'EXECUTE')")
               .text(0, 0) == "t";
  }

  /// `held`: what is said where it stays with somebody else.
  void take_lock(const char* held) {
    const auto deadline = Clock::now() + connection_.wait();
    const auto number = std::stoul(knowledge_.schema.sessions().oid);
    const std::vector<std::string> key{
        std::to_string(lock_class),
        std::to_string(static_cast<std::int32_t>(static_cast<std::uint32_t>(number)))};
    const auto holder = [&] { return holder_of_lock(connection_, key); };
    ToldWait told(connection_, "waiting for another pass", connection_.wait(), holder);
    while (
        connection_
            .query(
                "SELECT pg_catalog.pg_try_advisory_lock($1::pg_catalog.int4, $2::pg_catalog.int4)",
                key)
            .text(0, 0) != "t") {
      if (Clock::now() >= deadline) {
        std::string text =
            "a pass's COMMIT waits for a standby (synchronous_standby_names); try again when that "
            "is back";
        if (!commit_waits_for_a_standby(key)) {
          const auto who = holder();
          text = who.empty() ? held : fmt::format("{} (it is held by {})", held, who);
        }
        throw connection_.failure(Kind::busy, text);
      }
      told.goes_on();
      connection_.pause(lock_poll);
    }
  }

  /// Whether the server is set to have its commits confirmed by others.
  bool has_standbys() {
    return !connection_.query("SELECT pg_catalog.current_setting('synchronous_standby_names')")
                .text(0, 0)
                .empty();
  }

  /// Of whoever holds this advisory lock, as far as this role may see it.
  bool commit_waits_for_a_standby(const std::vector<std::string>& key) {
    return connection_
               .query(
                   "SELECT 1 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON "
                   "a.pid "
                   "OPERATOR(pg_catalog.=) l.pid WHERE l.locktype OPERATOR(pg_catalog.=) "
                   "'advisory' "
                   "AND l.classid::pg_catalog.int4 OPERATOR(pg_catalog.=) $1::pg_catalog.int4 AND "
                   "l.objid::pg_catalog.int4 OPERATOR(pg_catalog.=) $2::pg_catalog.int4 AND "
                   "l.granted AND a.wait_event OPERATOR(pg_catalog.=) 'SyncRep'",
                   key)
               .count() > 0;
  }

  bool is_owner(const Table& table) {
    // The server would only warn.
    const auto may = connection_.query(
        "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class c WHERE "
        "c.oid OPERATOR(pg_catalog.=) $1::pg_catalog.oid",
        {table.oid});
    return may.count() == 0 || may.text(0, 0) == "t";
  }

  /// Waits for tables that are locked, as long as any reading does.
  std::uint64_t size() {
    return connection_.reading([&] {
      std::uint64_t bytes = 0;
      for (const auto& table : knowledge_.schema.tables) {
        const auto rows = connection_.query(
            // A table that is neither partitioned nor a partition is in no tree.
            "SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(o)) FROM (SELECT relid FROM "
            "pg_catalog.pg_partition_tree($1::pg_catalog.oid) UNION SELECT $1::pg_catalog.oid) AS "
            "p(o)",
            {table.oid});
        bytes += static_cast<std::uint64_t>(rows.number(0, 0));
      }
      return bytes;
    });
  }

  Connection connection_;
  Knowledge knowledge_;
  SessionKeys keys_;
  std::string mark_;
  std::vector<Unindexed> unindexed_;
  bool commits_are_answered_ = false;  ///< one has been
};

}  // namespace
}  // namespace calib::postgresql

namespace calib {

std::unique_ptr<SessionStore> open_postgresql_store(const DatabaseLocation& location, Access access,
                                                    std::chrono::milliseconds wait,
                                                    const StopFlag& stop, Progress* progress) {
  return std::make_unique<postgresql::PostgresqlStore>(location, access, wait, stop, progress);
}

}  // namespace calib
