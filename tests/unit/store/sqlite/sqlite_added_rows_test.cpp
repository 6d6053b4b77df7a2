// Rowids are used again: what was written since the survey is told apart row by row.
#include <fmt/format.h>

#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("rows that were added since the survey go along", "[store][transaction]") {
  const auto shape = any_shape();
  const auto database = with_rows(shape);
  StorePass pass(database);
  pass.look({"a", "b"});
  database.execute("INSERT INTO images VALUES (100, 'a'), (101, 'keep'), (102, 'a')");
  if (shape == Shape::deep) database.execute("INSERT INTO corners VALUES (1), (102), (101)");
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  const auto counted = finish(pass, *transaction);
  CHECK(counted.at("a").at("images") == 5);
  if (shape == Shape::deep) {
    CHECK(counted.at("a").at("corners") == 5);
    CHECK(database.number("SELECT count(*) FROM corners") == 5);
  }
  CHECK(images(database) == "3keep 6c 7keep 9c 101keep");
}

TEST_CASE("rows go along also where they took the rowids of the newest rows, gone meanwhile",
          "[store][transaction]") {
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a", "b"});
  // SQLite numbers from the highest row on: 8 and 9 are given out a second time.
  database.execute("DELETE FROM images WHERE n >= 8");
  SECTION("one row at the place of the newest") {
    database.execute("INSERT INTO images VALUES (8, 'a'), (9, 'a')");
  }
  SECTION("a row below") { database.execute("INSERT INTO images VALUES (8, 'a')"); }
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  finish(pass, *transaction);
  CHECK(images(database) == "3keep 6c 7keep");
}

TEST_CASE("rows of others stay, also at the rowid of a row that was to go",
          "[store][transaction]") {
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a", "b"});
  database.execute(
      "DELETE FROM images WHERE session_id IN ('a', 'b');"
      "INSERT INTO images VALUES (1, 'keep'), (2, 'c'), (4, NULL), (5, 'other'), (8, 'A')");
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  CHECK(finish(pass, *transaction).empty());
  CHECK(database.number("SELECT count(*) FROM images") == 9);
  CHECK(ids(database) == "c,keep");
}

TEST_CASE("a stereo row that was added since the survey goes with either of its sessions, once",
          "[store][transaction]") {
  const auto database = with_rows(any_shape());
  database.add({uuid(1), uuid(2), uuid(3)});
  StorePass pass(database);
  pass.look({uuid(1), uuid(2)});
  database.execute(fmt::format("INSERT INTO images VALUES (20, '{}'), (21, '{}'), (22, '{}')",
                               stereo(uuid(2), uuid(1)), stereo(uuid(3), uuid(2)),
                               stereo(uuid(3), uuid(3))));
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  const auto counted = finish(pass, *transaction);
  CHECK(counted.at(uuid(1)).at("images") == 1);
  CHECK(counted.at(uuid(2)).at("images") == 1);
  CHECK(database.text("SELECT group_concat(n) FROM images WHERE n >= 20") == "22");
}

TEST_CASE("a table that was empty at the survey is looked through", "[store][transaction]") {
  const auto database = with_rows(any_shape());
  database.execute("DELETE FROM images");
  StorePass pass(database);
  pass.look({"a"});
  CHECK(pass.surveyed().empty());
  database.execute("INSERT INTO images VALUES (-5, 'a'), (0, 'keep'), (1, 'a')");
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  CHECK(finish(pass, *transaction).at("a").at("images") == 2);
  CHECK(images(database) == "0keep");
}

TEST_CASE("rows added after the newest row went to another session are found all the same",
          "[store][transaction]") {
  // The newest row stands, but it is another one: nothing is known of the rows below it any more.
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a"});
  database.execute(
      "DELETE FROM images WHERE n > 4; INSERT INTO images VALUES (6, 'a'), (7, 'a'), (9, 'keep')");
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  finish(pass, *transaction);
  CHECK(images(database) == "3keep 4b 9keep");
}

TEST_CASE("rows that were added before the first slice go along in the second", "[store][slices]") {
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a", "b", "c"});
  database.execute("INSERT INTO images VALUES (10, 'b'), (11, 'keep'), (12, 'c')");
  const bool in_one_transaction = GENERATE(false, true);
  auto counts = pass.no_counts();
  auto transaction = pass.begin();
  for (const auto* const session : {"a", "c", "b"}) {
    CHECK(transaction->choose(pass.owners({session})).empty());
    transaction->delete_records(counts);
    if (in_one_transaction) continue;
    REQUIRE(transaction->commit() == CommitOutcome::committed);
    transaction.reset();
    transaction = pass.begin();
  }
  REQUIRE(transaction->commit() == CommitOutcome::committed);
  transaction.reset();
  CHECK(images(database) == "3keep 7keep 11keep");
  CHECK(ids(database) == "keep");
  CHECK(pass.named(counts).at("b").at("images") == 3);
  CHECK(pass.named(counts).at("c").at("images") == 3);
}

TEST_CASE("rows that took the place of many of the newest ones go along", "[store][transaction]") {
  const auto database = with_rows(Shape::plain);
  database.execute(
      "WITH RECURSIVE n(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM n WHERE n < 20000) "
      "INSERT INTO images SELECT n, 'keep' FROM n");
  StorePass pass(database);
  pass.look({"a"});
  const auto highest_left = GENERATE(19'999, 12'000, 4'000, 9);
  CAPTURE(highest_left);
  database.execute(
      fmt::format("DELETE FROM images WHERE n > {0}; INSERT INTO images VALUES "
                  "({0} + 1, 'a'), ({0} + 2, 'c'), ({0} + 3, 'a')",
                  highest_left));
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  CHECK(finish(pass, *transaction).at("a").at("images") == 5);
  CHECK(database.number("SELECT count(*) FROM images WHERE session_id = 'a'") == 0);
  CHECK(database.number("SELECT max(n) FROM images") == highest_left + 2);
}

TEST_CASE("rows go along where no higher rowid is left, and they stand anywhere",
          "[store][transaction]") {
  const auto database = with_rows(Shape::plain);
  database.execute("INSERT INTO images VALUES (9223372036854775807, 'keep')");
  StorePass pass(database);
  pass.look({"a", "b"});
  const bool in_second_slice = GENERATE(false, true);
  if (in_second_slice) {
    const auto first = pass.begin();
    CHECK(first->choose(pass.owners({"b"})).empty());
    finish(pass, *first);
  }
  database.execute("INSERT INTO images (session_id) VALUES ('a'), ('keep'), ('a')");
  REQUIRE(database.number("SELECT count(*) FROM images WHERE n > 9") == 4);
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.owners({"a"})).empty());
  CHECK(finish(pass, *transaction).at("a").at("images") == 5);
  CHECK(database.number("SELECT count(*) FROM images WHERE session_id = 'a'") == 0);
}
