#include "support/app_database.hpp"

#include <cstdlib>
#include <stdexcept>

namespace calib::test {

bool on_postgresql() { return std::getenv("CALIB_TEST_POSTGRESQL") != nullptr; }

std::vector<Journal> journals() {
  if (on_postgresql()) return {Journal::rollback};
  return {Journal::rollback, Journal::wal};
}

std::unique_ptr<AppDatabase> make_app_database(const std::filesystem::path& root, AppSchema schema,
                                               Journal journal) {
  if (!on_postgresql()) return make_sqlite_database(root, schema, journal);
#ifdef HAS_POSTGRESQL
  return make_postgresql_database(root, schema);
#else
  throw std::runtime_error("these tests were built without PostgreSQL");
#endif
}

std::vector<AppSchema> schemas_with_dates_as_text() {
  if (on_postgresql()) return {AppSchema::june_2025};
  return {AppSchema::current, AppSchema::june_2025};
}

std::string at_commit(const std::string& what) {
  return (on_postgresql() ? "send/slice:1:" : "fdatasync/calibration.db-:1:") + what;
}

std::string at_every_commit(const std::string& what) {
  return (on_postgresql() ? "send/slice:*:" : "fdatasync:*:") + what;
}

std::string sql_zeros(std::size_t count) {
  return on_postgresql() ? "repeat('0', " + std::to_string(count) + ')'
                         : "hex(zeroblob(" + std::to_string(count / 2) + "))";
}

std::vector<std::string> rows_of(AppDatabase& database) {
  std::vector<std::string> lines;
  for (const auto& table : database.tables()) {
    for (const auto& row : database.query("SELECT * FROM \"" + table + '"')) {
      auto& line = lines.emplace_back("row of " + table);
      for (const auto& value : row) line += "|" + value;
    }
  }
  return lines;
}

std::string sql_text(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    result += c;
    if (c == '\'') result += c;
  }
  return result + "'";
}

}  // namespace calib::test
