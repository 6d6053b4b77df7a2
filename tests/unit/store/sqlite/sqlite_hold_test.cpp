// References that are set to NULL or default are, and those that hold keep their session whole.
#include <fmt/format.h>

#include "support/catch.hpp"
#include "unit/store/cascade_check.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

namespace {

/// Sessions that may refer to another one.
SessionDb related_sessions(const std::string& on_delete, const std::string& pairs) {
  return SessionDb(fmt::format(
      "CREATE TABLE sessions (id VARCHAR PRIMARY KEY, images_dir VARCHAR, created_at DATETIME, "
      "of VARCHAR REFERENCES sessions {});"
      "CREATE TABLE x (session_id VARCHAR REFERENCES sessions);"
      "INSERT INTO sessions (id, of) VALUES {};"
      "INSERT INTO x SELECT id FROM sessions;",
      on_delete, pairs));
}

}  // namespace

TEST_CASE("SET NULL and SET DEFAULT are obeyed, whatever the column's name", "[store][hold]") {
  const auto* const column = GENERATE("session_id", "owner", "\"or\"\"der\"");
  // A bare word and a word in double quotes are texts here, though a column has that name, too.
  const auto* const action =
      GENERATE("SET NULL", "SET DEFAULT", "SET DEFAULT DEFAULT NULL", "SET DEFAULT DEFAULT 'keep'",
               "SET DEFAULT NOT NULL DEFAULT 'keep'", "SET DEFAULT DEFAULT ('ke' || 'ep')",
               "SET DEFAULT DEFAULT keep", "SET DEFAULT DEFAULT \"keep\"");
  CAPTURE(column, action);
  const auto database = three_sessions(
      fmt::format("CREATE TABLE x ({} VARCHAR REFERENCES sessions ON DELETE {}, keep INTEGER);"
                  "INSERT INTO x VALUES ('a', 1), ('keep', 2), ('b', 3), ('a', 4);",
                  column, action));
  const auto deleted = check_goes_as_in_sqlite(database, {"a", "b"});
  CHECK(deleted.rows.empty());
  CHECK(database.number("SELECT count(*) FROM x") == 4);
}

TEST_CASE("SET NULL and SET DEFAULT are obeyed below rows that go, with several columns, too",
          "[store][hold]") {
  check_goes_as_in_sqlite(
      three_sessions(
          "CREATE TABLE x (s VARCHAR REFERENCES sessions ON DELETE CASCADE, n INTEGER, m INTEGER, "
          "PRIMARY KEY (n, m));"
          "CREATE TABLE null_one (n INTEGER, m INTEGER, v INTEGER, FOREIGN KEY (n, m) REFERENCES x "
          "ON DELETE SET NULL);"
          "CREATE TABLE default_one (n INTEGER DEFAULT 2, m INTEGER DEFAULT (1 + 1), v INTEGER, "
          "FOREIGN KEY (m, n) REFERENCES x (m, n) ON DELETE SET DEFAULT);"
          "CREATE TABLE wr (v INTEGER PRIMARY KEY, n INTEGER, m INTEGER, FOREIGN KEY (n, m) "
          "REFERENCES x ON DELETE SET NULL) WITHOUT ROWID;"
          "CREATE TABLE both (n INTEGER, m INTEGER, s VARCHAR REFERENCES sessions ON DELETE "
          "CASCADE, FOREIGN KEY (n, m) REFERENCES x ON DELETE SET NULL);"
          "INSERT INTO x VALUES ('a', 1, 1), ('keep', 2, 2), ('b', 1, 2);"
          "INSERT INTO null_one VALUES (1, 1, 1), (2, 2, 2), (1, 2, 3), (1, NULL, 4);"
          "INSERT INTO default_one VALUES (1, 1, 1), (2, 2, 2), (1, 2, 3), (1, NULL, 4);"
          "INSERT INTO wr VALUES (1, 1, 1), (2, 2, 2), (3, 1, 2);"
          "INSERT INTO both VALUES (1, 1, 'keep'), (1, 2, 'a'), (2, 2, 'b'), (2, 2, 'keep');"),
      {"a", "b"});
}

TEST_CASE("a reference that would have to become NULL where none may stand holds its session",
          "[store][hold]") {
  const auto* const column =
      GENERATE("s VARCHAR NOT NULL REFERENCES sessions ON DELETE SET NULL",
               "s VARCHAR NOT NULL REFERENCES sessions ON DELETE SET DEFAULT");
  CAPTURE(column);
  const auto database = three_sessions(
      fmt::format("CREATE TABLE x ({}, n INTEGER); INSERT INTO x VALUES ('a', 1);", column));
  REQUIRE_FALSE(rows_after_sqlites_own_cascade(database, {"a"}));

  const auto deleted = delete_sessions(database, {"a", "b"});

  CHECK(deleted.refused == Refused{{"a", "held by x.s"}});
  CHECK(deleted.surveyed_refused == deleted.refused);
  CHECK(ids(database) == "a,keep");
  CHECK(database.text("SELECT s FROM x") == "a");
}

TEST_CASE("a row deep below holds the session at the top, and nothing of it goes",
          "[store][hold]") {
  const auto* const action = GENERATE("", "ON DELETE RESTRICT");
  const auto database = three_sessions(fmt::format(
      "CREATE TABLE x (n INTEGER PRIMARY KEY, s VARCHAR REFERENCES sessions ON DELETE CASCADE);"
      "CREATE TABLE y (n INTEGER PRIMARY KEY, x INTEGER REFERENCES x ON DELETE CASCADE);"
      "CREATE TABLE holder (y INTEGER REFERENCES y {0}, session_id INTEGER REFERENCES x {0});"
      "INSERT INTO x VALUES (1, 'a'), (2, 'b'), (3, 'keep'), (4, 'a');"
      "INSERT INTO y VALUES (1, 1), (2, 2), (3, 3), (4, 4);"
      "INSERT INTO holder VALUES (4, NULL), (3, NULL), (NULL, 3);",
      action));

  const auto deleted = delete_sessions(database, {"a", "b"});

  CHECK(deleted.refused == Refused{{"a", "held by holder.y"}});
  CHECK(deleted.surveyed_refused == deleted.refused);
  CHECK(deleted.rows == Counted{{"b", {{"x", 1}, {"y", 1}}}});
  CHECK(database.text("SELECT group_concat(n) FROM x") == "1,3,4");
  CHECK(database.text("SELECT group_concat(n) FROM y") == "1,3,4");
  CHECK(database.number("SELECT count(*) FROM holder") == 3);
}

TEST_CASE("a column session_id hangs by NO ACTION below hanging rows, too", "[store][hold]") {
  // Its name says it, wherever it stands.
  const auto database = three_sessions(
      "CREATE TABLE x (n INTEGER PRIMARY KEY, session_id VARCHAR REFERENCES sessions);"
      "CREATE TABLE y (session_id INTEGER REFERENCES x);"
      "INSERT INTO x VALUES (1, 'a'), (2, 'keep'); INSERT INTO y VALUES (1), (2);");
  const auto deleted = delete_sessions(database, {"a"});
  CHECK(deleted.refused.empty());
  CHECK(deleted.rows == Counted{{"a", {{"x", 1}, {"y", 1}}}});
  CHECK(database.text("SELECT group_concat(session_id) FROM y") == "2");
}

TEST_CASE("a row that goes for another reason holds nothing", "[store][hold]") {
  const auto database = three_sessions(
      "CREATE TABLE x (n INTEGER PRIMARY KEY, s VARCHAR REFERENCES sessions ON DELETE CASCADE, "
      "also VARCHAR REFERENCES sessions);"
      "INSERT INTO x VALUES (1, 'a', 'a'), (2, 'a', 'b'), (3, 'keep', NULL);");
  SECTION("where it goes with the same session or with another one that goes now") {
    const auto deleted = check_goes_as_in_sqlite(database, {"a", "b"});
    CHECK(deleted.rows == Counted{{"a", {{"x", 2}}}});
  }
  SECTION("but it does where its own session stays") {
    const auto deleted = delete_sessions(database, {"b"});
    CHECK(deleted.refused == Refused{{"b", "held by x.also"}});
    CHECK(ids(database) == "a,b,keep");
  }
  SECTION("nor where its own session is held in its turn") {
    database.execute("CREATE TABLE h (s VARCHAR REFERENCES sessions); INSERT INTO h VALUES ('a')");
    const auto deleted = delete_sessions(database, {"a", "b"});
    CHECK(deleted.refused == Refused{{"a", "held by h.s"}, {"b", "held by x.also"}});
    CHECK(deleted.surveyed_refused == deleted.refused);
    CHECK(deleted.rows.empty());
    CHECK(ids(database) == "a,b,keep");
  }
}

TEST_CASE("sessions never go by cascade: one that refers to another keeps it", "[store][hold]") {
  const auto* const action = GENERATE("", "ON DELETE CASCADE", "ON DELETE RESTRICT");
  CAPTURE(action);
  SECTION("while it stays itself") {
    const auto database = related_sessions(action, "('a', NULL), ('b', NULL), ('keep', 'a')");
    const auto deleted = delete_sessions(database, {"a", "b"});
    CHECK(deleted.refused == Refused{{"a", "held by sessions.of"}});
    CHECK(ids(database) == "a,keep");
    CHECK(database.text("SELECT group_concat(session_id) FROM x") == "a,keep");
  }
  SECTION("through a chain of them") {
    const auto database = related_sessions(action, "('a', NULL), ('b', 'a'), ('keep', 'b')");
    const auto deleted = delete_sessions(database, {"a", "b"});
    CHECK(deleted.refused == Refused{{"a", "held by sessions.of"}, {"b", "held by sessions.of"}});
    CHECK(deleted.surveyed_refused == deleted.refused);
    CHECK(ids(database) == "a,b,keep");
  }
  SECTION("and not where it goes, too, or refers to itself, or the other way round") {
    const auto database = related_sessions(
        action, "('a', 'b'), ('b', 'a'), ('c', 'c'), ('d', 'keep'), ('keep', NULL)");
    const auto deleted = delete_sessions(database, {"a", "b", "c", "d"});
    CHECK(deleted.refused.empty());
    CHECK(ids(database) == "keep");
    CHECK(database.text("SELECT group_concat(session_id) FROM x") == "keep");
  }
}

TEST_CASE("a session's own session_id column holds like any other of sessions", "[store][hold]") {
  const SessionDb database(
      "CREATE TABLE sessions (id VARCHAR PRIMARY KEY, images_dir VARCHAR, created_at DATETIME, "
      "session_id VARCHAR REFERENCES sessions);"
      "INSERT INTO sessions (id, session_id) VALUES ('a', NULL), ('keep', 'a'), "
      "('c', '00000000-0000-4000-8000-000000000000');");
  const auto deleted = delete_sessions(database, {"a"});
  CHECK(deleted.refused == Refused{{"a", "held by sessions.session_id"}});
  CHECK(ids(database) == "a,c,keep");
}

TEST_CASE("SET NULL between sessions is obeyed", "[store][hold]") {
  const auto database = related_sessions(
      "ON DELETE SET NULL", "('a', 'b'), ('b', NULL), ('keep', 'a'), ('keep2', 'keep')");
  const auto deleted = delete_sessions(database, {"a", "b"});
  CHECK(deleted.refused.empty());
  CHECK(ids(database) == "keep,keep2");
  CHECK(database.text("SELECT group_concat(id || ':' || coalesce(of, '-')) FROM (SELECT * FROM "
                      "sessions ORDER BY id)") == "keep:-,keep2:keep");
}
