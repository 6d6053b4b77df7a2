// However the tables hang together, what goes with a session is what SQLite's own cascade takes.
#include <fmt/format.h>

#include "support/catch.hpp"
#include "unit/store/cascade_check.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("rows go however many levels of CASCADE lie between them and the session",
          "[store][cascade]") {
  std::string sql =
      "CREATE TABLE t0 (n INTEGER PRIMARY KEY, up VARCHAR REFERENCES sessions ON DELETE CASCADE);"
      "INSERT INTO t0 VALUES (1, 'a'), (2, 'keep'), (3, 'b'), (4, 'a');";
  for (int level = 1; level < 12; ++level) {
    // The names go down while the levels go up, so that no order of tables helps.
    sql += fmt::format(
        "CREATE TABLE z{0:02} (n INTEGER PRIMARY KEY, up INTEGER REFERENCES {1} ON DELETE CASCADE);"
        "INSERT INTO z{0:02} VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (6, NULL);",
        20 - level, level == 1 ? "t0" : fmt::format("z{:02}", 21 - level));
  }
  const auto deleted = check_goes_as_in_sqlite(three_sessions(sql), {"a", "b"});
  // From the third level on row 5 is one more parent, and nobody's child is below it but itself.
  CHECK(deleted.rows.at("a").at("t0") == 2);
  CHECK(deleted.rows.at("a").at("z09") == 3);
  CHECK(deleted.rows.at("b").at("z09") == 1);
}

TEST_CASE("a row that hangs on the session by two ways goes once and counts once",
          "[store][cascade]") {
  const auto deleted = check_goes_as_in_sqlite(
      three_sessions(
          "CREATE TABLE l (n INTEGER PRIMARY KEY, s VARCHAR REFERENCES sessions ON DELETE CASCADE);"
          "CREATE TABLE r (n INTEGER PRIMARY KEY, s VARCHAR REFERENCES sessions ON DELETE CASCADE);"
          "CREATE TABLE tip (l INTEGER REFERENCES l ON DELETE CASCADE, r INTEGER REFERENCES r ON "
          "DELETE CASCADE, s VARCHAR REFERENCES sessions ON DELETE CASCADE);"
          "INSERT INTO l VALUES (1, 'a'), (2, 'keep'), (3, 'b');"
          "INSERT INTO r VALUES (1, 'a'), (2, 'keep'), (3, 'b');"
          "INSERT INTO tip VALUES (1, 1, 'a'), (1, 2, 'keep'), (2, 1, NULL), (2, 2, 'keep'), "
          "(NULL, NULL, 'a'), (NULL, NULL, NULL), (3, 1, 'keep');"),
      {"a", "b"});
  CHECK(deleted.rows ==
        Counted{{"a", {{"l", 1}, {"r", 1}, {"tip", 5}}}, {"b", {{"l", 1}, {"r", 1}}}});
}

TEST_CASE("cascades that go round in circles end, and take what hangs in them",
          "[store][cascade]") {
  SECTION("two tables that refer to each other") {
    check_goes_as_in_sqlite(
        three_sessions(
            "CREATE TABLE x (n INTEGER PRIMARY KEY, s VARCHAR REFERENCES sessions ON DELETE "
            "CASCADE, y INTEGER REFERENCES y ON DELETE CASCADE);"
            "CREATE TABLE y (n INTEGER PRIMARY KEY, x INTEGER REFERENCES x ON DELETE CASCADE);"
            "INSERT INTO x VALUES (1, 'a', NULL), (2, NULL, 1), (3, NULL, 2), (4, 'keep', 4), "
            "(5, NULL, 5), (6, 'keep', 3);"
            "INSERT INTO y VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5);"),
        {"a", "b"});
  }
  SECTION("a table that refers to itself: a tree, a ring, and a row that is its own parent") {
    const auto deleted = check_goes_as_in_sqlite(
        three_sessions(
            "CREATE TABLE x (n INTEGER PRIMARY KEY, s VARCHAR REFERENCES sessions ON DELETE "
            "CASCADE, up INTEGER REFERENCES x ON DELETE CASCADE);"
            "INSERT INTO x VALUES (1, 'a', NULL), (2, NULL, 1), (3, NULL, 2), (4, NULL, 3), "
            "(10, 'b', 12), (11, NULL, 10), (12, NULL, 11), (20, 'keep', 20), (21, 'keep', 20), "
            "(30, NULL, 30), (31, 'a', 31), (40, 'keep', 4);"),
        {"a", "b"});
    CHECK(deleted.rows == Counted{{"a", {{"x", 6}}}, {"b", {{"x", 3}}}});
  }
  SECTION("a chain through one table that is longer than any number of rounds one would fix") {
    std::string sql =
        "CREATE TABLE x (n INTEGER PRIMARY KEY, s VARCHAR REFERENCES sessions ON DELETE CASCADE, "
        "up INTEGER REFERENCES x ON DELETE CASCADE); INSERT INTO x VALUES (1, 'a', NULL);"
        "WITH RECURSIVE i (n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM i WHERE n < 300) "
        "INSERT INTO x SELECT n, NULL, n - 1 FROM i;";
    const auto deleted = check_goes_as_in_sqlite(three_sessions(sql), {"a"});
    CHECK(deleted.rows == Counted{{"a", {{"x", 300}}}});
  }
}

TEST_CASE("keys of several columns are followed, and one NULL in them refers to nothing",
          "[store][cascade]") {
  const auto deleted = check_goes_as_in_sqlite(
      three_sessions(
          "CREATE TABLE device (session VARCHAR REFERENCES sessions ON DELETE CASCADE, no INTEGER, "
          "PRIMARY KEY (no, session));"
          "CREATE TABLE shot (d INTEGER, owner VARCHAR, k TEXT, z INTEGER, UNIQUE (z, k), FOREIGN "
          "KEY (owner, d) REFERENCES device (session, no) ON DELETE CASCADE);"
          "CREATE TABLE corner (n INTEGER, ka TEXT, kz INTEGER, FOREIGN KEY (ka, kz) REFERENCES "
          "shot (k, z) ON DELETE CASCADE);"
          "CREATE TABLE whole (d INTEGER, owner VARCHAR, FOREIGN KEY (d, owner) REFERENCES device "
          "ON DELETE CASCADE);"
          "INSERT INTO device VALUES ('a', 1), ('a', 2), ('keep', 1), ('b', 1);"
          "INSERT INTO shot VALUES (1, 'a', 'p', 1), (1, 'keep', 'p', 2), (2, 'a', 'q', 1), "
          "(2, NULL, 'r', 1), (NULL, 'a', 's', 1), (1, 'b', NULL, 1);"
          "INSERT INTO corner VALUES (1, 'p', 1), (2, 'p', 2), (3, 'q', NULL), (4, NULL, 1), "
          "(5, 'q', 1), (6, 's', 1);"
          "INSERT INTO whole VALUES (1, 'a'), (1, 'keep'), (NULL, 'a');"),
      {"a", "b"});
  CHECK(deleted.rows == Counted{{"a", {{"device", 2}, {"shot", 2}, {"corner", 2}, {"whole", 1}}},
                                {"b", {{"device", 1}, {"shot", 1}}}});
}

TEST_CASE("tables without rowids are served on every level, sessions among them",
          "[store][cascade]") {
  const bool sessions_too = GENERATE(false, true);
  const std::string sessions = sessions_too
                                   ? "CREATE TABLE sessions (id VARCHAR PRIMARY KEY, images_dir "
                                     "VARCHAR, created_at DATETIME) WITHOUT ROWID;"
                                   : only_sessions;
  const SessionDb database(fmt::format(
      "{0} CREATE TABLE x (s VARCHAR REFERENCES sessions ON DELETE CASCADE, k TEXT COLLATE NOCASE, "
      "n INTEGER, PRIMARY KEY (k DESC, n)) WITHOUT ROWID;"
      "CREATE TABLE y (k TEXT, n INTEGER, m BLOB PRIMARY KEY, FOREIGN KEY (k, n) REFERENCES x ON "
      "DELETE CASCADE) WITHOUT ROWID;"
      "CREATE TABLE session_id_table (session_id VARCHAR PRIMARY KEY REFERENCES sessions) WITHOUT "
      "ROWID;"
      "INSERT INTO sessions VALUES ('a', 'uploads/a', '{1}'), ('b', 'uploads/b', '{1}'), ('keep', "
      "'uploads/keep', '{1}');"
      "INSERT INTO x VALUES ('a', 'k', 1), ('keep', 'k', 2), ('a', 'K2', 1), ('b', '', 1), "
      "(NULL, 'n', 1);"
      "INSERT INTO y VALUES ('K', 1, X'00'), ('k', 2, X'0000'), ('k2', 1, 'text'), ('', 1, 7), "
      "(NULL, 1, 7.5);",
      sessions, old_date));
  const auto deleted = check_goes_as_in_sqlite(database, {"a", "b"});
  CHECK(deleted.rows == Counted{{"a", {{"x", 2}, {"y", 2}}}, {"b", {{"x", 1}, {"y", 1}}}});
}

TEST_CASE("generated columns, STRICT tables and partial indexes change nothing",
          "[store][cascade]") {
  check_goes_as_in_sqlite(
      three_sessions(
          "CREATE TABLE gen (path TEXT, session_id TEXT GENERATED ALWAYS AS (substr(path, 9)) "
          "STORED REFERENCES sessions ON DELETE CASCADE, n INTEGER PRIMARY KEY);"
          "CREATE TABLE virt (path TEXT, owner TEXT AS (substr(path, 9)) VIRTUAL REFERENCES "
          "sessions ON DELETE CASCADE, n INTEGER UNIQUE);"
          "CREATE TABLE strict_one (n INTEGER REFERENCES gen ON DELETE CASCADE, v ANY) STRICT;"
          "CREATE TABLE part (s TEXT REFERENCES sessions ON DELETE CASCADE, n INTEGER);"
          "CREATE INDEX some ON part (s) WHERE n > 2;"
          "CREATE UNIQUE INDEX by_length ON part (length(s), n);"
          "INSERT INTO gen (path, n) VALUES ('uploads/a', 1), ('uploads/keep', 2), ('x', 3), "
          "('uploads/b', 4);"
          "INSERT INTO virt (path, n) VALUES ('uploads/a', 1), ('uploads/keep', 2), ('x', 3);"
          "INSERT INTO strict_one VALUES (1, 'x'), (2, X'00'), (4, NULL), (NULL, 1);"
          "INSERT INTO part VALUES ('a', 1), ('a', 3), ('keep', 3), ('b', 9), ('keep', 1);"),
      {"a", "b"});
}

TEST_CASE("values count as equal where SQLite counts them as equal: by the parent's column",
          "[store][cascade]") {
  check_goes_as_in_sqlite(
      three_sessions(
          "CREATE TABLE x (s VARCHAR REFERENCES sessions ON DELETE CASCADE, k TEXT COLLATE NOCASE "
          "UNIQUE, n INTEGER UNIQUE, b BLOB UNIQUE);"
          "CREATE TABLE by_k (k TEXT REFERENCES x (k) ON DELETE CASCADE);"
          "CREATE TABLE by_n (n TEXT REFERENCES x (n) ON DELETE CASCADE);"
          "CREATE TABLE by_b (b REFERENCES x (b) ON DELETE CASCADE);"
          "INSERT INTO x VALUES ('a', 'One', 1, X'6f'), ('keep', 'Two', 2, 'o');"
          "INSERT INTO by_k VALUES ('ONE'), ('TWO'), ('on'), ('one ');"
          "INSERT INTO by_n VALUES ('1'), ('2'), ('x'), (NULL);"
          "INSERT INTO by_b VALUES (X'6f'), ('o'), (111);"),
      {"a", "b"});
}

TEST_CASE("a database in UTF-16 is served like any other", "[store][cascade]") {
  const auto* const encoding = GENERATE("UTF-16le", "UTF-16be");
  const auto database = three_sessions(
      "CREATE TABLE x (session_id VARCHAR REFERENCES sessions, n INTEGER PRIMARY KEY);"
      "CREATE TABLE y (n INTEGER REFERENCES x ON DELETE CASCADE, s VARCHAR UNIQUE REFERENCES "
      "sessions ON DELETE SET NULL);"
      "CREATE TABLE \"\u00e4\" (s VARCHAR REFERENCES sessions ON DELETE CASCADE);"
      "INSERT INTO x VALUES ('a', 1), ('keep', 2), ('b', 3);"
      "INSERT INTO y VALUES (1, 'keep'), (2, 'a');"
      "INSERT INTO \"\u00e4\" VALUES ('a'), ('keep'), ('b');",
      fmt::format("PRAGMA encoding = '{}';", encoding));
  REQUIRE(database.text("PRAGMA encoding") == encoding);

  StorePass pass(database);
  pass.look({"a", "b"});
  REQUIRE(pass.sessions().size() == 3);
  CHECK(pass.sessions().front().images_dir == "uploads/a");
  CHECK(pass.sessions().front().created_at == old_date);
  const auto deleted = delete_chosen(pass, pass.all());

  CHECK(deleted.refused.empty());
  CHECK(deleted.rows ==
        Counted{{"a", {{"x", 1}, {"y", 1}, {"\u00e4", 1}}}, {"b", {{"x", 1}, {"\u00e4", 1}}}});
  const std::map<std::string, std::vector<std::string>> left{
      {"sessions", {fmt::format("'keep', 'uploads/keep', '{}'", old_date)}},
      {"x", {"'keep', 2"}},
      {"y", {"2, NULL"}},
      {"\u00e4", {"'keep'"}}};
  CHECK(database.rows() == left);
}
