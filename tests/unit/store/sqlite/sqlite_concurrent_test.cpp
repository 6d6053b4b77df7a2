// The app at work on the same database: locks on either side, and changes while it is read.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;

namespace {

/// A reader of the app's, in the middle of its work: it holds the lock that readers share.
class Reader {
 public:
  explicit Reader(const SessionDb& database)
      : connection_(database.connect()), rows_(connection_, "SELECT id FROM sessions") {
    rows_.executeStep();
  }
  void end() { rows_.reset(); }

 private:
  SQLite::Database connection_;
  SQLite::Statement rows_;
};

}  // namespace

TEST_CASE("what was not committed is undone when the transaction goes", "[store][locks]") {
  const auto database = with_rows(any_shape());
  const auto before = database.rows();
  StorePass pass(database);
  pass.look({"a", "b"});
  {
    auto counts = pass.no_counts();
    const auto transaction = pass.begin();
    CHECK(transaction->choose(pass.all()).empty());
    transaction->delete_records(counts);
  }
  CHECK(database.rows() == before);
  SECTION("and the next one can do it all again") {
    CHECK(delete_chosen(pass, pass.all()).refused.empty());
    CHECK(ids(database) == "c,keep");
    CHECK(images(database) == "3keep 6c 7keep 9c");
  }
  SECTION("and the lock is free") {
    database.execute("BEGIN IMMEDIATE; INSERT INTO images VALUES (50, 'keep'); COMMIT");
    CHECK(database.number("SELECT count(*) FROM images") == 10);
  }
}

TEST_CASE("a commit that a reader blocks is rolled back, and holds when it is tried again",
          "[store][locks]") {
  const auto database = with_rows(any_shape());
  const auto before = database.rows();
  StorePass pass(database);
  pass.look({"a", "b"});
  Reader reader(database);
  {
    auto counts = pass.no_counts();
    const auto transaction = pass.begin();
    CHECK(transaction->choose(pass.all()).empty());
    transaction->delete_records(counts);
    CHECK(transaction->commit() == CommitOutcome::busy);
    CHECK(transaction->commit_error().kind() == PassError::Kind::busy);
    reader.end();
    // Rolled back at once, not only when the transaction goes: the app can write.
    database.execute("INSERT INTO images VALUES (60, 'a')");
  }
  auto expected = before;
  expected["images"].emplace_back("60, 'a'");
  std::sort(expected["images"].begin(), expected["images"].end());
  CHECK(database.rows() == expected);

  const auto deleted = delete_chosen(pass, pass.all());
  CHECK(deleted.outcome == CommitOutcome::committed);
  CHECK(deleted.refused.empty());
  CHECK(deleted.rows.at("a").at("images") == 4);
  CHECK(ids(database) == "c,keep");
  CHECK(images(database) == "3keep 6c 7keep 9c");
}

TEST_CASE("readers go on while a transaction is under way, and see nothing of it",
          "[store][locks]") {
  // With more pages changed than SQLite's cache holds: to spill it would lock the readers out.
  const auto database = with_rows(Shape::plain);
  database.execute(
      "CREATE TABLE wide (session_id VARCHAR REFERENCES sessions, filling BLOB);"
      "WITH RECURSIVE i (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM i WHERE n < 6000) "
      "INSERT INTO wide SELECT 'a', zeroblob(900) FROM i");
  StorePass pass(database);
  pass.look({"a"});
  auto counts = pass.no_counts();
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  transaction->delete_records(counts);
  CHECK(database.number("SELECT count(*) FROM wide") == 6000);
  CHECK(ids(database) == "a,b,c,keep");
  CHECK(transaction->commit() == CommitOutcome::committed);
  CHECK(database.number("SELECT count(*) FROM wide") == 0);
}

TEST_CASE("in a WAL database no reader keeps a commit", "[store][locks]") {
  const auto database = with_rows(any_shape());
  database.execute("PRAGMA journal_mode=WAL");
  StorePass pass(database);
  pass.look({"a", "b"});
  Reader reader(database);
  CHECK(delete_chosen(pass, pass.all()).outcome == CommitOutcome::committed);
  reader.end();
  CHECK(ids(database) == "c,keep");
  CHECK(images(database) == "3keep 6c 7keep 9c");
}

TEST_CASE("a transaction waits for the write lock as long as it was told, and no longer",
          "[store][locks]") {
  const auto database = with_rows(Shape::plain);
  if (GENERATE(false, true)) database.execute("PRAGMA journal_mode=WAL");
  StorePass pass(database);
  pass.look({"a"});
  auto app = database.connect();
  app.exec("BEGIN IMMEDIATE");
  const auto error = store_error_of([&] { return pass.store().begin(10ms); });
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::busy);
  CHECK_THAT(error->what(), ContainsSubstring(database.path().string()));

  SECTION("it is no worse for it once the lock is free") {
    app.exec("ROLLBACK");
    CHECK(delete_chosen(pass, pass.all()).outcome == CommitOutcome::committed);
    CHECK(ids(database) == "b,c,keep");
  }
  SECTION("it gets in when the lock is given back while it waits") {
    std::jthread other([&] {
      app.exec("INSERT INTO images VALUES (70, 'a')");
      app.exec("COMMIT");
    });
    const auto transaction = pass.store().begin(60s);
    CHECK(transaction->choose(pass.all()).empty());
    CHECK(finish(pass, *transaction).at("a").at("images") == 4);
  }
}

TEST_CASE("a stop ends the wait for a lock", "[store][locks]") {
  const auto database = with_rows(Shape::plain);
  auto app = database.connect();
  DatabaseLocation location;
  location.path = database.path();
  StopFlag stop;
  const auto store = open_store(location, Access::read_write, 2s, stop);
  store->visit_sessions([](const SessionRow&) {});
  store->survey({}, Leaked::wanted);
  app.exec("BEGIN IMMEDIATE");
  std::jthread signal([&] { stop.request(SIGTERM); });
  // The wait would be longer than any test may last.
  const auto error = store_error_of([&] { return store->begin(std::chrono::hours(1)); });
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::stopped);
}

TEST_CASE("a database that is locked altogether is busy when it is opened, and not unusable",
          "[store][locks]") {
  const auto database = with_rows(Shape::plain);
  auto app = database.connect();
  app.exec("BEGIN EXCLUSIVE");
  DatabaseLocation location;
  location.path = database.path();
  const StopFlag stop;
  const auto access = GENERATE(Access::read_only, Access::read_write);
  const auto error = store_error_of([&] { return open_store(location, access, 10ms, stop); });
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::busy);
}

TEST_CASE("after a change of the structure, or a VACUUM, nothing that was read counts any more",
          "[store][locks]") {
  const auto* const change =
      GENERATE("VACUUM", "CREATE TABLE more (s VARCHAR REFERENCES sessions)",
               "ALTER TABLE images ADD COLUMN more INTEGER", "CREATE INDEX more ON images (n)");
  CAPTURE(change);
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  std::optional<PassError> error;
  SECTION("between the survey and the choice") {
    pass.look({"a", "b"});
    database.execute(change);
    const auto before = database.rows();
    {
      const auto transaction = pass.begin();
      error = store_error_of([&] { return transaction->choose(pass.all()); });
    }
    CHECK(database.rows() == before);
  }
  SECTION("between opening it and the survey") {
    database.execute(change);
    error = store_error_of([&] {
      pass.look({"a", "b"});
      return 0;
    });
  }
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::unusable);
  CHECK_THAT(error->what(), ContainsSubstring("run again"));
}
