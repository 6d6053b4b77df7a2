#include "store/postgresql/holder.hpp"

#include <fmt/format.h>

#include <utility>

namespace calib::postgresql {
namespace {

constexpr std::chrono::seconds between_questions{1};

/// `which`: a condition on `l`, the lock. `since`: the column of `a`, who has it, that says since
/// when.
std::string holder_where(Connection& connection, const std::string& which, const std::string& since,
                         const std::vector<std::string>& parameters) {
  try {
    return connection.reading([&]() -> std::string {
      const auto rows = connection.query(
          "SELECT a.pid, COALESCE(NULLIF(a.application_name, ''), a.usename::text, 'somebody'), "
          "COALESCE(', from ' || host(a.client_addr), ''), "
          "COALESCE(', since ' || to_char(" +
              since +
              ", 'YYYY-MM-DD HH24:MI:SS') || ' UTC', '') "
              "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
              "WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = "
              "(SELECT oid FROM pg_database WHERE datname = current_database()) AND " +
              which + " ORDER BY " + since + " NULLS LAST LIMIT 1",
          parameters);
      if (rows.count() == 0) return {};
      return fmt::format("{} (server process {}{}{})", rows.text(0, 1), rows.text(0, 0),
                         rows.text(0, 2), rows.text(0, 3));
    });
  } catch (const PassError& error) {
    if (error.kind() == PassError::Kind::stopped) throw;
    return {};  // where the connection is lost, whoever uses it next says so
  }
}

}  // namespace

std::string holder_of_tables(Connection& connection, const Knowledge& knowledge) {
  const auto& sessions = knowledge.schema.sessions();
  std::vector<std::string> oids;
  for (const auto table : knowledge.counted_tables) {
    oids.push_back(knowledge.schema.tables[table].oid);
  }
  // What a pass takes of `sessions` no writer may have, and of the others no index that is made.
  return holder_where(connection,
                      "l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND (l.relation = $1::oid "
                      "OR (l.relation = ANY($2::oid[]) AND l.mode <> 'RowExclusiveLock'))",
                      "a.xact_start", {sessions.oid, array_of(oids)});
}

std::string holder_of_lock(Connection& connection, const std::vector<std::string>& key) {
  return holder_where(connection,
                      "l.locktype = 'advisory' AND l.classid::int4 = $1::int4 AND l.objid::int4 = "
                      "$2::int4 AND l.objsubid = 2",
                      "a.backend_start", key);
}

ToldWait::ToldWait(Connection& connection, std::string what, std::chrono::milliseconds limit,
                   Holder holder)
    : connection_(connection), holder_(std::move(holder)), asked_(Clock::now()) {
  wait_.what = std::move(what);
  wait_.since = asked_;
  wait_.limit = limit;
}

void ToldWait::goes_on() {
  if (connection_.progress() == nullptr) return;
  if (Clock::now() - asked_ >= between_questions) {
    wait_.holder = holder_();
    asked_ = Clock::now();
  }
  connection_.progress()->waits(wait_);
}

}  // namespace calib::postgresql
