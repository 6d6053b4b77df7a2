// What becomes of dates that no clock can show, and of a clock that jumps between two passes.
#include <fmt/format.h>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

constexpr std::int64_t hour = 3600;
constexpr std::int64_t year = 8766 * hour;

RunOptions with_clock(std::int64_t wrong_by, const std::string& point = "") {
  RunOptions options;
  options.clock_wrong_by = wrong_by;
  options.interpose = point;
  return options;
}

Ran run_with_clock(const App& app, std::int64_t wrong_by,
                   const std::vector<std::string>& arguments = {}) {
  return run_tool(pass_arguments(app, arguments), with_clock(wrong_by));
}

/// Kills a pass whose clock is fast by a year, so that everything is due, at this point.
void crash_a_pass(const App& app, const std::string& point) {
  const auto ran = run_tool(pass_arguments(app), with_clock(year, point));
  if (ran.status != killed) throw std::runtime_error("it never came to " + point);
}

const std::string before_the_commit = at_commit("kill");

std::string warning_of(std::size_t sessions) {
  return fmt::format(
      "{} sessions are kept: created_at is missing, cannot be read or is in the "
      "future: ",
      sessions);
}

}  // namespace

TEST_CASE("sessions with a date that cannot be read, or to come, are kept whole and counted",
          "[tool][clock]") {
  const auto schema = GENERATE(from_range(schemas_with_dates_as_text()));
  const auto hours = GENERATE(as<std::string>{}, "24", "0");
  // In a column DATETIME SQLite turns what reads like a number into one; in a VARCHAR it does not.
  std::vector<std::string> dates{
      "NULL", "''", "' '", "'junk'", "'now'",
      // Epoch numbers: seconds, with a fraction, milliseconds, a Julian day.
      "1760438644", "'1760438644'", "1760438644.320609", "1760438644321", "2460963.0", "-1", "0",
      "9223372036854775807", "-9e999", "'2016-12-31 23:59:60'", "'2016-12-31 23:59:60Z'",
      "'2025-10-14 24:00:00'", "'2025-10-14 12:60:00'", "'2025-02-29 12:00:00'",
      "'0000-01-01 00:00:00'", "'0001-01-01 00:00:00+00:01'", "'10000-01-01 00:00:00'",
      "'-2025-10-14 12:00:00'", "'2025-10-14'", "'12:00:00'", "'20251014T120000Z'", "'2025-W42-2'",
      "'2025-10-14 12:00:00 CEST'", "'2025-10-14 12:00:00 Europe/Berlin'",
      "'2025-10-14 12:00:00+24:00'",
      "'2025-10-14\xc2\xa0"
      "12:00:00'",
      "'2025-10-14 12:00:00\xef\xbc\xba'", "'14.10.2025 12:00:00'", "'Tue Oct 14 12:00:00 2025'",
      // To come, and so not to be believed.
      "'9999-12-31 23:59:59.999999'", sql_text(hours_ago(-1)), sql_text(hours_ago(12) + "-13:00")};
  if (!on_postgresql()) {
    dates.insert(dates.end(), {"X'00'", "X'323032352d31302d31342031323a30303a3030'",
                               "'2025-10-14 12:00:00' || char(0)"});
  }
  App app(schema);
  std::vector<std::string> kept;
  for (const auto& date : dates) {
    const auto id = new_uuid();
    app.add_session_row(id, date);
    app.add_directory(id, 1);
    app.add_image_rows(id, 1);
    kept.push_back(id);
  }
  // The oldest that can be read, and one that a zone makes old.
  const auto oldest = new_uuid();
  app.add_session_row(oldest, "'0001-01-01 00:00:00'");
  const auto east = new_uuid();
  app.add_session_row(east, sql_text(hours_ago(12) + "+13:00"));

  const auto ran = run_on(app, {"--hours", hours});

  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.empty());
  REQUIRE(said.warnings.size() == 1);
  CHECK(said.warnings.front().starts_with(warning_of(kept.size())));
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(app.session_ids() == std::set<std::string>(kept.begin(), kept.end()));
  CHECK(app.entries() == app.session_ids());
  for (const auto& id : kept) {
    CHECK(fs::exists(app.uploads() / id / "image_000.png"));
    CHECK(app.rows_of(id) == 1);
  }
}

TEST_CASE("a clock that was set back makes sessions of the future, which wait until it is right",
          "[tool][clock]") {
  const Backlog app;
  fs::remove_all(app.uploads() / "orphan");
  app.execute("DELETE FROM calibration_images WHERE session_id = " + sql_text(app.leaked_key()));
  const auto settled = app.settled();
  const auto before = app.fingerprint();
  const auto sessions = app.session_ids().size();
  // The last one: before 1970.
  for (const auto wrong_by : {-72 * hour, -10 * year, -80 * year}) {
    const auto ran = run_with_clock(app, wrong_by);
    CHECK(ran.status == 0);
    const auto warnings = diagnostics_of(ran).warnings;
    REQUIRE(warnings.size() == 1);
    CHECK(warnings[0].starts_with(warning_of(sessions)));
    CHECK(has_line(ran.out, "Cleanup completed: Deleted 0 old sessions"));
    CHECK(changes_since(before, app) == none);
  }
  CHECK(run_pass(app).status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("a clock that runs fast deletes what it says is old, unless --max-delete is in the way",
          "[tool][clock]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto before = app.fingerprint();
  // The last one: in five digits.
  const auto wrong_by = GENERATE(22 * hour + hour / 2, 100 * year, 9000 * year);
  const auto ran = run_with_clock(app, wrong_by, {"--max-delete", "3", "--json"});
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"--max-delete", "4 sessions"}));
  CHECK(ran.json().at("deleted_sessions") == 0);
  CHECK(changes_since(before, app) == none);
  // Nothing of it lasts: by the right clock it is two sessions and a directory.
  CHECK(run_pass(app, {"--max-delete", "3"}).status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("what a pass with a fast clock had moved aside when it died is settled by the right one",
          "[tool][clock][crash]") {
  const Backlog app(GENERATE(from_range(journals())));
  const auto settled = app.settled();
  crash_a_pass(app, before_the_commit);
  for (const auto& id : app.live()) REQUIRE(Backlog::has_all_images(app.staged(id)));
  SECTION("at once") {}
  SECTION("after a pass with a clock that is slow, which only gives back") {
    CHECK(run_with_clock(app, -year).status == 0);
    CHECK(app.entries() == app.session_ids());
    for (const auto& id : app.live()) CHECK(app.is_whole(id));
    for (const auto& id : app.due()) CHECK(app.is_whole(id));
  }
  const auto ran = run_pass(app);
  CHECK(ran.status == 0);
  CHECK(app.faults(app) == none);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("what was committed stays so under a slow clock, and the rest of it goes",
          "[tool][clock][crash]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto ran = run_tool(pass_arguments(app), with_clock(0, "unlinkat/image_:4:kill"));
  REQUIRE(ran.status == killed);
  REQUIRE(app.session_ids().size() == app.live().size());
  const auto slow = run_with_clock(app, -year);
  CHECK(slow.status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("the grace of orphans goes by the clock, and a slow one spares them",
          "[tool][clock][linux]") {
  const App app;
  app.execute("INSERT INTO sessions VALUES ('live', 'uploads/live', '9999-01-01 00:00:00')");
  app.add_directory("live");
  app.add_directory("orphan");
  for (const auto wrong_by : {std::int64_t{0}, -year, hour / 2}) {
    CHECK(run_with_clock(app, wrong_by, {"--orphan-grace", "60"}).status == 0);
    CHECK(app.entries().contains("orphan"));
  }
  CHECK(run_with_clock(app, 2 * hour, {"--orphan-grace", "60"}).status == 0);
  CHECK(app.entries() == std::set<std::string>{"live"});
}
