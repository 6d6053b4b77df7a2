// A PostgreSQL server of the tests' own: a new cluster in a temporary folder, reached through a
// Unix socket alone, gone with whoever made it, however that one ends.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "support/temp_dir.hpp"

namespace calib::test {

/// The superuser of the cluster; whoever connects is believed.
inline constexpr const char* postgresql_superuser = "tester";
/// A role that has to give its password.
inline constexpr const char* postgresql_locked_role = "locked";

/// Runs as `nobody` where the tests run as root, which PostgreSQL refuses. Nothing that it writes
/// survives a power failure; its own crashes are survived.
class PostgresqlServer {
 public:
  /// Makes the cluster and starts the server; `settings` are as postgres takes them after -c.
  /// Throws std::runtime_error with what the programs said.
  explicit PostgresqlServer(std::vector<std::string> settings = {});
  ~PostgresqlServer();
  PostgresqlServer(const PostgresqlServer&) = delete;
  PostgresqlServer& operator=(const PostgresqlServer&) = delete;
  PostgresqlServer(PostgresqlServer&&) = delete;
  PostgresqlServer& operator=(PostgresqlServer&&) = delete;

  /// The folder of its socket: the `host` of a connection.
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
  [[nodiscard]] std::string log() const;

  /// Returns when it takes connections.
  void start();
  /// What `pg_ctl stop -m immediate` does: no goodbye to anyone, and recovery at the next start.
  void crash();

 private:
  void stop(int signal);
  [[nodiscard]] std::filesystem::path data() const { return folder() / "data"; }
  [[nodiscard]] bool is_ready() const;

  TempDir folder_;
  std::vector<std::string> settings_;
  pid_t pid_ = -1;
};

}  // namespace calib::test
