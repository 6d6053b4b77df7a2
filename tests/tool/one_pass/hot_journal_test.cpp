// The app died in the middle of a transaction: what it had already written must be rolled back
// before anybody believes the database.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// Kills a writer that has already put a part of its transaction into the database file: one that
/// deletes all sessions and a good deal of their rows.
void crash_the_app(const App& app) {
  // A tiny cache spills: pages are written, and the journal synced, before the commit.
  auto writer = app.user(
      "PRAGMA cache_size=5; PRAGMA cache_spill=5; BEGIN IMMEDIATE; DELETE FROM sessions; "
      "UPDATE calibration_images SET session_id = 'x', image_path = hex(zeroblob(99))");
  writer.reset();
}

fs::path journal_of(const App& app) { return app.database().string() + "-journal"; }

/// SQLite takes a journal for hot by this: its first byte is not zero.
bool has_hot_journal(const App& app) { return std::ifstream(journal_of(app)).get() == 0xd9; }

}  // namespace

TEST_CASE("a hot journal stops a dry run, which touches neither it nor the database",
          "[tool][dry-run][hot-journal][sqlite]") {
  App app;
  app.add_session(48);
  const auto young = app.add_session(1, 1200);
  crash_the_app(app);
  REQUIRE(has_hot_journal(app));
  const bool as_reader = GENERATE(false, true);
  if (as_reader) app.give_away();
  const auto before = app.fingerprint();

  const auto text = run_on(app, {"--dry-run"}, {.as = as_reader ? As::nobody : As::myself});
  CHECK(text.status == 3);
  CHECK(text.out.empty());
  CHECK(is_one_error(text, {app.database().string(), "start the app or run a real pass first"}));

  const auto json = run_on(app, {"--dry-run", "--json"});
  CHECK(json.status == 3);
  CHECK_THAT(json.json().at("message").get<std::string>(),
             Catch::Matchers::ContainsSubstring("start the app or run a real pass first"));
  CHECK(json.json().at("deleted_sessions") == 0);
  CHECK(changes_since(before, app) == none);
  REQUIRE(has_hot_journal(app));
}

TEST_CASE("a journal that a writer removes while a dry run looks at it is not taken for hot",
          "[tool][dry-run][hot-journal][sqlite]") {
  App app;
  const auto old_one = app.add_session(48);
  RunOptions options;
  // Whichever of its reading transactions it is.
  options.interpose =
      fmt::format("stat/calibration.db-journal:{}:stop-after", GENERATE(1, 2, 4, 7, 10));
  SQLite::Database writer(app.database().string(), SQLite::OPEN_READWRITE);
  writer.exec("BEGIN IMMEDIATE; DELETE FROM sessions");
  REQUIRE(fs::file_size(journal_of(app)) > 0);
  Running dry({"--app-dir", app.root().string(), "--dry-run", "--json"}, options);
  REQUIRE(dry.wait_until_stopped());
  writer.exec("ROLLBACK");
  REQUIRE_FALSE(fs::exists(journal_of(app)));

  const auto ran = dry.finish();

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  REQUIRE(ran.json().at("sessions").size() == 1);
  CHECK(ran.json().at("sessions").front().at("id") == old_one);
}

TEST_CASE("a real pass rolls a hot journal back first, and deletes by what is true then",
          "[tool][hot-journal][sqlite]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto young = app.add_session(1, 1200);
  app.add_directory("left-behind");
  crash_the_app(app);
  REQUIRE(has_hot_journal(app));

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 1 old session"));
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 1 directory"));
  CHECK_FALSE(has_hot_journal(app));
  CHECK(app.is_gone(old_one));
  CHECK(app.is_whole(young, 1200));
  CHECK(app.entries() == std::set{young});
  CHECK(app.is_sound());
  CHECK(run_on(app, {"--dry-run"}).status == 0);
}

TEST_CASE("what a crashed app left in the write-ahead log counts as far as it was committed",
          "[tool][dry-run][hot-journal][sqlite]") {
  App app(AppSchema::current, Journal::wal);
  const auto old_one = app.add_session(48);
  const auto young = app.add_session(1, 1200);
  crash_the_app(app);
  REQUIRE(fs::file_size(app.database().string() + "-wal") > 0);

  const auto before = app.fingerprint();

  const auto dry = run_on(app, {"--dry-run", "--json"});
  CHECK(dry.status == 0);
  for (const auto& line : changes_since(before, app)) {
    CHECK_THAT(line, Catch::Matchers::StartsWith(app.database().parent_path().string() + ": "));
  }
  REQUIRE(dry.json().at("sessions").size() == 1);
  CHECK(dry.json().at("sessions").front().at("id") == old_one);

  CHECK(run_on(app, {}).status == 0);
  CHECK(app.is_gone(old_one));
  CHECK(app.is_whole(young, 1200));
  CHECK(app.is_sound());
}
