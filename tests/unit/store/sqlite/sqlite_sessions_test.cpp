// How sessions are read: each of them, whatever is in its columns, and told apart from what it may
// become later.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "support/app_schemas.hpp"
#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

std::vector<Visited> visit(const SessionDb& database) {
  std::vector<Visited> sessions;
  database.open(Access::read_only)->visit_sessions([&](const SessionRow& row) {
    sessions.push_back(copy_of(row));
  });
  return sessions;
}

/// A database whose columns take any type, with this one session.
SessionDb untyped(const std::string& id, const std::string& images_dir,
                  const std::string& created_at) {
  return SessionDb(
      fmt::format("CREATE TABLE sessions (id, images_dir, created_at); INSERT INTO sessions VALUES "
                  "({}, {}, {})",
                  id, images_dir, created_at));
}

Visited only_one(const SessionDb& database) {
  const auto sessions = visit(database);
  REQUIRE(sessions.size() == 1);
  return sessions.front();
}

}  // namespace

TEST_CASE("each session is visited once, with what it says", "[store][sessions]") {
  const SessionDb database(schema_current);
  std::vector<std::string> ids;
  for (unsigned i = 0; i < 3000; ++i) ids.push_back(uuid(i));
  database.add(ids);

  const auto sessions = visit(database);

  CHECK(ids_of(sessions) == ids);
  CHECK(std::all_of(sessions.begin(), sessions.end(), [](const Visited& session) {
    return session.id_is_text && session.has_images_dir && session.created_at == old_date &&
           session.images_dir == "uploads/" + session.id;
  }));
}

TEST_CASE("a schema without images_dir is read without it", "[store][sessions]") {
  const SessionDb database(schema_june_2025);
  database.execute("INSERT INTO sessions VALUES ('a', '2025-06-01 10:00:00'), ('b', NULL)");
  const auto sessions = visit(database);
  CHECK(ids_of(sessions) == std::vector<std::string>{"a", "b"});
  for (const auto& session : sessions) {
    CHECK_FALSE(session.has_images_dir);
    CHECK_FALSE(session.images_dir);
    CHECK(session.created_at.has_value() == (session.id == "a"));
  }
}

TEST_CASE("an id that is no text that the app could have made is told apart", "[store][sessions]") {
  struct Id {
    std::string sql;
    std::string bytes;
    bool is_text;
  };
  using namespace std::string_literals;
  const auto id = GENERATE(values<Id>({{"'a'", "a", true},
                                       {"' '", " ", true},
                                       {"'\u00e4'", "\u00e4", true},
                                       {"CAST(X'61ff' AS TEXT)", "a\xff", true},
                                       {"NULL", "", false},
                                       {"''", "", false},
                                       {"7", "7", false},
                                       {"7.5", "7.5", false},
                                       {"X'61'", "a", false},
                                       {"X''", "", false},
                                       {"'a' || char(0)", "a\0"s, false},
                                       {"'a' || char(0) || 'b'", "a\0b"s, false}}));
  CAPTURE(id.sql);
  const auto session = only_one(untyped(id.sql, "'uploads/a'", "'2020-01-01 00:00:00'"));
  CHECK(session.id == id.bytes);
  CHECK(session.id_is_text == id.is_text);
  CHECK(session.images_dir == "uploads/a");
}

TEST_CASE("created_at is what it says only where it is text", "[store][sessions]") {
  const auto* const sql = GENERATE("NULL", "1577836800", "2458849.5", "X'32303230'");
  CHECK_FALSE(only_one(untyped("'a'", "'uploads/a'", sql)).created_at);
  CHECK(only_one(untyped("'a'", "'uploads/a'", "''")).created_at == "");
  CHECK(only_one(untyped("'a'", "'uploads/a'", "'yesterday'")).created_at == "yesterday");
}

TEST_CASE("an images_dir that is no text names no directory, but claims what is in it",
          "[store][sessions]") {
  struct ImagesDir {
    std::string sql;
    std::string bytes;
  };
  using namespace std::string_literals;
  const auto images_dir = GENERATE(values<ImagesDir>({{"NULL", ""},
                                                      {"7", "7"},
                                                      {"'uploads/a' || char(0)", "uploads/a\0"s},
                                                      {"X'75706c6f6164732f61'", "uploads/a"}}));
  CAPTURE(images_dir.sql);
  const auto session = only_one(untyped("'a'", images_dir.sql, "NULL"));
  CHECK(session.has_images_dir);
  CHECK_FALSE(session.images_dir);
  CHECK(session.claimed == images_dir.bytes);
}

TEST_CASE("sessions are the same only while all that was read of them is", "[store][sessions]") {
  const auto same = only_one(untyped("'a'", "'uploads/a'", "'1'")).fingerprint;
  CHECK(only_one(untyped("'a'", "'uploads/a'", "'1'")).fingerprint == same);

  std::set<std::uint64_t> seen{same};
  for (const auto& [id, images_dir, created_at] :
       std::vector<std::array<const char*, 3>>{{"'b'", "'uploads/a'", "'1'"},
                                               {"X'61'", "'uploads/a'", "'1'"},
                                               {"'a'", "'uploads/b'", "'1'"},
                                               {"'a'", "'uploads/a' || char(0)", "'1'"},
                                               {"'a'", "X'75706c6f6164732f61'", "'1'"},
                                               {"'a'", "NULL", "'1'"},
                                               {"'a'", "''", "'1'"},
                                               {"'a'", "'uploads/a'", "'2'"},
                                               {"'a'", "'uploads/a'", "1"},
                                               {"'a'", "'uploads/a'", "X'31'"},
                                               {"'a'", "'uploads/a'", "NULL"},
                                               {"'a'", "'uploads/a'", "''"},
                                               {"'a'", "'1'", "'uploads/a'"}}) {
    CAPTURE(id, images_dir, created_at);
    CHECK(seen.insert(only_one(untyped(id, images_dir, created_at)).fingerprint).second);
  }
}

TEST_CASE("columns that no rule is about do not make a session another one", "[store][sessions]") {
  const SessionDb database(
      "CREATE TABLE sessions (note TEXT, ID VARCHAR PRIMARY KEY, Created_At DATETIME, IMAGES_DIR "
      "VARCHAR); INSERT INTO sessions VALUES ('x', 'a', '1', 'uploads/a')");
  const auto before = only_one(database);
  CHECK(before.images_dir == "uploads/a");
  database.execute("UPDATE sessions SET note = 'y'");
  CHECK(only_one(database).fingerprint == before.fingerprint);
}

TEST_CASE("an id that stands twice is visited twice", "[store][sessions]") {
  const SessionDb database(
      "CREATE TABLE sessions (id VARCHAR, images_dir VARCHAR, created_at DATETIME);"
      "INSERT INTO sessions VALUES ('a', 'uploads/a', '1'), ('b', 'uploads/b', '1'), "
      "('a', 'uploads/a', '2')");
  CHECK(ids_of(visit(database)) == std::vector<std::string>{"a", "a", "b"});
}

TEST_CASE("sessions are read from tables without rowids, and with columns that hide them",
          "[store][sessions]") {
  const auto* const table = GENERATE(
      "CREATE TABLE sessions (id VARCHAR PRIMARY KEY, images_dir, created_at) WITHOUT ROWID",
      "CREATE TABLE sessions (rowid, _rowid_, id VARCHAR, images_dir, created_at)",
      "CREATE TABLE sessions (rowid, oid, _rowid_, id VARCHAR NOT NULL PRIMARY KEY, images_dir, "
      "created_at)",
      "CREATE TABLE sessions (n INTEGER PRIMARY KEY, id VARCHAR UNIQUE, images_dir, created_at)");
  CAPTURE(table);
  const SessionDb database(table);
  std::vector<std::string> ids;
  for (unsigned i = 0; i < 600; ++i) ids.push_back(uuid(i));
  database.add(ids);
  StorePass pass(database);
  pass.look({ids[3], ids[599]});
  CHECK(ids_of(pass.sessions()) == ids);

  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  auto counts = pass.no_counts();
  transaction->delete_records(counts);
  CHECK(transaction->commit() == CommitOutcome::committed);
  CHECK(database.number("SELECT count(*) FROM sessions") == 598);
}
