// A table that takes long to read is read in pieces: between them the app may write.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <latch>
#include <thread>

#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

constexpr unsigned sessions = 1500;

/// Two tables of sessions: those that rowids tell apart, and those that have none.
SessionDb with_many_sessions(const std::string& table = only_sessions) {
  SessionDb database(table);
  std::vector<std::string> ids;
  for (unsigned i = 0; i < sessions; ++i) ids.push_back(uuid(i));
  database.add(ids);
  return database;
}

constexpr const char* without_rowid =
    "CREATE TABLE sessions (id VARCHAR PRIMARY KEY, images_dir VARCHAR, created_at DATETIME) "
    "WITHOUT ROWID";

struct Reading {
  std::vector<std::string> ids;
  bool let_in = false;  ///< whether the writer was done before the reading was
};

/// Reads the sessions, slowly, while `sql` runs on another connection, from the first row on.
Reading read_while(const SessionDb& database, const std::string& sql) {
  const auto store = database.open(Access::read_only);
  WaitingWriter writer(database, sql);
  Reading result;
  store->visit_sessions([&](const SessionRow& row) {
    writer.begin();
    result.ids.emplace_back(row.id);
    if (result.ids.size() % 256 == 0) outlast_a_piece();
    if (writer.is_done()) result.let_in = true;
  });
  return result;
}

bool has(const Reading& reading, const std::string& id) {
  return std::find(reading.ids.begin(), reading.ids.end(), id) != reading.ids.end();
}

}  // namespace

TEST_CASE("a long reading lets writers in", "[store][reading]") {
  const auto database = with_many_sessions(GENERATE(only_sessions, without_rowid));
  const auto before = database.number("SELECT count(*) FROM sessions");
  const auto reading =
      read_while(database, fmt::format("DELETE FROM sessions WHERE id = '{}'", uuid(0)));
  CHECK(reading.let_in);
  CHECK(reading.ids.size() == static_cast<std::size_t>(before));
  CHECK(database.number("SELECT count(*) FROM sessions") == before - 1);
}

TEST_CASE("sessions that come and go meanwhile cost nobody else a visit", "[store][reading]") {
  const auto database = with_many_sessions(GENERATE(only_sessions, without_rowid));
  const auto reading = read_while(
      database, fmt::format("BEGIN IMMEDIATE; DELETE FROM sessions WHERE "
                            "cast(substr(id, 8, 1) AS INTEGER) % 2 = 1;"
                            "INSERT INTO sessions VALUES ('late', 'uploads/late', '{}'); COMMIT",
                            old_date));
  std::size_t missed = 0;
  auto connection = database.connect();
  SQLite::Statement stayed(connection, "SELECT id FROM sessions");
  while (stayed.executeStep()) {
    if (!has(reading, stayed.getColumn(0).getString())) ++missed;
  }
  CHECK(missed == 0);
  CHECK(has(reading, "late"));
  auto ids = reading.ids;
  std::sort(ids.begin(), ids.end());
  CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
}

TEST_CASE("a session that is rewritten behind the reader is read again, never lost",
          "[store][reading]") {
  // The app has no such statement, but whoever repairs a database by hand has.
  const auto database = with_many_sessions();
  const auto reading = read_while(
      database, fmt::format("REPLACE INTO sessions VALUES ('{}', 'uploads/x', NULL)", uuid(1499)));
  CHECK(has(reading, uuid(1499)));
}

TEST_CASE("a VACUUM in the middle of a reading ends it: rows may have other numbers now",
          "[store][reading]") {
  const auto database = with_many_sessions();
  const auto error = store_error_of([&] { return read_while(database, "VACUUM").ids.size(); });
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::unusable);
  CHECK_THAT(error->what(), Catch::Matchers::ContainsSubstring("run again"));
}

TEST_CASE("a session that took the rowid of the last one read is new, among very many, too",
          "[store][reading]") {
  constexpr std::size_t very_many = 60'000;
  constexpr std::size_t end_of_a_piece = 59'904;
  const SessionDb database(only_sessions);
  std::vector<std::string> ids;
  for (unsigned i = 0; i < very_many; ++i) ids.push_back(uuid(i));
  database.add(ids);
  const auto store = database.open();
  std::latch reading(1);
  std::latch written(1);
  std::jthread writer([&] {
    auto app = database.connect();
    app.setBusyTimeout(60'000);
    reading.wait();
    app.exec(fmt::format(
        "BEGIN IMMEDIATE; DELETE FROM sessions WHERE rowid >= {}; INSERT INTO sessions VALUES "
        "('below', 'uploads/below', NULL), ('above', 'uploads/above', NULL)",
        end_of_a_piece));
    written.count_down();
    app.exec("COMMIT");
  });
  std::size_t count = 0;
  std::string last;
  store->visit_sessions([&](const SessionRow& row) {
    last = row.id;
    if (++count != end_of_a_piece) return;
    reading.count_down();
    written.wait();
    outlast_a_piece();
  });
  REQUIRE(count == end_of_a_piece + 1);
  REQUIRE(last == "above");
  static_cast<void>(store->survey({}, Leaked::left_alone));
  bool shown = false;
  store->begin(std::chrono::seconds(2))->visit_new_sessions([&](const SessionRow& row) {
    if (row.id == "below") shown = true;
  });
  CHECK(shown);
}
