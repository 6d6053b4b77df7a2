// Others are at work in the uploads folder while a pass runs: another cleaner, the app's own one,
// somebody who puts links in the place of directories.
#include <fmt/format.h>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

/// What the app's own clean-up does hourly, and at each start: every directory that it does not
/// know goes, hidden ones included.
void run_cleanup_of_the_app(const Backlog& app, const std::set<std::string>& known) {
  for (const auto& name : app.entries()) {
    if (!known.contains(name)) fs::remove_all(app.uploads() / name);
  }
}

std::set<std::string> all_sessions(const Backlog& app) {
  std::set<std::string> ids(app.due().begin(), app.due().end());
  ids.insert(app.live().begin(), app.live().end());
  return ids;
}

}  // namespace

TEST_CASE("directories that another cleaner removes while the pass removes them are no error",
          "[tool][files][race][threads]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto point = GENERATE(as<std::string>{}, "unlinkat/image_:1:stop", "unlinkat/image_:4:stop",
                              "rmdirat/orphan:1:stop", "rmdirat/.calib-cleanup.:1:stop",
                              "statx/image_001:2:stop-after");
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  run_cleanup_of_the_app(app, all_sessions(app));
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("staged directories that the app's own clean-up removes before the commit are no error",
          "[tool][files][race][threads]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto point = GENERATE(as<std::string>{}, "renameat2:1:stop-after", at_commit("stop"));
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  run_cleanup_of_the_app(app, all_sessions(app));
  const auto ran = running.finish();
  // Between its move and the look at what was moved a directory may be missed: then that session
  // is kept, and the next pass has it.
  CHECK((ran.status == 0 || point == "renameat2:1:stop-after"));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
  CHECK(run_pass(app).status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("where staged directories vanish and the commit fails, the records stay, and it is said",
          "[tool][race][faults][threads]") {
  const Backlog app;
  const auto settled = app.settled();
  Running running(pass_arguments(app), at(at_commit("stop") + " " + at_commit("5")));
  REQUIRE(running.wait_until_stopped());
  run_cleanup_of_the_app(app, all_sessions(app));
  const auto ran = running.finish();
  CHECK(ran.status == 1);
  CHECK(app.has_all_records(app));
  for (const auto& id : app.due()) {
    CHECK(lines_with(diagnostics_of(ran).errors, app.staged(id).string()) == 1);
  }
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
  CHECK(run_pass(app).status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("directories of expired sessions that go before they are moved aside are no error",
          "[tool][files][race]") {
  const Backlog app;
  const auto settled = app.settled();
  // The last one is between the look at a directory and the move.
  const auto point = GENERATE(as<std::string>{}, "getdents:2:stop-after", "unlinkat/image_:1:stop",
                              "renameat2:1:stop");
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  for (const auto& id : app.due()) fs::remove_all(app.uploads() / id);
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("a directory that is swapped for a link before it is moved keeps its session whole",
          "[tool][files][race][untouched][threads]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto& id = app.due().front();
  const auto home = app.uploads() / id;
  // After the plan, after the first look at it, and when only the move is left to do.
  const auto point =
      fmt::format(fmt::runtime(GENERATE(as<std::string>{}, "unlinkat/image_:1:stop",
                                        "statx/{}:1:stop-after", "renameat2/{}:1:stop")),
                  id);
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  fs::rename(home, app.scratch("aside"));
  fs::create_directory_symlink(app.outside(), home);

  const auto ran = running.finish();

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {home.string(), fmt::format("session {} is left whole", id)}));
  CHECK(app.has_session(id));
  CHECK(app.rows_of(id) == 4);
  CHECK(fs::read_symlink(home) == app.outside());
  CHECK(fs::exists(app.outside() / "sentinel"));
  CHECK(Backlog::has_all_images(app.scratch("aside")));
  CHECK(app.is_gone(app.due().back()));

  fs::remove(home);
  fs::rename(app.scratch("aside"), home);
  CHECK(run_pass(app).status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("an orphan that is swapped for a link while the pass runs leads nowhere",
          "[tool][files][race][untouched][threads]") {
  const Backlog app;
  const auto orphan = app.uploads() / "orphan";
  const auto point =
      GENERATE(as<std::string>{}, "getdents:2:stop-after", "statx/orphan:1:stop-after",
               "unlinkat/image_:1:stop", "rmdirat/orphan:1:stop");
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  fs::rename(orphan, app.scratch("aside"));
  fs::create_directory_symlink(app.outside(), orphan);

  const auto ran = running.finish();

  CHECK((ran.status == 0 || ran.status == 1));
  CHECK(fs::read_symlink(orphan) == app.outside());
  CHECK(fs::exists(app.outside() / "sentinel"));
  for (const auto& id : app.due()) CHECK(app.is_gone(id));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}

TEST_CASE("files that appear in a directory while it is purged go with it", "[tool][files][race]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto point =
      GENERATE(as<std::string>{}, "unlinkat/image_:3:stop", "rmdirat/.calib-cleanup.:1:stop");
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  for (const auto& name : app.entries()) {
    if (name.starts_with(".calib-cleanup.")) app.add_directory(name, 4);
  }
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("an uploads folder that is moved while the pass runs is still the one that was opened",
          "[tool][files][race][untouched][threads]") {
  const Backlog app;
  // Whether the sessions are gone by then: no transaction begins once the path leads elsewhere.
  const bool committed = GENERATE(true, false);
  Running running(pass_arguments(app),
                  at(committed ? "rmdirat/.calib-cleanup.:1:stop" : "unlinkat/image_:1:stop"));
  REQUIRE(running.wait_until_stopped());
  const auto moved = app.scratch("moved");
  fs::rename(app.uploads(), moved);
  fs::create_directories(app.uploads());
  for (const auto& id : app.due()) app.add_directory(id, 3);
  app.add_directory("orphan", 2);
  const auto before = app.entries();

  CHECK(running.finish().status == (committed ? 0 : 1));

  CHECK(app.entries() == before);
  for (const auto& name : before) CHECK(fs::exists(app.uploads() / name / "image_001.png"));
  for (const auto& id : app.live()) CHECK(Backlog::has_all_images(moved / id));
  for (const auto& id : app.due()) CHECK(fs::exists(moved / id) == !committed);
}
