// What the server tells of the others that use an app's database.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "support/tool_run.hpp"

namespace calib::test {

/// Everybody but who asks.
inline const std::string others =
    "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

/// Waits until so many wait for locks. Throws where they never do.
inline void await_blocked(const App& app, int count = 1) {
  const auto sql = fmt::format(
      "SELECT count(*), pg_sleep(0.005)::text FROM pg_stat_activity WHERE {} AND wait_event_type = "
      "'Lock'",
      others);
  for (int tries = 0; tries < 6000; ++tries) {
    if (app.number(sql) >= count) return;
  }
  throw std::runtime_error("nobody waits for a lock");
}

/// Ends the connections of everybody else, and returns when they are gone.
inline void end_connections(const App& app) {
  static_cast<void>(app.its_database().query(
      "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE " + others));
}

struct TableLock {
  std::string mode;
  std::string table;
};

/// What others have locked as a whole.
inline std::vector<TableLock> table_locks(const App& app) {
  std::vector<TableLock> locks;
  for (auto& row : app.its_database().query(
           "SELECT mode, relation::regclass::text FROM pg_locks WHERE locktype = 'relation' AND "
           "database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND "
           "granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE " +
           others + ")")) {
    locks.push_back({std::move(row.at(0)), std::move(row.at(1))});
  }
  return locks;
}

}  // namespace calib::test
