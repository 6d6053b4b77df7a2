// Rows below rows of sessions, in tables without an index: they are found before the lock is taken,
// and what came meanwhile is found under it.
#include <fmt/format.h>
#include <sqlite3.h>

#include "support/catch.hpp"
#include "unit/store/cascade_check.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

namespace {

/// Counts what SQLite's virtual machine does in write transactions of this process, but for those
/// on other threads: steps say how much was read, and no clock is asked.
class StepsUnderLock {
 public:
  StepsUnderLock() {
    steps = 0;
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(&StepsUnderLock::on_open));
  }
  ~StepsUnderLock() {
    sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(&StepsUnderLock::on_open));
  }
  StepsUnderLock(const StepsUnderLock&) = delete;
  StepsUnderLock& operator=(const StepsUnderLock&) = delete;
  StepsUnderLock(StepsUnderLock&&) = delete;
  StepsUnderLock& operator=(StepsUnderLock&&) = delete;

  [[nodiscard]] static std::int64_t count() { return steps; }

 private:
  static int on_open(sqlite3* database, char**, const sqlite3_api_routines*) {
    return sqlite3_trace_v2(database, SQLITE_TRACE_PROFILE, &StepsUnderLock::on_end, database);
  }
  static int on_end(unsigned, void* database, void* statement, void*) {
    const int made =
        sqlite3_stmt_status(static_cast<sqlite3_stmt*>(statement), SQLITE_STMTSTATUS_VM_STEP, 1);
    if (sqlite3_txn_state(static_cast<sqlite3*>(database), "main") == SQLITE_TXN_WRITE) {
      steps += made;
    }
    return 0;
  }
  static inline std::int64_t steps = 0;
};

/// Two images of each session, 0 to `sessions` - 1, and `corners` of each image, by `action`.
SessionDb with_corners(unsigned sessions, unsigned corners, const std::string& action) {
  SessionDb database(
      fmt::format("{} CREATE TABLE images (n INTEGER PRIMARY KEY, session_id VARCHAR REFERENCES "
                  "sessions ON DELETE CASCADE);"
                  "CREATE TABLE corners (x INTEGER, image INTEGER REFERENCES images {});",
                  only_sessions, action));
  std::vector<std::string> ids;
  for (unsigned i = 0; i < sessions; ++i) ids.push_back(uuid(i));
  database.add(ids);
  database.execute(
      fmt::format("INSERT INTO images (session_id) SELECT id FROM sessions ORDER BY id;"
                  "INSERT INTO images (session_id) SELECT id FROM sessions ORDER BY id;"
                  "WITH RECURSIVE x (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM x WHERE x < {}) "
                  "INSERT INTO corners SELECT x, n FROM images, x ORDER BY n, x",
                  corners));
  return database;
}

std::int64_t steps_to_delete_two(unsigned sessions, const std::string& action) {
  const auto database = with_corners(sessions, 10, action);
  if (action == "ON DELETE RESTRICT") {
    database.execute(
        fmt::format("DELETE FROM corners WHERE image IN (SELECT n FROM images WHERE session_id IN "
                    "('{}', '{}'))",
                    uuid(0), uuid(1)));
  }
  const StepsUnderLock steps;
  const auto deleted = delete_sessions(database, {uuid(0), uuid(1)});
  CHECK(deleted.refused.empty());
  CHECK(deleted.rows.size() == 2);
  REQUIRE(steps.count() > 0);
  return steps.count();
}

}  // namespace

TEST_CASE("what is not concerned below rows of sessions is not read under the lock",
          "[store][deeper]") {
  const auto* const action =
      GENERATE("ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT");
  CAPTURE(action);
  const auto with_few = steps_to_delete_two(4, action);
  const auto with_many = steps_to_delete_two(2000, action);
  // 40,000 rows would be as many steps at least.
  CHECK(with_many < with_few + 2000);
}

TEST_CASE("where the newest rows went with a slice, the next one need not read what is below them",
          "[store][deeper][slices]") {
  const auto database = with_corners(2000, 10, "ON DELETE CASCADE");
  std::vector<std::string> newest;
  for (unsigned i = 1000; i < 2000; ++i) newest.push_back(uuid(i));
  auto doomed = newest;
  doomed.push_back(uuid(0));
  const StepsUnderLock steps;
  StorePass pass(database);
  pass.look(doomed);
  {
    const auto first = pass.begin();
    CHECK(first->choose(pass.owners(newest)).empty());
    finish(pass, *first);
  }
  const auto before = steps.count();
  const auto second = pass.begin();
  CHECK(second->choose(pass.owners({uuid(0)})).empty());
  finish(pass, *second);
  REQUIRE(steps.count() > before);
  CHECK(steps.count() - before < 4000);
}

TEST_CASE("where others took the newest rows, not much below them is read under the lock",
          "[store][deeper]") {
  const auto database = with_corners(2000, 10, "ON DELETE CASCADE");
  const StepsUnderLock steps;
  StorePass pass(database);
  pass.look({uuid(0)});
  const auto before = steps.count();
  database.execute("DELETE FROM corners WHERE rowid > 39900");
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  finish(pass, *transaction);
  REQUIRE(steps.count() > before);
  CHECK(steps.count() - before < 12'000);
}

TEST_CASE("below rows of sessions as much goes as in SQLite's own cascade, however long it is read",
          "[store][deeper]") {
  const auto* const action = GENERATE("ON DELETE CASCADE", "ON DELETE SET NULL");
  CAPTURE(action);
  const auto database = with_corners(1500, 5, action);
  // Gaps, of which some end where the table does.
  database.execute(
      "DELETE FROM corners WHERE rowid % 7 = 0;"
      "INSERT INTO corners (rowid, image) VALUES (-9223372036854775808, 2), (-5, 3), (0, 3000), "
      "(1099511627776, 1), (9223372036854775807, 2)");
  std::vector<std::string> doomed;
  for (unsigned i = 0; i < 1500; i += 3) doomed.push_back(uuid(i));
  check_goes_as_in_sqlite(database, doomed);
}

TEST_CASE("what came below rows of sessions since the survey goes along", "[store][deeper]") {
  const auto* const action = GENERATE("ON DELETE CASCADE", "ON DELETE SET NULL");
  CAPTURE(action);
  const auto database = with_corners(4, 3, action);
  StorePass pass(database);
  pass.look({uuid(0), uuid(1)});
  const auto newest = database.number("SELECT max(rowid) FROM corners");
  SECTION("below a row that was there, and below one that was not") {
    database.execute(
        fmt::format("INSERT INTO images VALUES (100, '{}'), (101, '{}');"
                    "INSERT INTO corners (image) VALUES (100), (101), (1), (3)",
                    uuid(1), uuid(3)));
  }
  SECTION("in the place of the newest ones, gone meanwhile") {
    database.execute(
        fmt::format("DELETE FROM corners WHERE rowid > {} - 4;"
                    "INSERT INTO corners (image) VALUES (1), (3), (2), (4), (1)",
                    newest));
  }
  SECTION("in the place of all of them") {
    database.execute("DELETE FROM corners; INSERT INTO corners (image) VALUES (1), (3), (2), (4)");
  }
  SECTION("where no higher rowid is left") {
    database.execute(
        "INSERT INTO corners (rowid, image) VALUES (9223372036854775807, 3);"
        "INSERT INTO corners (image) VALUES (1), (3), (2), (4)");
  }
  SECTION("in the second of two slices, the newest ones gone with the first") {
    const auto first = pass.begin();
    CHECK(first->choose(pass.owners({uuid(0)})).empty());
    finish(pass, *first);
    database.execute("INSERT INTO corners (image) VALUES (2), (3), (2)");
  }
  const auto going = std::vector{uuid(0), uuid(1)};
  const auto expected = rows_after_sqlites_own_cascade(database, going);
  const auto transaction = pass.begin();
  static_cast<void>(transaction->choose(pass.all()));
  finish(pass, *transaction);
  CHECK(database.rows() == *expected);
}

TEST_CASE("what went, or went over to others, below rows of sessions meanwhile is left alone",
          "[store][deeper]") {
  const auto* const action = GENERATE("ON DELETE CASCADE", "ON DELETE SET NULL");
  CAPTURE(action);
  const auto database = with_corners(4, 3, action);
  StorePass pass(database);
  pass.look({uuid(0), uuid(1)});
  // Other corners, where those of the first image stood; others' images, where one of them stood.
  database.execute(
      fmt::format("UPDATE corners SET image = 3 WHERE image = 1;"
                  "UPDATE images SET session_id = '{}' WHERE n = 2",
                  uuid(3)));
  const auto expected = rows_after_sqlites_own_cascade(database, {uuid(0), uuid(1)});
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  finish(pass, *transaction);
  CHECK(database.rows() == *expected);
}

TEST_CASE("a row that holds one below, and came since the survey, holds the session",
          "[store][deeper][hold]") {
  const auto database = with_corners(4, 3, "ON DELETE CASCADE");
  database.execute("CREATE TABLE best (image INTEGER REFERENCES images)");
  if (GENERATE(false, true)) database.execute("INSERT INTO best VALUES (3), (4)");
  StorePass pass(database);
  pass.look({uuid(0), uuid(1)});
  CHECK(pass.survey().refused.empty());
  database.execute("INSERT INTO best VALUES (2)");
  const auto transaction = pass.begin();
  CHECK(pass.named(transaction->choose(pass.all())) == Refused{{uuid(1), "held by best.image"}});
  finish(pass, *transaction);
  CHECK(database.number("SELECT count(*) FROM sessions") == 3);
  CHECK(database.number("SELECT count(*) FROM corners") == 18);
}

TEST_CASE("a row that was there, and refers to what goes since the survey, holds it or goes along",
          "[store][deeper][hold]") {
  const auto* const action = GENERATE("ON DELETE CASCADE", "ON DELETE SET NULL", "");
  // Whoever has more rows than are read again is looked up.
  const bool is_large = GENERATE(false, true);
  CAPTURE(action, is_large);
  const auto database = with_corners(4, 3, "ON DELETE CASCADE");
  database.execute(
      fmt::format("CREATE TABLE best (n INTEGER PRIMARY KEY, image INTEGER REFERENCES images {0},"
                  "owner VARCHAR REFERENCES sessions {0});"
                  "INSERT INTO best VALUES (1, 3, NULL), (5, NULL, '{1}'), (9, NULL, NULL)",
                  action, uuid(3)));
  if (is_large) {
    database.execute(
        "CREATE INDEX by_image ON best (image); CREATE INDEX by_owner ON best (owner);"
        "WITH RECURSIVE n (n) AS (VALUES (10) UNION ALL SELECT n + 1 FROM n WHERE n < 30000) "
        "INSERT INTO best (n) SELECT n FROM n");
  }
  StorePass pass(database);
  pass.look({uuid(0), uuid(1)});
  CHECK(pass.survey().refused.empty());
  SECTION("by an update") { database.execute("UPDATE best SET image = 1 WHERE n = 1"); }
  if (action != std::string("ON DELETE CASCADE")) {
    SECTION("by an update that names the session") {
      database.execute(fmt::format("UPDATE best SET owner = '{}' WHERE n = 5", uuid(0)));
    }
  }
  SECTION("by a row in a gap") { database.execute("INSERT INTO best VALUES (3, 1, NULL)"); }
  SECTION("by a row below all others") {
    database.execute("INSERT INTO best VALUES (-7, 1, NULL)");
  }
  SECTION("by a row in another one's place") {
    database.execute("INSERT OR REPLACE INTO best VALUES (5, 1, NULL)");
  }
  SECTION("by the same rows made anew") {
    database.execute(
        "DELETE FROM best WHERE n >= 5; DELETE FROM corners WHERE rowid > 20;"
        "INSERT INTO best VALUES (5, 1, NULL), (9, NULL, NULL)");
  }
  const auto expected = rows_after_sqlites_own_cascade(database, {uuid(0), uuid(1)});
  const auto transaction = pass.begin();
  const auto refused = pass.named(transaction->choose(pass.all()));
  finish(pass, *transaction);
  CHECK(refused.empty() == expected.has_value());
  CHECK(refused.contains(uuid(0)) == !expected.has_value());
  CHECK(refused.contains(uuid(1)) == false);
  if (expected) CHECK(database.rows() == *expected);
  CHECK(database.number("SELECT count(*) FROM pragma_foreign_key_check") == 0);
}

TEST_CASE("rows without rowids are looked up where their key begins with what they refer to",
          "[store][deeper]") {
  const auto steps_of = [](unsigned others) {
    const auto database = with_corners(2, 3, "ON DELETE CASCADE");
    database.execute(fmt::format(
        "CREATE TABLE points (image INTEGER REFERENCES images ON DELETE CASCADE, x INTEGER, "
        "PRIMARY KEY (image, x)) WITHOUT ROWID;"
        "WITH RECURSIVE x (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM x WHERE x < {}) "
        "INSERT INTO points SELECT 2, x FROM x; INSERT INTO points VALUES (1, 1), (1, 2)",
        others));
    const StepsUnderLock steps;
    const auto deleted = delete_sessions(database, {uuid(0)});
    CHECK(deleted.rows.at(uuid(0)).at("points") == 2);
    return steps.count();
  };
  CHECK(steps_of(20'000) < steps_of(100) + 1000);
}

TEST_CASE("values are compared as the type of what they refer to", "[store][deeper]") {
  const auto database = three_sessions(
      "CREATE TABLE images (code TEXT UNIQUE, session_id VARCHAR REFERENCES sessions ON DELETE "
      "CASCADE);"
      "CREATE TABLE corners (code INTEGER REFERENCES images (code) ON DELETE CASCADE);"
      "INSERT INTO images VALUES ('01', 'a'), ('1', 'keep'), ('2', 'b');"
      "INSERT INTO corners VALUES (1), (2);");
  const auto deleted = delete_sessions(database, {"a", "b"});
  CHECK(deleted.refused.empty());
  CHECK(database.text("SELECT group_concat(code) FROM corners") == "1");
}
