// What belongs to a session is what the foreign keys of the database say, whatever the tables and
// columns are called and however they are made.
#include <fmt/format.h>

#include <set>

#include "support/app_schemas.hpp"
#include "support/catch.hpp"
#include "unit/store/cascade_check.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("in each schema that stands on disks, every table's rows of a session go and are counted",
          "[store][schema]") {
  const bool june = GENERATE(true, false);
  const auto* const schema =
      june ? schema_june_2025 : GENERATE(schema_october_2025, schema_current);
  const SessionDb database(schema);
  for (const auto* const id : {"a", "b", "keep"}) {
    database.execute(june ? fmt::format("INSERT INTO sessions VALUES ('{}', '{}')", id, old_date)
                          : fmt::format("INSERT INTO sessions VALUES ('{0}', 'uploads/{0}', '{1}')",
                                        id, old_date));
    const std::string path = june ? "NULL" : "'x.png'";
    for (int i = 0; i < 3; ++i) {
      database.execute(fmt::format(
          "INSERT INTO calibration_images (session_id, image_path) VALUES ('{}', {})", id, path));
    }
    database.execute(
        fmt::format("INSERT INTO calibration_parameters (session_id) VALUES ('{}')", id));
  }

  StorePass pass(database);
  pass.look({"a", "b"});
  const auto deleted = delete_chosen(pass, pass.all());

  CHECK(deleted.outcome == CommitOutcome::committed);
  const Counted expected{{"a", {{"calibration_images", 3}, {"calibration_parameters", 1}}},
                         {"b", {{"calibration_images", 3}, {"calibration_parameters", 1}}}};
  CHECK(deleted.rows == expected);
  CHECK(deleted.surveyed == expected);
  CHECK(database.text("SELECT group_concat(id) FROM sessions") == "keep");
  CHECK(database.number("SELECT count(*) FROM calibration_images WHERE session_id = 'keep'") == 3);
  CHECK(database.number("SELECT count(*) FROM calibration_images") == 3);
  CHECK(database.number("SELECT count(*) FROM calibration_parameters") == 1);
  for (const auto& session : pass.sessions()) CHECK(session.has_images_dir != june);
}

TEST_CASE("every table with rows of sessions is listed, and sessions itself is not",
          "[store][schema]") {
  const SessionDb database(fmt::format(
      "{} CREATE TABLE deeper (image INTEGER REFERENCES calibration_images ON DELETE CASCADE);"
      "CREATE TABLE stranger (session_id VARCHAR);",
      schema_current));
  StorePass pass(database);
  pass.look({});
  const std::set<std::string> tables(pass.survey().tables.begin(), pass.survey().tables.end());
  CHECK(tables == std::set<std::string>{"calibration_images", "calibration_results",
                                        "calibration_parameters", "stereo_calibration_results",
                                        "live_capture_sessions", "calibration_quality_metrics",
                                        "deeper"});
}

TEST_CASE("a key that says NO ACTION or RESTRICT hangs where its column is named session_id",
          "[store][schema]") {
  const auto* const action = GENERATE("", "ON DELETE NO ACTION", "ON DELETE RESTRICT");
  const auto* const column = GENERATE("session_id", "Session_ID");
  CAPTURE(action, column);
  const auto database = three_sessions(
      fmt::format("CREATE TABLE extra (n INTEGER, {} VARCHAR REFERENCES sessions (id) {});"
                  "INSERT INTO extra VALUES (1, 'a'), (2, 'keep'), (3, 'a'), (4, NULL), (5, 'b');",
                  column, action));

  const auto deleted = delete_sessions(database, {"a", "b"});

  CHECK(deleted.refused.empty());
  CHECK(deleted.rows == Counted{{"a", {{"extra", 2}}}, {"b", {{"extra", 1}}}});
  CHECK(database.text("SELECT group_concat(n) FROM extra") == "2,4");
}

TEST_CASE("a key that says NO ACTION or RESTRICT holds the session where its column is named else",
          "[store][schema]") {
  const auto* const action = GENERATE("", "ON DELETE NO ACTION", "ON DELETE RESTRICT");
  const auto* const column = GENERATE("session", "sessions_id", "session_id2", "owner");
  CAPTURE(action, column);
  const auto database = three_sessions(
      fmt::format("CREATE TABLE extra (n INTEGER, {} VARCHAR REFERENCES sessions (id) {});"
                  "INSERT INTO extra VALUES (1, 'a'), (2, 'keep'), (3, NULL);",
                  column, action));

  const auto deleted = delete_sessions(database, {"a", "b"});

  const Refused held{{"a", fmt::format("held by extra.{}", column)}};
  CHECK(deleted.surveyed_refused == held);
  CHECK(deleted.refused == held);
  CHECK(database.text("SELECT group_concat(id) FROM (SELECT id FROM sessions ORDER BY id)") ==
        "a,keep");
  CHECK(database.number("SELECT count(*) FROM extra") == 3);
}

TEST_CASE("a session's rows hang by CASCADE whatever the column's and the table's name",
          "[store][schema]") {
  struct Names {
    std::string table;
    std::string column;
  };
  const auto names = GENERATE(values<Names>({
      {"extra", "author"},
      {"two words", "two words"},
      {"quo\"te", "or\"der"},
      {"quo''te", "it's"},
      {"select", "from"},
      {"zahl_\u00e4", "\u00fcber"},
      {"a.b", "c.d"},
      {"{}", "{0}"},
      {"%s", "?1"},
      {"back`tick", "back`tick"},
      {"[bracket]", "[bracket"},
      {"main", "temp"},
      {"c", "c"},
      {"g", "owner"},
      {"calib_cleanup_owner", "key"},
      {"calib_cleanup_going_1", "c0"},
  }));
  CAPTURE(names.table, names.column);
  const auto name = [](const std::string& text) {
    std::string result;
    for (const char c : text) result.append(c == '"' ? 2 : 1, c);
    return fmt::format("\"{}\"", result);
  };
  // A second level, so that the table is both a child and a parent.
  const auto database = three_sessions(fmt::format(
      "CREATE TABLE {0} ({1} VARCHAR REFERENCES sessions (id) ON DELETE CASCADE, n INTEGER UNIQUE);"
      "CREATE TABLE below ({1} INTEGER REFERENCES {0} (n) ON DELETE CASCADE, m INTEGER);"
      "INSERT INTO {0} VALUES ('a', 1), ('keep', 2), ('b', 3), ('a', 4), (NULL, 5);"
      "INSERT INTO below VALUES (1, 10), (2, 20), (3, 30), (3, 31), (NULL, 40), (5, 50);",
      name(names.table), name(names.column)));

  const auto deleted = check_goes_as_in_sqlite(database, {"a", "b"});

  CHECK(deleted.rows ==
        Counted{{"a", {{names.table, 2}, {"below", 1}}}, {"b", {{names.table, 1}, {"below", 2}}}});
}

TEST_CASE("a key to sessions counts however it is spelled", "[store][schema]") {
  const auto* const reference =
      GENERATE("REFERENCES SESSIONS(ID)", "REFERENCES Sessions", "REFERENCES sessions",
               "REFERENCES \"sessions\" (\"Id\")", "CONSTRAINT x REFERENCES [sessions]([id])");
  CAPTURE(reference);
  const auto database = three_sessions(
      fmt::format("CREATE TABLE extra (author VARCHAR {0} ON DELETE CASCADE, n INTEGER);"
                  "CREATE TABLE extra2 (session_id VARCHAR {0}, n INTEGER);"
                  "INSERT INTO extra VALUES ('a', 1), ('keep', 2);"
                  "INSERT INTO extra2 VALUES ('a', 1), ('keep', 2);",
                  reference));
  const auto deleted = delete_sessions(database, {"a", "b"});
  CHECK(deleted.rows == Counted{{"a", {{"extra", 1}, {"extra2", 1}}}});
  CHECK(database.text("SELECT group_concat(n) FROM extra") == "2");
  CHECK(database.text("SELECT group_concat(n) FROM extra2") == "2");
}

TEST_CASE("a table is served also where its columns hide the names of its rowid",
          "[store][schema]") {
  struct Columns {
    std::string definitions;
    std::string key;  ///< a constraint, where the rows need another name
  };
  const auto columns = GENERATE(values<Columns>({
      {"rowid VARCHAR", ""},
      {"oid VARCHAR", ""},
      {"_rowid_ VARCHAR", ""},
      {"ROWID VARCHAR, OID VARCHAR", ""},
      {"rowid VARCHAR, _rowid_ VARCHAR", ""},
      {"rowid INTEGER PRIMARY KEY, oid TEXT", ""},
      {"rowid, oid, _rowid_, id INTEGER PRIMARY KEY", ""},
      {"rowid TEXT, oid TEXT, _rowid_ TEXT", ", PRIMARY KEY (n)"},
      {"rowid TEXT, oid TEXT, _rowid_ TEXT", ", PRIMARY KEY (session_id, n)"},
  }));
  CAPTURE(columns.definitions, columns.key);
  const auto database = three_sessions(fmt::format(
      "CREATE TABLE extra ({}, session_id VARCHAR NOT NULL REFERENCES sessions ON DELETE "
      "CASCADE, n INTEGER NOT NULL UNIQUE{});"
      "CREATE TABLE below (n INTEGER REFERENCES extra (n) ON DELETE CASCADE);"
      "INSERT INTO extra (session_id, n) VALUES ('a', 1), ('keep', 2), ('a', 3), ('b', 4), "
      "('keep', 5);"
      "INSERT INTO below SELECT n FROM extra;",
      columns.definitions, columns.key));

  const auto deleted = check_goes_as_in_sqlite(database, {"a", "b"});

  CHECK(deleted.rows ==
        Counted{{"a", {{"extra", 2}, {"below", 2}}}, {"b", {{"extra", 1}, {"below", 1}}}});
}

TEST_CASE("a table whose rows cannot be told apart is refused, not guessed at", "[store][schema]") {
  // With rowids, SQLite takes any number of NULLs into a primary key.
  const auto* const key = GENERATE("", ", PRIMARY KEY (n)", ", PRIMARY KEY (session_id, n)");
  CAPTURE(key);
  const SessionDb database(fmt::format(
      "{} CREATE TABLE extra (rowid TEXT, oid TEXT, _rowid_ TEXT, n TEXT, session_id VARCHAR "
      "REFERENCES sessions ON DELETE CASCADE{});",
      only_sessions, key));
  const auto error = store_error_of([&] { return database.open(); });
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::unusable);
  CHECK_THAT(error->what(), Catch::Matchers::ContainsSubstring("extra"));
}

TEST_CASE("a table that only looks like it is left alone: the keys count, not the names",
          "[store][schema]") {
  const auto database = three_sessions(
      "CREATE TABLE log (session_id VARCHAR, sessions VARCHAR);"
      "CREATE TABLE other (id INTEGER PRIMARY KEY);"
      "CREATE TABLE below (session_id INTEGER REFERENCES other ON DELETE CASCADE);"
      "CREATE VIEW names AS SELECT id AS session_id FROM sessions;"
      "INSERT INTO log VALUES ('a', 'a'), ('00000000-0000-4000-8000-000000000000', 'x');"
      "INSERT INTO other VALUES (1); INSERT INTO below VALUES (1);");
  const auto deleted = delete_sessions(database, {"a", "b"});
  CHECK(deleted.rows.empty());
  CHECK(deleted.outcome == CommitOutcome::committed);
  CHECK(database.number("SELECT count(*) FROM log") == 2);
  CHECK(database.number("SELECT count(*) FROM below") == 1);
  CHECK(database.text("SELECT group_concat(id) FROM sessions") == "keep");
}
