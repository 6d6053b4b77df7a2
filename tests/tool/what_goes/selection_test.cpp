// Which sessions and directories go: --hours, --orphans-only, --session, --max-delete,
// --orphan-grace.
#include <fmt/format.h>

#include <cctype>
#include <chrono>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

const std::string all_done = "Cleanup completed successfully";

/// A session with its directory and one image row, dated by `created_at`, which is SQL.
std::string add_dated(App& app, const std::string& created_at) {
  auto id = new_uuid();
  app.add_session_row(id, created_at);
  app.add_directory(id, 1);
  app.add_image_rows(id, 1);
  return id;
}

std::int64_t images_of(const App& app, const std::string& id) {
  return app.number("SELECT count(*) FROM calibration_images WHERE session_id = " + sql_text(id));
}

}  // namespace

TEST_CASE("sessions go by the instant of their creation, in whatever zone it is written",
          "[tool][hours]") {
  App app(schemas_with_dates_as_text().front());
  // Each is three minutes on one side of 24 hours, and as text stands on the other.
  const auto old_east = add_dated(app, sql_text(hours_ago(24.05 - 2) + "+02:00"));
  const auto young_west = add_dated(app, sql_text(hours_ago(23.95 + 2) + "-02:00"));
  const auto old_utc = add_dated(app, sql_text(hours_ago(24.05) + "Z"));
  const auto young_utc = add_dated(app, sql_text(hours_ago(23.95)));
  auto with_t = hours_ago(24.05);
  with_t[10] = 'T';
  const auto old_iso = add_dated(app, sql_text(with_t));

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(app.session_ids() == std::set{young_west, young_utc});
  for (const auto& id : {old_east, old_utc, old_iso}) CHECK(app.is_gone(id));
}

TEST_CASE("hours may be fractional", "[tool][hours]") {
  App app;
  const auto older = app.add_session(0.55);
  const auto younger = app.add_session(0.45);
  CHECK(run_on(app, {"--hours", "0.5"}).status == 0);
  CHECK(app.is_gone(older));
  CHECK(app.is_whole(younger));
}

TEST_CASE("no hours at all means everything dated before now, and nothing of the future",
          "[tool][hours]") {
  App app;
  const auto fresh = app.add_session(0.001);
  const auto future = app.add_session(-1);
  const auto undated = add_dated(app, "NULL");
  const auto ran = run_on(app, {"--hours", "0"});
  CHECK(ran.status == 0);
  CHECK(app.is_gone(fresh));
  CHECK(app.session_ids() == std::set{future, undated});
  CHECK(app.is_whole(future));
  CHECK_THAT(ran.err, Catch::Matchers::StartsWith("calib-cleanup: warning: 2 sessions"));
}

TEST_CASE("more hours than time has run delete nothing", "[tool][hours]") {
  App app;
  app.add_session(100'000);
  const auto ran = run_on(app, {"--hours", "1e300"});
  CHECK(ran.status == 0);
  CHECK(app.session_ids().size() == 1);
}

TEST_CASE("orphans-only takes what has no session, and ignores hours", "[tool][orphans-only]") {
  App app;
  const auto old_one = app.add_session(10'000);
  app.add_directory("left-behind");
  const auto leaked = new_uuid();
  app.add_image_rows(leaked, 7);
  app.add_stereo_row(old_one, leaked);

  const auto ran = run_on(app, {"--orphans-only", "--hours", "0", "--json"});

  CHECK(ran.status == 0);
  const auto json = ran.json();
  CHECK(json.at("deleted_sessions") == 0);
  CHECK(json.at("sessions").empty());
  CHECK(json.at("deleted_orphaned_directories") == 1);
  CHECK(json.at("orphaned_records") ==
        nlohmann::json{{"calibration_images", 7}, {"stereo_calibration_results", 1}});
  CHECK(app.is_whole(old_one));
  CHECK(app.entries() == std::set{old_one});
  CHECK(images_of(app, leaked) == 0);
  CHECK(app.number("SELECT count(*) FROM stereo_calibration_results") == 0);
}

TEST_CASE("a stereo result that goes while one of its two sessions stays is told",
          "[tool][stereo]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto older = app.add_session(72);
  const auto young = app.add_session(1);
  app.add_stereo_row(old_one, young);
  app.add_stereo_row(young, new_uuid());
  app.add_stereo_row(older, old_one);
  app.add_stereo_row(older, new_uuid());
  const auto text = run_on(app, {"-n"}).out;
  CHECK(has_line(text, "With them would go 2 stereo results whose other session stays"));
  const auto ran = run_on(app, {"--json"});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(ran.json().at("halved_stereo_results") == 2);
  CHECK(app.number("SELECT count(*) FROM stereo_calibration_results") == 0);
}

TEST_CASE("named sessions go whatever their age, and nothing else goes along", "[tool][session]") {
  App app;
  const auto young = app.add_session(0.1);
  const auto undated = add_dated(app, "NULL");
  const auto old_one = app.add_session(10'000);
  app.add_directory("left-behind");
  const auto leaked = new_uuid();
  app.add_image_rows(leaked, 7);

  // Of the three, only --session can be wanted in a shell whose profile sets the others.
  const auto ran =
      run_on(app, {"--session", young, "--session=" + undated, "--session", young},
             {.environment = {{"CALIB_CLEANUP_HOURS", "1"}, {"CALIB_CLEANUP_ORPHANS_ONLY", "1"}}});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 0 directories"));
  CHECK(app.is_gone(young));
  CHECK(app.is_gone(undated));
  CHECK(app.is_whole(old_one));
  CHECK(app.entries() == std::set<std::string>{old_one, "left-behind"});
  CHECK(images_of(app, leaked) == 7);
}

TEST_CASE("a session that is not known is reported, and the others go on", "[tool][session]") {
  App app;
  const auto known = app.add_session(1);
  const auto other = app.add_session(1);
  auto upper = other;
  for (auto& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  // An id is compared byte for byte; it is neither a pattern nor SQL.
  for (const auto& unknown : {new_uuid(), std::string("%"), std::string("' OR 1=1 --"), upper}) {
    const auto ran = run_on(app, {"--session=" + unknown, "--dry-run"});
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {unknown, "no such session"}));
    CHECK(has_line(ran.out, "Cleanup dry run: Would delete 0 old sessions"));
  }
  const auto unknown = new_uuid();

  const auto ran = run_on(app, {"--session", unknown, "--session", known, "--json"});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {unknown, "no such session"}));
  CHECK(ran.json().at("deleted_sessions") == 1);
  CHECK(ran.json().at("message") != all_done);
  CHECK(ran.json().at("errors").size() == 1);
  CHECK(app.is_gone(known));
  CHECK(app.is_whole(other));
}

TEST_CASE("an id that begins with a dash is given behind an equals sign", "[tool][session]") {
  App app;
  app.add_session_row("-n", sql_text(hours_ago(1)));
  app.add_directory("-n");
  app.add_image_rows("-n", 2);
  const auto before = app.fingerprint();
  // Behind a blank it is an option: two options that both have a meaning must not be mixed up.
  CHECK(run_on(app, {"--session", "-n"}).status == 2);
  CHECK(changes_since(before, app) == none);
  const auto ran = run_on(app, {"--session=-n"});
  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 1 old session"));
  CHECK(app.is_gone("-n"));
}

TEST_CASE("a named session and an age rule on one command line are wrong usage",
          "[tool][session]") {
  App app;
  const auto id = app.add_session(48);
  app.add_directory("left-behind");
  const auto before = app.fingerprint();
  const auto rule =
      GENERATE(std::vector<std::string>{"--hours", "1"}, std::vector<std::string>{"--hours=0"},
               std::vector<std::string>{"--orphans-only"});
  auto arguments = rule;
  arguments.insert(arguments.end(), {"--session", id});
  const auto ran = run_on(app, arguments);
  CHECK(ran.status == 2);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {"--session"}));
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("where more would go than --max-delete allows, nothing goes", "[tool][max-delete]") {
  App app;
  for (int i = 0; i < 3; ++i) app.add_session(48);
  app.add_directory("left-behind");
  app.add_directory(new_uuid());
  app.add_image_rows(new_uuid(), 5);

  SECTION("one too many") {
    const auto before = app.fingerprint();
    const auto dry = GENERATE(false, true);
    std::vector<std::string> arguments{"--max-delete", "4", "--json"};
    if (dry) arguments.emplace_back("--dry-run");
    const auto ran = run_on(app, arguments);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {"--max-delete", "3 sessions", "2 directories", "4"}));
    CHECK(ran.json().at("deleted_sessions") == 0);
    CHECK(ran.json().at("deleted_orphaned_directories") == 0);
    CHECK(ran.json().at("freed_bytes") == 0);
    CHECK(ran.json().at("message") != all_done);
    CHECK(ran.json().at("kept").at("sessions") == 3);
    CHECK(ran.json().at("kept").at("directories") == 5);
    CHECK(changes_since(before, app) == none);
    // A dry run lists all the same what it is about.
    CHECK(ran.json().at("sessions").size() == (dry ? 3 : 0));
    CHECK(ran.json().at("orphans").size() == (dry ? 2 : 0));
    CHECK(ran.json().at("orphaned_records").empty() == !dry);
  }
  SECTION("one too many, as text") {
    const auto ran = run_on(app, {"--max-delete", "4", "--dry-run"});
    CHECK(ran.status == 1);
    CHECK(has_line(ran.out, "More than 4 (--max-delete): a pass would delete none of these."));
    CHECK(has_line(ran.out, "Cleanup dry run: Would delete 0 old sessions"));
    CHECK(has_line(ran.out, "Would be freed:         0 B"));
    CHECK_THAT(ran.out, Catch::Matchers::ContainsSubstring("left-behind"));
  }
  SECTION("no limit") {
    const RunOptions limited{.environment = {{"CALIB_CLEANUP_MAX_DELETE", "4"}}};
    CHECK(run_on(app, {"--max-delete", "none"}, limited).status == 0);
    CHECK(app.entries().empty());
  }
  SECTION("as many as allowed") {
    const auto ran = run_on(app, {"--max-delete", "5"});
    CHECK(ran.status == 0);
    CHECK(has_line(ran.out, "Cleanup completed: Deleted 3 old sessions"));
    CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 2 directories"));
    CHECK(app.entries().empty());
    CHECK(app.number("SELECT count(*) FROM calibration_images") == 0);
  }
}

TEST_CASE("option --max-delete counts sessions and directories, not records that leaked",
          "[tool][max-delete]") {
  App app;
  const auto young = app.add_session(1);
  const auto leaked = new_uuid();
  app.add_image_rows(leaked, 5);
  CHECK(run_on(app, {"--max-delete", "0"}).status == 0);
  CHECK(images_of(app, leaked) == 0);
  CHECK(app.is_whole(young));
}

TEST_CASE("an orphan that changed within the grace stays", "[tool][orphan-grace][linux]") {
  App app;
  const auto young = app.add_session(1);
  const auto orphan = app.add_directory("left-behind");
  // Its mtime is old, but its ctime is not, and the later of the two counts.
  fs::last_write_time(orphan, fs::file_time_type::clock::now() - std::chrono::hours{24});
  const RunOptions grace{.environment = {{"CALIB_CLEANUP_ORPHAN_GRACE", "60"}}};

  const auto spared = run_on(app, {}, grace);
  CHECK(spared.status == 0);
  CHECK(spared.err.empty());
  CHECK(has_line(spared.out, "Orphaned file cleanup completed: Deleted 0 directories"));
  CHECK(app.entries() == std::set<std::string>{young, "left-behind"});

  // A session has no grace: its age is that of the row.
  const auto old_one = app.add_session(48);
  CHECK(run_on(app, {}, grace).status == 0);
  CHECK(app.is_gone(old_one));

  const auto taken = run_on(app, {"--orphan-grace", "0"}, grace);
  CHECK(has_line(taken.out, "Orphaned file cleanup completed: Deleted 1 directory"));
  CHECK(app.entries() == std::set{young});
}
