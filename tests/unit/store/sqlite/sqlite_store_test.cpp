// The store around its transactions: what it counts, asks, remarks and leaves as it was.
#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "store/session_store.hpp"
#include "support/app_schemas.hpp"
#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"

using namespace calib;
using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

namespace {

namespace fs = std::filesystem;

std::string bytes_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::size_t files_beside(const fs::path& path) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(path.parent_path())) ++count;
  return count;
}

constexpr const char* images_table =
    "CREATE TABLE images (n INTEGER PRIMARY KEY, session_id VARCHAR REFERENCES sessions);";
constexpr const char* deep =
    "CREATE TABLE corners (n INTEGER PRIMARY KEY, image INTEGER REFERENCES images ON DELETE "
    "CASCADE); CREATE TABLE lines (corner INTEGER REFERENCES corners ON DELETE CASCADE);";

/// Sessions 0 to 99 with i images each, and more where `deeper` is.
SessionDb many(bool deeper) {
  SessionDb database(fmt::format("{}{}{}", only_sessions, images_table, deeper ? deep : ""));
  std::vector<std::string> ids;
  for (unsigned i = 0; i < 100; ++i) ids.push_back(uuid(i));
  database.add(ids);
  // Interleaved, as uploads at the same time leave them.
  database.execute(
      "WITH RECURSIVE i (n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM i WHERE n < 99) INSERT INTO "
      "images (session_id) SELECT s.id FROM i JOIN sessions s ON s.rowid > i.n ORDER BY (i.n * 7 + "
      "s.rowid) % 13");
  if (deeper) {
    database.execute(
        "INSERT INTO corners (image) SELECT n FROM images WHERE n % 3 = 0;"
        "INSERT INTO lines SELECT n FROM corners; INSERT INTO lines SELECT n FROM corners");
  }
  return database;
}

std::uint32_t rows(const SessionDb& database, const std::string& sql) {
  return static_cast<std::uint32_t>(database.number(sql));
}

}  // namespace

TEST_CASE("the survey counts for each session exactly the rows that SELECT finds", "[store]") {
  const bool deeper = GENERATE(false, true);
  const auto database = many(deeper);
  std::vector<std::string> doomed;
  for (unsigned i = 0; i < 100; i += 3) doomed.push_back(uuid(i));
  Counted expected;
  for (const auto& id : doomed) {
    const auto own = fmt::format("FROM images WHERE session_id = '{}'", id);
    expected[id]["images"] = rows(database, "SELECT count(*) " + own);
    if (!deeper) continue;
    expected[id]["corners"] = rows(
        database, fmt::format("SELECT count(*) FROM corners WHERE image IN (SELECT n {})", own));
    expected[id]["lines"] = rows(
        database, fmt::format("SELECT count(*) FROM lines WHERE corner IN (SELECT n FROM corners "
                              "WHERE image IN (SELECT n {}))",
                              own));
    std::erase_if(expected[id], [](const auto& entry) { return entry.second == 0; });
  }

  const auto access = GENERATE(Access::read_only, Access::read_write);
  StorePass pass(database, access);
  pass.look(doomed);
  CHECK(pass.surveyed() == expected);
  if (access == Access::read_write) CHECK(delete_chosen(pass, pass.all()).rows == expected);
}

TEST_CASE("reading changes no byte and leaves nothing beside the database", "[store]") {
  // Deep cascades need temporary tables, and references that hold need to be looked up.
  const auto database = many(true);
  database.execute(
      "CREATE TABLE holder (i INTEGER REFERENCES lines_key); CREATE TABLE lines_key (n INTEGER "
      "PRIMARY KEY, s VARCHAR REFERENCES sessions);");
  database.execute(fmt::format("INSERT INTO lines_key VALUES (1, '{}')", uuid(3)));
  const auto before = bytes_of(database.path());
  const auto time = fs::last_write_time(database.path());
  const auto files = files_beside(database.path());

  StorePass pass(database, Access::read_only);
  pass.look({uuid(1), uuid(2), uuid(3)});

  CHECK(pass.named(pass.survey().refused) == Refused{{uuid(3), "held by lines_key.s"}});
  CHECK(pass.surveyed().at(uuid(2)).at("images") == 3);
  CHECK(files_beside(database.path()) == files);
  CHECK(bytes_of(database.path()) == before);
  CHECK(fs::last_write_time(database.path()) == time);
}

TEST_CASE("a store that was opened for reading cannot write", "[store]") {
  const auto database = many(false);
  const auto before = bytes_of(database.path());
  StorePass pass(database, Access::read_only);
  pass.look({uuid(1)});
  CHECK(store_error_of([&] { return delete_chosen(pass, pass.all()); }));
  CHECK(bytes_of(database.path()) == before);
}

TEST_CASE("who is present is asked of the database as it is now", "[store]") {
  const auto database = many(false);
  StorePass pass(database);
  pass.look({uuid(1), uuid(2), uuid(3)});
  const auto owners = pass.owners({uuid(3), uuid(1), uuid(2)});
  CHECK(pass.store().present(owners) == std::vector<bool>{true, true, true});
  database.execute(fmt::format("DELETE FROM sessions WHERE id = '{}'", uuid(1)));
  CHECK(pass.store().present(owners) == std::vector<bool>{true, false, true});
  CHECK(pass.store().present({}).empty());

  // What is not committed is not there for anybody else.
  const auto transaction = pass.begin();
  auto counts = pass.no_counts();
  CHECK(transaction->choose(pass.owners({uuid(2)})).empty());
  transaction->delete_records(counts);
  CHECK(pass.store().present(owners) == std::vector<bool>{true, false, true});
  CHECK(transaction->commit() == CommitOutcome::committed);
  CHECK(pass.store().present(owners) == std::vector<bool>{true, false, false});
}

TEST_CASE("free pages are counted in bytes, and vacuuming gives them back", "[store]") {
  const auto database = many(true);
  StorePass pass(database);
  CHECK(pass.store().free_bytes() == 0);
  std::vector<std::string> all;
  for (unsigned i = 0; i < 100; ++i) all.push_back(uuid(i));
  pass.look(all);
  CHECK(delete_chosen(pass, pass.all()).outcome == CommitOutcome::committed);

  const auto free_pages = database.number("PRAGMA freelist_count");
  const auto page = database.number("PRAGMA page_size");
  REQUIRE(free_pages > 0);
  CHECK(pass.store().free_bytes() == static_cast<std::uint64_t>(free_pages * page));
  const auto size = fs::file_size(database.path());

  pass.store().vacuum();

  CHECK(pass.store().free_bytes() == 0);
  CHECK(fs::file_size(database.path()) <= size - static_cast<std::uintmax_t>(free_pages * page));
  CHECK(database.text("PRAGMA integrity_check") == "ok");
}

TEST_CASE("a trigger on a table of sessions does not run, and is remarked upon", "[store]") {
  const auto* const trigger =
      GENERATE("CREATE TRIGGER odd AFTER DELETE ON images BEGIN INSERT INTO log VALUES ('x'); END",
               "CREATE TRIGGER odd BEFORE DELETE ON SESSIONS BEGIN SELECT RAISE(ABORT, 'no'); END",
               "CREATE TRIGGER odd AFTER DELETE ON corners BEGIN DELETE FROM log; END",
               "CREATE TRIGGER odd AFTER UPDATE ON loose BEGIN DELETE FROM sessions; END");
  CAPTURE(trigger);
  const auto database = many(true);
  database.execute(
      "CREATE TABLE log (what TEXT); INSERT INTO log VALUES ('first');"
      "CREATE TABLE loose (s VARCHAR REFERENCES sessions ON DELETE SET NULL);"
      "INSERT INTO loose SELECT id FROM sessions");
  database.execute(trigger);
  StorePass pass(database);
  const auto remarks = pass.store().remarks();
  REQUIRE(remarks.size() == 1);
  CHECK_THAT(remarks.front(), ContainsSubstring("trigger") && ContainsSubstring("odd") &&
                                  ContainsSubstring(database.path().string()));
  pass.look({uuid(50), uuid(60)});
  CHECK(delete_chosen(pass, pass.all()).outcome == CommitOutcome::committed);
  CHECK(database.number("SELECT count(*) FROM sessions") == 98);
  CHECK(database.text("SELECT group_concat(what) FROM log") == "first");
  CHECK(database.number("SELECT count(*) FROM loose WHERE s IS NULL") == 2);
}

TEST_CASE("a trigger on any other table is nobody's business", "[store]") {
  const auto database = many(false);
  database.execute(
      "CREATE TABLE log (what TEXT);"
      "CREATE TRIGGER usual AFTER DELETE ON log BEGIN SELECT 1; END");
  CHECK(database.open()->remarks().empty());
}

TEST_CASE("tables named like the tool's own temporary ones stay as they are", "[store]") {
  const auto database = many(true);
  database.execute(
      "CREATE TABLE calib_cleanup_owner (key TEXT, owner INTEGER);"
      "INSERT INTO calib_cleanup_owner VALUES ('mine', 1);"
      "CREATE TABLE calib_cleanup_going_0 (c0); CREATE TABLE calib_cleanup_going_1 (c0);"
      "CREATE TABLE calib_cleanup_going_2 (c0); INSERT INTO calib_cleanup_going_1 VALUES (1);"
      "INSERT INTO calib_cleanup_going_2 VALUES (1)");
  StorePass pass(database);
  pass.look({uuid(50)});
  CHECK(delete_chosen(pass, pass.all()).rows.at(uuid(50)).at("images") == 51);
  CHECK(database.text("SELECT key || owner FROM calib_cleanup_owner") == "mine1");
  CHECK(database.number("SELECT count(*) FROM calib_cleanup_going_1") == 1);
  CHECK(database.number("SELECT count(*) FROM calib_cleanup_going_2") == 1);
}

TEST_CASE("nothing of the tool stays in the database", "[store]") {
  const auto database = many(true);
  const auto schema = database.text("SELECT group_concat(name) FROM sqlite_schema");
  const auto version = database.number("PRAGMA schema_version");
  delete_sessions(database, {uuid(50), uuid(51)});
  CHECK(database.text("SELECT group_concat(name) FROM sqlite_schema") == schema);
  CHECK(database.number("PRAGMA schema_version") == version);
  CHECK(files_beside(database.path()) == 1);
}

TEST_CASE("a database of a kind that this tool has no store for is refused by name", "[store]") {
  DatabaseLocation location;
  location.kind = DatabaseKind::postgresql;
  location.url = "postgresql://me:secret@host/db";
  location.display = "postgresql://me@host/db";
  const StopFlag stop;
  const auto error = store_error_of(
      [&] { return open_store(location, Access::read_only, std::chrono::seconds(1), stop); });
  REQUIRE(error);
  CHECK(error->kind() == PassError::Kind::unusable);
  CHECK_THAT(error->what(), ContainsSubstring(location.display) && !ContainsSubstring("secret"));
}
