// A transaction asks again: whoever changed since the survey stays, and whatever came to hang on a
// session since then goes along.
#include <fmt/format.h>

#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("a session that is gone, or is another one now, is not chosen, and the others go",
          "[store][transaction]") {
  struct Change {
    const char* sql;
    const char* reason;
  };
  const auto change = GENERATE(values<Change>({
      {"DELETE FROM sessions WHERE id = 'a'", "gone"},
      {"UPDATE sessions SET id = 'A' WHERE id = 'a'", "gone"},
      {"UPDATE sessions SET created_at = '2020-01-01 00:00:00.000001' WHERE id = 'a'", "changed"},
      {"UPDATE sessions SET created_at = NULL WHERE id = 'a'", "changed"},
      {"UPDATE sessions SET images_dir = 'uploads/b' WHERE id = 'a'", "changed"},
      {"UPDATE sessions SET images_dir = CAST(images_dir AS BLOB) WHERE id = 'a'", "changed"},
      {"DELETE FROM sessions WHERE id = 'a'; INSERT INTO sessions VALUES ('a', 'uploads/a', "
       "'2031-01-01 00:00:00')",
       "changed"},
  }));
  CAPTURE(change.sql);
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a", "b"});
  database.execute(change.sql);
  const bool is_there = database.number("SELECT count(*) FROM sessions WHERE id = 'a'") == 1;

  const auto transaction = pass.begin();
  CHECK(pass.named(transaction->choose(pass.all())) == Refused{{"a", change.reason}});
  CHECK(finish(pass, *transaction).at("b").at("images") == 2);

  CHECK(images(database) == "1a 2a 3keep 5a 6c 7keep 9c");
  CHECK((database.number("SELECT count(*) FROM sessions WHERE id = 'a'") == 1) == is_there);
  CHECK(database.number("SELECT count(*) FROM sessions WHERE id = 'b'") == 0);
}

TEST_CASE("a session that was only touched is the same one still", "[store][transaction]") {
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a"});
  database.execute(
      "UPDATE sessions SET images_dir = images_dir; DELETE FROM sessions WHERE id = 'a';");
  database.add({"a"});
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  finish(pass, *transaction);
  CHECK(ids(database) == "b,c,keep");
}

TEST_CASE("a session whose id stands twice is held: nobody knows which row is meant",
          "[store][transaction]") {
  const SessionDb database(
      "CREATE TABLE sessions (id VARCHAR, images_dir VARCHAR, created_at DATETIME);");
  database.add({"a", "b"});
  StorePass pass(database);
  pass.look({"a", "b"});
  database.add({"a"});
  const auto transaction = pass.begin();
  CHECK(pass.named(transaction->choose(pass.all())) == Refused{{"a", "held by sessions.id"}});
  finish(pass, *transaction);
  CHECK(database.text("SELECT group_concat(id) FROM sessions") == "a,a");
}

TEST_CASE("a reference that came since the survey holds", "[store][transaction]") {
  const auto database = with_rows(any_shape());
  database.execute("CREATE TABLE holder (s VARCHAR REFERENCES sessions)");
  StorePass pass(database);
  pass.look({"a", "b"});
  CHECK(pass.survey().refused.empty());
  database.execute("INSERT INTO holder VALUES ('a')");
  const auto transaction = pass.begin();
  CHECK(pass.named(transaction->choose(pass.all())) == Refused{{"a", "held by holder.s"}});
  finish(pass, *transaction);
  CHECK(ids(database) == "a,c,keep");
  CHECK(images(database) == "1a 2a 3keep 5a 6c 7keep 9c");
}

TEST_CASE("only who is chosen goes, and the next transaction takes the rest",
          "[store][transaction]") {
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a", "b", "c"});
  auto transaction = pass.begin();
  CHECK(transaction->choose(pass.owners({"b"})).empty());
  CHECK(finish(pass, *transaction).size() == 1);
  CHECK(images(database) == "1a 2a 3keep 5a 6c 7keep 9c");
  CHECK(ids(database) == "a,c,keep");

  // What came in between goes along, also where the rowid was somebody's before.
  database.execute("INSERT INTO images VALUES (4, 'a'), (8, 'keep'), (20, 'c')");
  transaction = pass.begin();
  CHECK(transaction->choose(pass.owners({"a", "c"})).empty());
  const auto counted = finish(pass, *transaction);
  CHECK(counted.at("c").at("images") == 3);
  CHECK(ids(database) == "keep");
  CHECK(images(database).find('c') == std::string::npos);
  CHECK(images(database).find("8keep") != std::string::npos);
}

TEST_CASE("whoever is withdrawn stays whole", "[store][transaction]") {
  const auto database = with_rows(any_shape());
  StorePass pass(database);
  pass.look({"a", "b", "c"});
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  CHECK(transaction->withdraw({}).empty());
  CHECK(transaction->withdraw(pass.owners({"a", "c"})).empty());
  const auto counted = finish(pass, *transaction);
  CHECK(counted.size() == 1);
  CHECK(counted.at("b").at("images") == 2);
  CHECK(ids(database) == "a,c,keep");
  CHECK(images(database) == "1a 2a 3keep 5a 6c 7keep 9c");
}

TEST_CASE("withdrawing refuses in turn whoever cannot go without, and so on",
          "[store][transaction]") {
  const SessionDb database(fmt::format(
      "{} CREATE TABLE x (s VARCHAR REFERENCES sessions ON DELETE CASCADE, also VARCHAR REFERENCES "
      "sessions);",
      only_sessions));
  database.add({"a", "b", "c", "d"});
  // The row of a holds b, that of b holds c, and d stands alone.
  database.execute("INSERT INTO x VALUES ('a', 'b'), ('b', 'c'), ('d', 'd')");
  StorePass pass(database);
  pass.look({"a", "b", "c", "d"});
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  CHECK(pass.named(transaction->withdraw(pass.owners({"a"}))) ==
        Refused{{"b", "held by x.also"}, {"c", "held by x.also"}});
  finish(pass, *transaction);
  CHECK(ids(database) == "a,b,c");
  CHECK(database.number("SELECT count(*) FROM x") == 2);
}

TEST_CASE("a row of two sessions goes with the one that goes, where the other is withdrawn",
          "[store][transaction]") {
  const auto database = with_rows(Shape::plain);
  database.add({uuid(1), uuid(2)});
  database.execute(fmt::format("INSERT INTO images VALUES (30, '{}')", stereo(uuid(1), uuid(2))));
  StorePass pass(database);
  pass.look({uuid(1), uuid(2)});
  const auto transaction = pass.begin();
  CHECK(transaction->choose(pass.all()).empty());
  const auto stays = GENERATE(1U, 2U);
  CHECK(transaction->withdraw(pass.owners({uuid(stays)})).empty());
  CHECK(finish(pass, *transaction) == Counted{{uuid(3 - stays), {{"images", 1}}}});
  CHECK(database.number("SELECT count(*) FROM images WHERE n = 30") == 0);
}

TEST_CASE("a leaked key that has become a session again is not chosen", "[store][transaction]") {
  const auto database = with_rows(any_shape());
  database.execute(
      fmt::format("INSERT INTO images VALUES (20, '{0}'), (21, '{1}'), (22, '{2}'), (23, '{3}')",
                  uuid(1), uuid(2), stereo(uuid(3), uuid(4)), stereo(uuid(3), uuid(1))));
  database.add({uuid(4)});
  StorePass pass(database);
  pass.look({"a"});
  database.add({uuid(1), uuid(3)});
  const auto transaction = pass.begin();
  CHECK(pass.named(transaction->choose(pass.all())) ==
        Refused{{uuid(1), "changed"},
                {stereo(uuid(3), uuid(4)), "changed"},
                {stereo(uuid(3), uuid(1)), "changed"}});
  CHECK(finish(pass, *transaction).at(uuid(2)).at("images") == 1);
  CHECK(database.text("SELECT group_concat(n) FROM images WHERE n >= 20") == "20,22,23");
}
