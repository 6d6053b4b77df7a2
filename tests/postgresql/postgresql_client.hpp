// A connection to the tests' PostgreSQL server, by libpq itself: not by what the tool uses.
#pragma once

#include <libpq-fe.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace calib::test {

class PostgresqlClient {
 public:
  using Row = std::vector<std::optional<std::string>>;

  /// `connection` as PQconnectdb takes it. Throws std::runtime_error, as the other calls do.
  explicit PostgresqlClient(const std::string& connection)
      : connection_(PQconnectdb(connection.c_str()), PQfinish) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) throw std::runtime_error(error());
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
  }

  /// The rows of the last of these statements.
  std::vector<Row> run(const std::string& sql) {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result(
        PQexec(connection_.get(), sql.c_str()), PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
      throw std::runtime_error(sql.substr(0, 200) + ": " + error());
    }
    std::vector<Row> rows(static_cast<std::size_t>(PQntuples(result.get())));
    for (int i = 0; i < PQntuples(result.get()); ++i) {
      auto& row = rows[static_cast<std::size_t>(i)];
      for (int j = 0; j < PQnfields(result.get()); ++j) {
        if (PQgetisnull(result.get(), i, j) != 0) {
          row.emplace_back(std::nullopt);
        } else {
          row.emplace_back(PQgetvalue(result.get(), i, j));
        }
      }
    }
    return rows;
  }

  [[nodiscard]] int server_pid() const { return PQbackendPID(connection_.get()); }
  /// Asks the server, which may have gone.
  [[nodiscard]] bool is_open() const {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(connection_.get(), ""),
                                                                PQclear);
    return PQresultStatus(result.get()) == PGRES_EMPTY_QUERY;
  }

  /// A forked process has the same connection, and no right to say anything on it.
  [[nodiscard]] bool is_ours() const { return owner_ == ::getpid(); }
  void forget() { static_cast<void>(connection_.release()); }

 private:
  [[nodiscard]] std::string error() const { return PQerrorMessage(connection_.get()); }

  std::unique_ptr<PGconn, void (*)(PGconn*)> connection_;
  pid_t owner_ = ::getpid();
};

}  // namespace calib::test
