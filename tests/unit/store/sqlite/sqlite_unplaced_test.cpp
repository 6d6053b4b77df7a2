// Rows that no foreign key places for certain: they stay whatever goes, and are told of.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/unplaced.hpp"
#include "support/app_schemas.hpp"
#include "support/catch.hpp"
#include "unit/store/cascade_check.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

namespace {

/// What is told of each column: `a 2, gone 1, standing 1, unclear 3`, as far as there is any.
using Told = std::map<std::string, std::string>;

Told told(const Survey& survey, const std::vector<std::string>& going) {
  Told result;
  for (const auto& unplaced : survey.unplaced) {
    std::vector<std::string> parts;
    for (const auto& rows : unplaced.going) {
      parts.push_back(fmt::format("{} {}", going.at(rows.owner), rows.count));
    }
    if (unplaced.gone > 0) parts.push_back(fmt::format("gone {}", unplaced.gone));
    if (unplaced.standing > 0) parts.push_back(fmt::format("standing {}", unplaced.standing));
    if (unplaced.unclear > 0) parts.push_back(fmt::format("unclear {}", unplaced.unclear));
    if (!unplaced.unread.empty()) parts.push_back("unread: " + unplaced.unread);
    CHECK(result.emplace(unplaced.what, fmt::format("{}", fmt::join(parts, ", "))).second);
  }
  return result;
}

/// Deletes these sessions, all of which have to go, and what leaked.
Told told_by_deletion(const SessionDb& database, const std::vector<std::string>& going) {
  StorePass pass(database);
  pass.look(going);
  auto result = told(pass.survey(), going);
  const auto deleted = delete_chosen(pass, pass.all());
  CHECK(deleted.refused.empty());
  CHECK(deleted.outcome == CommitOutcome::committed);
  CHECK(deleted.surveyed == deleted.rows);
  for (const auto& id : going) {
    CHECK(database.number("SELECT count(*) FROM sessions WHERE id = " + literal(id)) == 0);
  }
  return result;
}

std::string rows_in(const SessionDb& database, const std::string& table) {
  return fmt::format("{}", fmt::join(database.rows().at(table), "; "));
}

}  // namespace

TEST_CASE("a key to columns that are not unique takes nothing along, sets nothing, holds nobody",
          "[store][unplaced]") {
  struct Parent {
    std::string columns;
    std::string index;
  };
  const auto parent = GENERATE(values<Parent>({
      {"n INTEGER PRIMARY KEY, s, k TEXT, j TEXT", ""},
      {"n INTEGER PRIMARY KEY, s, k TEXT, j TEXT", "CREATE INDEX i ON p (k)"},
      {"n INTEGER PRIMARY KEY, s, k TEXT, j TEXT", "CREATE UNIQUE INDEX i ON p (k) WHERE n < 0"},
      {"n INTEGER PRIMARY KEY, s, k TEXT, j TEXT", "CREATE UNIQUE INDEX i ON p (k || n)"},
      {"n INTEGER PRIMARY KEY, s, k TEXT, j TEXT", "CREATE UNIQUE INDEX i ON p (k, n)"},
      {"n INTEGER PRIMARY KEY, s, k TEXT, j TEXT, UNIQUE (k, j)", ""},
      {"n INTEGER PRIMARY KEY, s, k TEXT COLLATE NOCASE, j TEXT",
       "CREATE UNIQUE INDEX i ON p (k COLLATE BINARY)"},
      {"n INTEGER, s, k TEXT NOT NULL, j TEXT NOT NULL, PRIMARY KEY (k, j)", ""},
      {"n INTEGER, s, k TEXT NOT NULL, j TEXT NOT NULL, PRIMARY KEY (k, j)) WITHOUT ROWID --", ""},
  }));
  const auto* const action = GENERATE("", "ON DELETE CASCADE", "ON DELETE SET NULL",
                                      "ON DELETE SET DEFAULT", "ON DELETE RESTRICT");
  CAPTURE(parent.columns, parent.index, action);
  auto columns = parent.columns;
  columns.replace(columns.find(" s,"), 3, " s VARCHAR REFERENCES sessions ON DELETE CASCADE,");
  const bool folds = columns.find("NOCASE") != std::string::npos;
  const auto database = three_sessions(fmt::format(
      "CREATE TABLE p ({});\n; {}; CREATE TABLE c (k TEXT DEFAULT 'd' REFERENCES p (k) {}, m);"
      "INSERT INTO p VALUES (1, 'a', 'x', '1'), (2, 'keep', '{}', '2'), (3, 'a', 'y', '3'), "
      "(4, 'keep', 'z', '4'), (5, 'b', 'w', '5');"
      "INSERT INTO c VALUES ('x', 1), ('x', 2), ('y', 3), ('y', 4), ('z', 5), (NULL, 6), ('w', 7), "
      "('nowhere', 8);",
      columns, parent.index, action, folds ? "X" : "x"));
  REQUIRE(is_mismatch(database, "c"));
  const auto before = rows_in(database, "c");

  const auto said = told_by_deletion(database, {"a", "b"});

  CHECK(said == Told{{"c.k refers to p (k), which is not unique", "a 2, b 1, unclear 2"}});
  CHECK(rows_in(database, "c") == before);
  CHECK(database.text("SELECT group_concat(n) FROM (SELECT n FROM p ORDER BY n)") == "2,4");
}

TEST_CASE("what hangs on rows that nobody can place stays with them", "[store][unplaced]") {
  const auto database = three_sessions(
      "CREATE TABLE p (s VARCHAR REFERENCES sessions ON DELETE CASCADE, k TEXT);"
      "CREATE TABLE c (n INTEGER PRIMARY KEY, k TEXT REFERENCES p (k) ON DELETE CASCADE, s VARCHAR "
      "REFERENCES sessions ON DELETE CASCADE);"
      "CREATE TABLE below (c INTEGER REFERENCES c ON DELETE CASCADE);"
      "INSERT INTO p VALUES ('a', 'x'), ('keep', 'y');"
      "INSERT INTO c VALUES (1, 'x', NULL), (2, 'x', 'keep'), (3, 'x', 'b'), (4, 'y', 'b');"
      "INSERT INTO below VALUES (1), (2), (3), (4);");
  const auto said = told_by_deletion(database, {"a", "b"});
  // Those of b go by their other key, which means something.
  CHECK(said == Told{{"c.k refers to p (k), which is not unique", "a 2"}});
  CHECK(rows_in(database, "c") == "1, 'x', NULL; 2, 'x', 'keep'");
  CHECK(rows_in(database, "below") == "1; 2");
}

TEST_CASE("a key is followed wherever SQLite finds that it means something", "[store][unplaced]") {
  struct Key {
    std::string columns;
    std::string index;
    std::string reference;
  };
  const auto key = GENERATE(values<Key>({
      {"n INTEGER PRIMARY KEY, s, k TEXT", "", "n INTEGER REFERENCES p (N)"},
      {"n INTEGER PRIMARY KEY, s, k TEXT", "", "n INTEGER REFERENCES p"},
      {"n INTEGER PRIMARY KEY DESC, s, k TEXT", "", "n INTEGER REFERENCES p (n)"},
      {"n INT PRIMARY KEY, s, k TEXT", "", "n INTEGER REFERENCES p (n)"},
      {"n INTEGER, s, k TEXT, PRIMARY KEY (n)", "", "n INTEGER REFERENCES p"},
      {"n INTEGER PRIMARY KEY, s, k TEXT UNIQUE", "", "k TEXT REFERENCES p (K)"},
      {"n INTEGER PRIMARY KEY, s, k TEXT COLLATE NOCASE UNIQUE", "", "k TEXT REFERENCES p (k)"},
      {"n INTEGER PRIMARY KEY, s, k TEXT COLLATE RTRIM", "CREATE UNIQUE INDEX i ON p (k DESC)",
       "k TEXT REFERENCES p (k)"},
      {"n INTEGER PRIMARY KEY, s, k TEXT",
       "CREATE UNIQUE INDEX i ON p (k) WHERE n > 1; CREATE UNIQUE INDEX j ON p (k)",
       "k TEXT REFERENCES p (k)"},
      {"n INTEGER, s, k TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID --", "",
       "k TEXT REFERENCES p (k)"},
      {"n INTEGER, s, k TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID --", "", "k TEXT REFERENCES p"},
      {"n INTEGER, s, k TEXT, UNIQUE (k, n)", "",
       "n INTEGER, k TEXT, FOREIGN KEY (n, k) REFERENCES p (n, k)"},
      {"n INTEGER, s, k TEXT, PRIMARY KEY (k, n)", "",
       "k TEXT, n INTEGER, FOREIGN KEY (k, n) REFERENCES p"},
  }));
  CAPTURE(key.columns, key.index, key.reference);
  auto columns = key.columns;
  columns.replace(columns.find(" s,"), 3, " s VARCHAR REFERENCES sessions ON DELETE CASCADE,");
  const bool by_n = key.reference.find("n INTEGER") != std::string::npos;
  const bool by_k = key.reference.find("k TEXT") != std::string::npos;
  const auto database = three_sessions(
      fmt::format("CREATE TABLE p ({});\n; {}; CREATE TABLE c ({} ON DELETE CASCADE);"
                  "INSERT INTO p VALUES (1, 'a', 'x'), (2, 'keep', 'y'), (3, 'b', 'z');"
                  "INSERT INTO c ({}) SELECT {} FROM p",
                  columns, key.index, key.reference, by_n ? by_k ? "n, k" : "n" : "k",
                  by_n ? by_k ? "n, k" : "n" : "k"));
  REQUIRE(!is_mismatch(database, "c"));
  StorePass pass(database);
  pass.look({"a", "b"});
  CHECK(pass.survey().unplaced.empty());
  const auto deleted = check_goes_as_in_sqlite(database, {"a", "b"});
  CHECK(deleted.rows == Counted{{"a", {{"p", 1}, {"c", 1}}}, {"b", {{"p", 1}, {"c", 1}}}});
}

TEST_CASE(
    "a key that leads to no table, no column or no primary key leaves its rows, and is told of",
    "[store][unplaced]") {
  struct Case {
    std::string column;     ///< of the table extra
    std::string reference;  ///< its key
    std::string others;     ///< SQL
    std::string doubt;
    std::string said;
  };
  const auto c = GENERATE_COPY(values<Case>({
      {"session_id", "REFERENCES sessions_old (id)", "",
       "refers to no table that is there (sessions_old)", "a 2, b 1, gone 1, standing 1"},
      {"session_id", "REFERENCES Sessions_Old", "",
       "refers to no table that is there (Sessions_Old)", "a 2, b 1, gone 1, standing 1"},
      {"session_id", "REFERENCES seen (id)", "CREATE VIEW seen AS SELECT * FROM sessions",
       "refers to seen, which is no table", "a 2, b 1, gone 1, standing 1"},
      {"session_id", "REFERENCES p (nowhere)", "", "refers to no column that is there (p.nowhere)",
       "a 2, b 1, gone 1, standing 1"},
      {"session_id", "REFERENCES p", "",
       "refers to the primary key of p, which has none of 1 column",
       "a 2, b 1, gone 1, standing 1"},
      // Other columns may name anything.
      {"author", "REFERENCES sessions_old (id)", "",
       "refers to no table that is there (sessions_old)", "a 2, b 1, unclear 4"},
      {"author", "REFERENCES p (nowhere)", "", "refers to no column that is there (p.nowhere)",
       "a 2, b 1, unclear 4"},
  }));
  const auto* const action = GENERATE("", "ON DELETE CASCADE", "ON DELETE SET NULL");
  CAPTURE(c.column, c.reference, action);
  const auto database = three_sessions(fmt::format(
      "CREATE TABLE p (s VARCHAR REFERENCES sessions ON DELETE CASCADE); {};"
      "CREATE TABLE extra ({} VARCHAR {} {}, n INTEGER);"
      "INSERT INTO extra VALUES ('a', 1), ('keep', 2), ('a', 3), (NULL, 4), ('{}', 5), ('b', 6), "
      "('stereo_x_y', 7), ('no uuid', 8)",
      c.others, c.column, c.reference, action, uuid(1)));
  const auto before = rows_in(database, "extra");
  const auto said = told_by_deletion(database, {"a", "b"});
  CHECK(said == Told{{fmt::format("extra.{} {}", c.column, c.doubt), c.said}});
  CHECK(rows_in(database, "extra") == before);
}

TEST_CASE("keys that have nothing to do with sessions are nobody's business here",
          "[store][unplaced]") {
  const auto database = three_sessions(
      "CREATE TABLE device (id VARCHAR, name TEXT);"
      "CREATE TABLE part (device VARCHAR REFERENCES device (name) ON DELETE CASCADE, broken "
      "INTEGER REFERENCES device (nowhere), none INTEGER REFERENCES device);"
      "INSERT INTO device VALUES ('a', 'a'); INSERT INTO part VALUES ('a', 1, 1);"
      // A row that goes for certain is placed, whatever else its table refers to.
      "CREATE TABLE images (session_id VARCHAR REFERENCES sessions, device INTEGER REFERENCES "
      "gone_table); INSERT INTO images VALUES ('a', 7), ('keep', 7);");
  CHECK(told_by_deletion(database, {"a", "b"}).empty());
  CHECK(database.number("SELECT count(*) FROM part") == 1);
  CHECK(database.text("SELECT group_concat(session_id) FROM images") == "keep");
}

TEST_CASE("a column session_id without a key is told of where rows are left behind",
          "[store][unplaced]") {
  const auto* const columns = GENERATE(
      "session_id VARCHAR, n INTEGER", "Session_ID, n INTEGER PRIMARY KEY",
      "session_id VARCHAR NOT NULL, n INTEGER, PRIMARY KEY (session_id, n)) WITHOUT ROWID --",
      "session_id VARCHAR GENERATED ALWAYS AS (raw) VIRTUAL, n INTEGER, raw VARCHAR");
  CAPTURE(columns);
  const bool is_generated = std::string(columns).find("raw") != std::string::npos;
  const std::string column = std::string(columns).starts_with("S") ? "Session_ID" : "session_id";
  const auto a = uuid(1);
  const auto gone = uuid(2);
  const auto keep = uuid(3);
  const SessionDb database(fmt::format("{} CREATE TABLE notes ({});\n;", only_sessions, columns));
  database.add({a, keep});
  int n = 0;
  const auto note = [&](const std::string& key) {
    database.execute(fmt::format("INSERT INTO notes ({}, n) VALUES ({}, {})",
                                 is_generated ? "raw" : "session_id", literal(key), ++n));
  };
  for (const auto& key : {a, a, keep, std::string("no-uuid"), std::string("17")}) note(key);
  note(stereo(a, keep));
  note(stereo(keep, keep));
  SECTION("of sessions that go, and of some that are gone") {
    for (const auto& key : {gone, stereo(gone, keep), gone}) note(key);
    const auto before = rows_in(database, "notes");
    CHECK(told_by_deletion(database, {a}) ==
          Told{{"notes." + column + " has no foreign key to sessions", a + " 3, gone 3"}});
    CHECK(rows_in(database, "notes") == before);
  }
  SECTION("but nobody nags as long as their sessions stand") {
    CHECK(told_by_deletion(database, {}).empty());
  }
}

TEST_CASE("the table of images is told of without a key, also while its sessions stand",
          "[store][unplaced]") {
  const SessionDb database(
      std::string(only_sessions) +
      "CREATE TABLE other (id VARCHAR PRIMARY KEY); CREATE TABLE calibration_images (session_id "
      "VARCHAR " +
      GENERATE("", "REFERENCES other (id)") + ", n INTEGER)");
  database.add({"a", "keep"});
  CHECK(told_by_deletion(database, {}).empty());
  database.execute("INSERT INTO calibration_images VALUES ('keep', 1), ('a', 2)");
  const auto said = told_by_deletion(database, {"a"});
  REQUIRE(said.size() == 1);
  CHECK(said.begin()->second == "a 1, standing 1");
  CHECK(database.number("SELECT count(*) FROM calibration_images") == 2);
}

TEST_CASE("a session_id that means another table's rows belongs to those", "[store][unplaced]") {
  const auto a = uuid(1);
  const SessionDb database(fmt::format(
      "{0} CREATE TABLE live (id VARCHAR PRIMARY KEY, session_id VARCHAR REFERENCES sessions);"
      "CREATE TABLE frames (session_id VARCHAR REFERENCES live (id), n INTEGER);"
      "CREATE TABLE shop (id VARCHAR PRIMARY KEY);"
      "CREATE TABLE basket (session_id VARCHAR REFERENCES shop (id) ON DELETE CASCADE, n INTEGER);"
      "INSERT INTO shop VALUES ('{2}'), ('b'); INSERT INTO basket VALUES ('{2}', 1), ('b', 2);"
      "INSERT INTO live VALUES ('{3}', '{1}'); INSERT INTO frames VALUES ('{3}', 1);",
      only_sessions, a, uuid(7), uuid(8)));
  database.add({a, "b"});
  CHECK(told_by_deletion(database, {a, "b"}).empty());
  CHECK(database.number("SELECT count(*) FROM frames") == 0);
  CHECK(database.number("SELECT count(*) FROM basket") == 2);

  // As where `sessions` was renamed and made anew, and the old one was kept.
  database.add({a});
  database.execute(fmt::format("INSERT INTO basket VALUES ('{}', 3)", a));
  CHECK(told_by_deletion(database, {a}) ==
        Told{{"basket.session_id refers to shop, not to sessions", a + " 1"}});
  CHECK(database.number("SELECT count(*) FROM basket") == 3);
}

TEST_CASE("where ids of sessions are not unique, no key to them means anything",
          "[store][unplaced]") {
  const auto* const index = GENERATE("", "CREATE INDEX i ON sessions (id)",
                                     "CREATE UNIQUE INDEX i ON sessions (id) WHERE id > 'b'",
                                     "CREATE UNIQUE INDEX i ON sessions (id, created_at)");
  const auto* const reference = GENERATE("REFERENCES sessions (id)", "REFERENCES sessions");
  const auto* const column = GENERATE("session_id", "author");
  CAPTURE(index, reference, column);
  const SessionDb database(
      fmt::format("CREATE TABLE sessions (id VARCHAR, images_dir VARCHAR, created_at DATETIME); {};"
                  "CREATE TABLE extra ({} VARCHAR {} ON DELETE CASCADE, n INTEGER);",
                  index, column, reference));
  database.add({"a", "keep"});
  database.execute(
      fmt::format("INSERT INTO extra VALUES ('a', 1), ('keep', 2), ('{}', 3)", uuid(1)));
  REQUIRE(is_mismatch(database, "extra"));
  const auto said = told_by_deletion(database, {"a"});
  REQUIRE(said.size() == 1);
  CHECK(said.begin()->second ==
        (std::string(column) == "session_id" ? "a 1, gone 1, standing 1" : "a 1, unclear 2"));
  CHECK(database.number("SELECT count(*) FROM extra") == 3);
}

TEST_CASE("a leaked record goes by a key that means something, and by no other",
          "[store][unplaced][leaked]") {
  const auto gone = uuid(1);
  const auto database = three_sessions(fmt::format(
      "CREATE TABLE images (session_id VARCHAR REFERENCES sessions, path TEXT);"
      "CREATE TABLE by_path (path TEXT REFERENCES images (path) ON DELETE CASCADE);"
      "CREATE TABLE keyless (session_id VARCHAR);"
      "CREATE TABLE broken (session_id VARCHAR REFERENCES sessions_old ON DELETE CASCADE);"
      "CREATE TABLE unclear (session_id VARCHAR REFERENCES keyless (session_id) ON DELETE CASCADE);"
      "INSERT INTO images VALUES ('{0}', 'x'); INSERT INTO by_path VALUES ('x');"
      "INSERT INTO keyless VALUES ('{0}'); INSERT INTO broken VALUES ('{0}');"
      "INSERT INTO unclear VALUES ('{0}')",
      gone));
  const auto said = told_by_deletion(database, {});
  CHECK(said ==
        Told{{"by_path.path refers to images (path), which is not unique", "gone 1"},
             {"keyless.session_id has no foreign key to sessions", "gone 1"},
             {"broken.session_id refers to no table that is there (sessions_old)", "gone 1"},
             {"unclear.session_id has no foreign key to sessions", "gone 1"}});
  CHECK(database.number("SELECT count(*) FROM images") == 0);
  for (const auto* const table : {"by_path", "keyless", "broken", "unclear"}) {
    CHECK(database.number(fmt::format("SELECT count(*) FROM {}", table)) == 1);
  }
}

TEST_CASE("a table that cannot be read keeps nobody from going", "[store][unplaced]") {
  const auto* const column =
      GENERATE("session_id AS (abs(n))", "session_id AS (CAST(hex(zeroblob(20000000)) AS TEXT))",
               "session_id TEXT; ALTER TABLE notes ADD COLUMN rowid; ALTER TABLE notes ADD COLUMN "
               "oid; ALTER TABLE notes ADD COLUMN _rowid_");
  const auto database = three_sessions(
      fmt::format("CREATE TABLE notes (n INTEGER); INSERT INTO notes VALUES (-9223372036854775807 "
                  "- 1); ALTER TABLE notes ADD COLUMN {}",
                  column));
  const auto said = told_by_deletion(database, {"a", "b"});
  REQUIRE(said.size() == 1);
  CHECK(said.begin()->first == "notes.session_id has no foreign key to sessions");
  CHECK_THAT(said.begin()->second, Catch::Matchers::StartsWith("unread: "));
}

TEST_CASE("a session that was added meanwhile is not taken for one that is gone",
          "[store][unplaced]") {
  const SessionDb database(std::string(only_sessions) + "CREATE TABLE notes (session_id VARCHAR)");
  auto store = database.open();
  store->visit_sessions([](const SessionRow&) {});
  database.add({uuid(1)});
  database.execute(fmt::format("INSERT INTO notes VALUES ('{}'), ('{}')", uuid(1), uuid(2)));
  CHECK(told(store->survey({}, Leaked::wanted), {}) ==
        Told{{"notes.session_id has no foreign key to sessions", "gone 1"}});
}

TEST_CASE("the app's own schemas give nothing to tell", "[store][unplaced]") {
  const bool june = GENERATE(true, false);
  const auto* const schema =
      june ? schema_june_2025 : GENERATE(schema_october_2025, schema_current);
  const SessionDb database(schema);
  const auto a = uuid(1);
  const auto keep = uuid(2);
  for (const auto& id : {a, keep}) {
    database.execute(june ? fmt::format("INSERT INTO sessions VALUES ('{}', '{}')", id, old_date)
                          : fmt::format("INSERT INTO sessions VALUES ('{0}', 'uploads/{0}', '{1}')",
                                        id, old_date));
  }
  for (const auto& key : {a, keep, uuid(3), std::string("no-uuid"), stereo(a, keep)}) {
    database.execute(
        fmt::format("INSERT INTO calibration_parameters (session_id) VALUES ({})", literal(key)));
  }
  CHECK(told_by_deletion(database, {a}).empty());
}

TEST_CASE("what is said of unplaced rows names the sessions that go, but not all of a thousand",
          "[store][unplaced]") {
  std::vector<DoomedKey> keys;
  for (const auto* const id : {"a", "b", "c", "d", "e"}) keys.push_back({id, 0});
  Unplaced unplaced;
  unplaced.what = "t.session_id has no foreign key to sessions";
  unplaced.remedy = "give it one";
  for (OwnerIndex i = 0; i < 5; ++i) unplaced.going.push_back({i, i + 1});
  const std::string start = "t.session_id has no foreign key to sessions; its rows stay: ";
  const std::string end = "; give it one, or delete by hand what is not wanted";

  auto note = note_of(unplaced, keys, {});
  REQUIRE(note);
  CHECK(note->is_failure);
  CHECK(note->text == start + "15 rows of 5 sessions that go (a, b, c and 2 more)" + end);

  unplaced.gone = 1;
  note = note_of(unplaced, keys, {0, 1, 2, 3});
  REQUIRE(note);
  CHECK(note->is_failure);
  CHECK(note->text ==
        start + "5 rows of 1 session that goes (e), 1 row of sessions that are gone" + end);

  note = note_of(unplaced, keys, {0, 1, 2, 3, 4});
  REQUIRE(note);
  CHECK(!note->is_failure);
  CHECK(note->text == start + "1 row of sessions that are gone" + end);

  unplaced.gone = 0;
  CHECK(!note_of(unplaced, keys, {0, 1, 2, 3, 4}));
}
