// What others make of `sessions` while a pass runs: who looks at it, and that nothing is missed.
#include <fmt/format.h>

#include <algorithm>

#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"
#include "unit/store/store_shapes.hpp"

using namespace calib;
using namespace calib::test;

namespace {

/// Whether the session is among those that may be new.
bool shows(StoreTransaction& transaction, const std::string& id) {
  bool shown = false;
  transaction.visit_new_sessions([&](const SessionRow& row) { shown = shown || row.id == id; });
  return shown;
}

/// More sessions than a store reads in one transaction.
constexpr unsigned too_many_to_read = 60'000;
/// More than it compares in one.
constexpr unsigned too_many_to_compare = 151'000;

SessionDb with_others(unsigned count) {
  auto database = with_rows(Shape::plain);
  std::vector<std::string> others;
  for (unsigned i = 0; i < count; ++i) others.push_back(uuid(i));
  database.add(others);
  return database;
}

std::size_t count_shown(StoreTransaction& transaction) {
  std::size_t count = 0;
  transaction.visit_new_sessions([&](const SessionRow&) { ++count; });
  return count;
}

/// Something that is no session's is written.
void write_elsewhere(const SessionDb& database) {
  database.execute("INSERT INTO images (session_id) VALUES ('keep')");
}

std::map<std::string, std::string> looked_again_at(StorePass& pass) {
  std::map<std::string, std::string> shown;
  pass.store().reread_sessions(
      [&](const SessionRow& row) { shown.emplace(row.id, row.images_dir.value_or("")); });
  return shown;
}

}  // namespace

TEST_CASE("sessions that came since the reading are shown, in each transaction anew",
          "[store][transaction]") {
  const auto database = with_others(GENERATE(0U, too_many_to_read));
  const bool no_rowid_is_left = GENERATE(false, true);
  if (no_rowid_is_left) {
    database.execute("UPDATE sessions SET rowid = 9223372036854775807 WHERE id = 'keep'");
  }
  StorePass pass(database);
  pass.look({"a", "b"});
  SECTION("added at the end") { database.add({"new"}); }
  SECTION("at the rowid of the newest, which went") {
    database.execute("DELETE FROM sessions WHERE rowid = (SELECT max(rowid) FROM sessions)");
    database.add({"new"});
  }
  SECTION("below the newest ones, which went") {
    database.execute("DELETE FROM sessions WHERE rowid > (SELECT max(rowid) - 2 FROM sessions)");
    database.add({"new"});
  }
  auto transaction = pass.begin();
  CHECK(shows(*transaction, "new"));
  CHECK(transaction->choose(pass.owners({"a"})).empty());
  finish(pass, *transaction);

  database.add({"newer"});
  transaction = pass.begin();
  CHECK(shows(*transaction, "newer"));
}

TEST_CASE("where others write elsewhere no session is looked at again, and a new one alone",
          "[store][transaction]") {
  const auto database = with_others(GENERATE(0U, too_many_to_read));
  StorePass pass(database);
  pass.look({"a", "b"});
  const auto slice = [&](const std::string& id) {
    CHECK(looked_again_at(pass).empty());
    const auto transaction = pass.begin();
    CHECK(transaction->can_look_quickly());
    const auto shown = count_shown(*transaction);
    CHECK(transaction->choose(pass.owners({id})).empty());
    finish(pass, *transaction);
    return shown;
  };
  write_elsewhere(database);
  CHECK(slice("a") == 0);
  // What this pass itself deletes is no change, and what it was shown is known.
  write_elsewhere(database);
  database.add({"new"});
  CHECK(slice("b") == 1);
  write_elsewhere(database);
  CHECK(count_shown(*pass.begin()) == 0);
}

TEST_CASE("whatever others change of a session, all are looked at again", "[store][transaction]") {
  const auto* const change = GENERATE(
      "UPDATE sessions SET images_dir = 'uploads/a' WHERE id = 'keep'",
      "UPDATE sessions SET images_dir = NULL WHERE id = 'keep'",
      "UPDATE sessions SET images_dir = '' WHERE id = 'keep'",
      "UPDATE sessions SET images_dir = CAST(images_dir AS BLOB) WHERE id = 'keep'",
      "UPDATE sessions SET created_at = 5 WHERE id = 'keep'",
      "UPDATE sessions SET id = 'A' WHERE id = 'keep'", "DELETE FROM sessions WHERE id = 'keep'",
      // Each value is still there as often as before.
      "UPDATE sessions SET images_dir = CASE id WHEN 'a' THEN 'uploads/keep' ELSE 'uploads/a' END "
      "WHERE id IN ('a', 'keep')",
      "UPDATE sessions SET images_dir = id, id = images_dir WHERE id = 'keep'",
      "UPDATE sessions SET created_at = images_dir, images_dir = created_at WHERE id = 'keep'");
  CAPTURE(change);
  const auto* const rowids = GENERATE("", "WITHOUT ROWID");
  const auto* const encoding = GENERATE("UTF-8", "UTF-16le");
  const SessionDb database(
      fmt::format("PRAGMA encoding = '{}'; CREATE TABLE sessions (id PRIMARY KEY NOT NULL, "
                  "images_dir, created_at) {}; CREATE TABLE images (session_id);"
                  "INSERT INTO sessions VALUES ('empty', '', NULL), (7, x'00ff', 1.5)",
                  encoding, rowids));
  database.add({"a", "b", "keep"});
  StorePass pass(database);
  pass.look({"b"});
  write_elsewhere(database);
  CHECK(count_shown(*pass.begin()) == 0);
  database.execute(change);
  const auto sessions = static_cast<std::size_t>(database.number("SELECT count(*) FROM sessions"));
  CHECK(count_shown(*pass.begin()) == sessions);
  // Until what was shown is committed it is not known.
  auto transaction = pass.begin();
  CHECK(count_shown(*transaction) == sessions);
  CHECK(transaction->choose(pass.all()).empty());
  finish(pass, *transaction);
  write_elsewhere(database);
  CHECK(count_shown(*pass.begin()) == 0);
}

TEST_CASE("many sessions are looked at before the transaction once one of them has changed",
          "[store][transaction]") {
  const auto database = with_others(too_many_to_read);
  StorePass pass(database);
  pass.look({"a", "b"});
  database.execute("UPDATE sessions SET images_dir = 'uploads/a' WHERE id = 'keep'");
  database.add({"new"});
  CHECK(looked_again_at(pass).empty());
  CHECK_FALSE(pass.begin()->can_look_quickly());
  const auto shown = looked_again_at(pass);
  CHECK(shown.size() == 5 + too_many_to_read);
  CHECK(shown.at("keep") == "uploads/a");
  write_elsewhere(database);
  CHECK(looked_again_at(pass).empty());

  auto transaction = pass.begin();
  CHECK(transaction->can_look_quickly());
  CHECK(count_shown(*transaction) == 0);
  transaction.reset();

  // What came after the look shows under the lock: all of it, for nobody knows what has changed.
  database.execute("UPDATE sessions SET images_dir = 'uploads/b' WHERE id = 'keep'");
  transaction = pass.begin();
  CHECK_FALSE(transaction->can_look_quickly());
  CHECK(count_shown(*transaction) == 5 + too_many_to_read);
  CHECK(transaction->choose(pass.owners({"a"})).empty());
  finish(pass, *transaction);
  write_elsewhere(database);
  CHECK(looked_again_at(pass).empty());
  CHECK(count_shown(*pass.begin()) == 0);
}

TEST_CASE("very many sessions are looked at before the transaction whatever others write",
          "[store][transaction]") {
  const auto database = with_others(too_many_to_compare);
  StorePass pass(database);
  pass.look({"a", "b"});
  CHECK(looked_again_at(pass).empty());
  CHECK(pass.begin()->can_look_quickly());
  write_elsewhere(database);
  CHECK_FALSE(pass.begin()->can_look_quickly());
  CHECK(looked_again_at(pass).size() == 4 + too_many_to_compare);
  CHECK(pass.begin()->can_look_quickly());
}

TEST_CASE("a session that takes the rowid of one that this pass has deleted is shown alone",
          "[store][transaction]") {
  const auto database = with_rows(Shape::plain);
  StorePass pass(database);
  const bool all = GENERATE(false, true);
  pass.look(all ? std::vector<std::string>{"a", "b", "c", "keep"}
                : std::vector<std::string>{"c", "keep"});
  write_elsewhere(database);
  const auto transaction = pass.begin();
  CHECK(count_shown(*transaction) == 0);
  CHECK(transaction->choose(pass.all()).empty());
  finish(pass, *transaction);
  CHECK(database.number("SELECT coalesce(max(rowid), 0) FROM sessions") == (all ? 0 : 2));
  database.add({"new"});
  CHECK(count_shown(*pass.begin()) == 1);
}

TEST_CASE("a structure that changes while the pass runs is told, however many sessions there are",
          "[store][transaction]") {
  const auto others = GENERATE(too_many_to_read, too_many_to_compare);
  const auto database = with_others(others);
  StorePass pass(database);
  pass.look({"a"});
  database.execute("ALTER TABLE sessions RENAME COLUMN images_dir TO folder");
  const auto error = store_error_of([&] {
    if (others == too_many_to_compare) return looked_again_at(pass).empty();
    return pass.begin()->can_look_quickly();
  });
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::unusable);
  CHECK_THAT(error->text(),
             Catch::Matchers::StartsWith("the database was changed in its structure"));
}
