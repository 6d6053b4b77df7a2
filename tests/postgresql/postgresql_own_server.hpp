// A server of a test's own, to be stopped, crashed or set up as no other test would have it.
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "postgresql/postgresql_server.hpp"

namespace calib::test {

/// The apps' databases are made on it meanwhile.
class OwnServer {
 public:
  explicit OwnServer(const std::vector<std::string>& settings = {}) : server(settings) {
    ::setenv("CALIB_TEST_POSTGRESQL", server.folder().c_str(), 1);
  }
  ~OwnServer() { ::setenv("CALIB_TEST_POSTGRESQL", before_.c_str(), 1); }
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;
  OwnServer(OwnServer&&) = delete;
  OwnServer& operator=(OwnServer&&) = delete;
  PostgresqlServer server;

 private:
  std::string before_ = std::getenv("CALIB_TEST_POSTGRESQL");
};

}  // namespace calib::test
