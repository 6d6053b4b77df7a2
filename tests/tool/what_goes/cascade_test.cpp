// What belongs to a session, end to end: tables that the app may add one day go with it, hold it,
// or are left alone, as their own keys say.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Tables on three levels below the app's own.
void add_deep_tables(const App& app) {
  app.execute(
      "CREATE TABLE corners (id INTEGER PRIMARY KEY, image_id INTEGER REFERENCES "
      "calibration_images (id) ON DELETE CASCADE);"
      "CREATE TABLE \"corner notes\" (corner INTEGER REFERENCES corners ON DELETE CASCADE, "
      "\"te\"\"xt\" "
      "TEXT);"
      "CREATE TABLE favourites (who TEXT, picked VARCHAR REFERENCES sessions ON DELETE SET NULL);"
      "INSERT INTO corners SELECT id, id FROM calibration_images;"
      "INSERT INTO \"corner notes\" SELECT id, 'x' FROM corners;"
      "INSERT INTO favourites SELECT 'me', id FROM sessions;");
}

/// The rows of each session in the JSON document.
std::map<std::string, nlohmann::json> records_of(const Ran& ran) {
  std::map<std::string, nlohmann::json> result;
  const auto document = ran.json();
  for (const auto& session : document["sessions"]) {
    result[session["id"].get<std::string>()] = session["records"];
  }
  return result;
}

}  // namespace

TEST_CASE("rows on every level go with their session, and are announced and counted alike",
          "[tool][cascade]") {
  App app(GENERATE(AppSchema::june_2025, AppSchema::october_2025, AppSchema::current));
  const auto old_one = app.add_session(48, 4);
  const auto young = app.add_session(2, 3);
  add_deep_tables(app);

  const auto dry = run_on(app, {"--json", "--dry-run"});
  const auto ran = run_on(app, {"--json"});

  CHECK(dry.status == 0);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  const auto records = records_of(ran);
  REQUIRE(records.size() == 1);
  CHECK(records.at(old_one)["calibration_images"] == 4);
  CHECK(records.at(old_one)["calibration_results"] == 1);
  CHECK(records.at(old_one)["corners"] == 4);
  CHECK(records.at(old_one)["corner notes"] == 4);
  CHECK(records_of(dry) == records);
  CHECK(app.is_gone(old_one));
  CHECK(app.is_whole(young));
  CHECK(app.number("SELECT count(*) FROM corners") == 3);
  CHECK(app.number("SELECT count(*) FROM \"corner notes\"") == 3);
  CHECK(app.number("SELECT count(*) FROM favourites WHERE picked IS NULL") == 1);
  CHECK(app.text("SELECT picked FROM favourites WHERE picked IS NOT NULL") == young);
  if (!on_postgresql()) CHECK(app.number("SELECT count(*) FROM pragma_foreign_key_check") == 0);
}

TEST_CASE("a row that holds its session keeps it whole, is named, and stops nobody else",
          "[tool][cascade]") {
  App app;
  const auto held = app.add_session(48);
  const auto free = app.add_session(48);
  add_deep_tables(app);
  SECTION("directly") {
    app.execute(fmt::format(
        "CREATE TABLE reports (about VARCHAR REFERENCES sessions); INSERT INTO reports VALUES ({})",
        sql_text(held)));
  }
  SECTION("by a row that would go with it") {
    app.execute(fmt::format(
        "CREATE TABLE reports (about INTEGER REFERENCES corners); INSERT INTO reports SELECT c.id "
        "FROM corners c JOIN calibration_images i ON i.id = c.image_id WHERE i.session_id = {} "
        "LIMIT 1",
        sql_text(held)));
  }
  for (const bool dry : {true, false}) {
    const auto ran =
        run_on(app, dry ? std::vector<std::string>{"--dry-run"} : std::vector<std::string>{});
    CAPTURE(dry, ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {held, "reports.about"}));
    CHECK(has_line(ran.out, dry ? "Would delete 1 old session"
                                : "Cleanup incomplete: Deleted 1 old session") != dry);
  }
  CHECK(app.is_whole(held));
  CHECK(app.is_gone(free));
  CHECK(app.number("SELECT count(*) FROM corners") == 3);
}

TEST_CASE("who shares a directory with a session that a row holds stays, too, and is named",
          "[tool][cascade]") {
  App app;
  const auto held = app.add_session(48);
  const auto other = app.add_session(72);
  app.execute(fmt::format("UPDATE sessions SET images_dir = 'uploads/{}' WHERE id = {}", held,
                          sql_text(other)));
  app.execute(fmt::format(
      "CREATE TABLE reports (about VARCHAR REFERENCES sessions); INSERT INTO reports VALUES ({})",
      sql_text(held)));
  const std::vector<std::string> dry{"--dry-run"};
  for (const auto& arguments : {dry, none}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 1);
    const auto errors = diagnostics_of(ran).errors;
    CHECK(errors.size() == 2);
    CHECK(lines_with(errors, "session " + held + ": a row that stays refers to it") == 1);
    CHECK(lines_with(errors, "session " + other + ": it goes together with") == 1);
  }
  CHECK(app.session_ids().size() == 2);
  CHECK(fs::exists(app.uploads() / held / "image_002.png"));
}

TEST_CASE("a trigger on a table of sessions does not run, and a warning says so",
          "[tool][cascade][sqlite]") {
  App app;
  const auto id = app.add_session(48);
  app.execute(
      "CREATE TABLE log (what TEXT); CREATE TRIGGER note_it AFTER DELETE ON calibration_images "
      "BEGIN INSERT INTO log VALUES (old.session_id); END");
  const auto ran = run_on(app, {});
  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.empty());
  REQUIRE(said.warnings.size() == 1);
  CHECK_THAT(said.warnings.front(), ContainsSubstring("note_it"));
  CHECK(app.is_gone(id));
  CHECK(app.number("SELECT count(*) FROM log") == 0);
}

TEST_CASE("leaked records go and are counted by table, but not in the wake of a named session",
          "[tool][cascade]") {
  App app;
  const auto young = app.add_session(2);
  const auto named = app.add_session(2);
  const auto lost = new_uuid();
  app.add_image_rows(lost, 5);
  app.add_image_rows("not-a-uuid", 2);
  app.add_stereo_row(young, lost);
  app.add_stereo_row(young, named);

  auto ran = run_on(app, {"--session", named, "--json"});
  CHECK(ran.status == 0);
  CHECK(ran.json()["orphaned_records"].empty());
  CHECK(ran.json()["sessions"][0]["records"]["stereo_calibration_results"] == 1);
  CHECK(app.rows_of(lost) == 5);
  CHECK(app.is_gone(named));

  const auto dry = run_on(app, {"--json", "--dry-run"});
  ran = run_on(app, {"--json"});
  CHECK(ran.status == 0);
  const nlohmann::json expected{{"calibration_images", 5}, {"stereo_calibration_results", 1}};
  CHECK(dry.json()["orphaned_records"] == expected);
  CHECK(ran.json()["orphaned_records"] == expected);
  CHECK(ran.json()["deleted_sessions"] == 0);
  CHECK(app.rows_of(lost) == 0);
  CHECK(app.rows_of("not-a-uuid") == 2);
  CHECK(app.number("SELECT count(*) FROM stereo_calibration_results") == 0);
  CHECK(app.is_whole(young));
}

TEST_CASE("a stereo row is announced for the session that it is then counted for",
          "[tool][cascade]") {
  App app;
  const auto first = app.add_session(48);
  const auto second = app.add_session(48);
  const bool turned = GENERATE(false, true);
  app.add_stereo_row(turned ? second : first, turned ? first : second);

  const auto dry = run_on(app, {"--json", "--dry-run"});
  const auto ran = run_on(app, {"--json"});

  CHECK(ran.status == 0);
  CHECK(records_of(ran).size() == 2);
  CHECK(records_of(dry) == records_of(ran));
  CHECK(app.number("SELECT count(*) FROM stereo_calibration_results") == 0);
}

TEST_CASE("a commit that a reader blocks leaves all as it was, and the pass tries again",
          "[tool][cascade][sqlite]") {
  App app;
  const auto id = app.add_session(48);
  SQLite::Database connection(app.database().string(), SQLite::OPEN_READWRITE);
  SQLite::Statement reader(connection, "SELECT id FROM sessions");
  REQUIRE(reader.executeStep());
  // The first rename moves the directory aside, the second one moves it back.
  RunOptions options;
  options.interpose = "renameat2:2:stop renameat:2:stop";
  Running running({"--app-dir", app.root().string(), "--json"}, options);
  REQUIRE(running.wait_until_stopped());
  CHECK(app.entries().size() == 1);
  CHECK(fs::exists(app.staged(id)));
  reader.reset();
  CHECK(app.has_session(id));

  const auto ran = running.finish();

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_gone(id));
  // The rows of the first try count no second time.
  const auto records = records_of(ran);
  REQUIRE(records.contains(id));
  CHECK(records.at(id)["calibration_images"] == 3);
}

TEST_CASE("a directory is claimed also by an images_dir that is no text",
          "[tool][cascade][sqlite]") {
  App app;
  app.add_session(2);
  app.add_session_row("by-hand", sql_text(hours_ago(2)), "CAST('uploads/pictures' AS BLOB)");
  app.add_directory("pictures");
  const auto ran = run_on(app, {});
  CHECK(ran.status == 0);
  CHECK(app.entries().contains("pictures"));
}

TEST_CASE("a user who may only read can have all that hangs on a session listed",
          "[tool][cascade]") {
  App app;
  const auto id = app.add_session(48);
  add_deep_tables(app);
  app.give_away();
  if (!on_postgresql()) fs::permissions(app.database(), fs::perms::owner_read);
  fs::permissions(app.database().parent_path(), fs::perms::owner_read | fs::perms::owner_exec);
  fs::permissions(app.uploads(), fs::perms::owner_read | fs::perms::owner_exec);
  RunOptions options;
  options.as = As::nobody;

  const auto ran = run_on(app, {"--dry-run", "--json"}, options);

  fs::permissions(app.database().parent_path(), fs::perms::owner_all, fs::perm_options::add);
  fs::permissions(app.uploads(), fs::perms::owner_all, fs::perm_options::add);
  CHECK(ran.status == 0);
  CHECK(diagnostics_of(ran).errors.empty());
  const auto records = records_of(ran);
  REQUIRE(records.contains(id));
  CHECK(records.at(id)["corner notes"] == 3);
}
