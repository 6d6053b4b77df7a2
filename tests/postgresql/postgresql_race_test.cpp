// On a server many write at once, and nobody waits for a pass but who wants the very rows that it
// deletes: what each of them sees, and what he is told.
#include <fmt/format.h>
#include <signal.h>

#include <optional>

#include "postgresql/postgresql_watch.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/child_process.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

/// Somebody else has the row of a session that is due.
constexpr auto second_look_at_rows = "send/SKIP:2:stop";

std::string insert_image(const std::string& session) {
  return "INSERT INTO calibration_images (session_id, image_path) VALUES (" + sql_text(session) +
         ", 'late.png')";
}

/// Does it as the app would, in a process of its own; 1 where the app is told that it failed.
ChildProcess app_does(const App& app, const std::string& sql) {
  return ChildProcess([&app, sql] {
    const auto connection = app.its_database().connection_of_the_app();
    try {
      connection->execute(sql);
    } catch (const std::exception&) {
      return 1;
    }
    return 0;
  });
}

}  // namespace

TEST_CASE("an image that comes when its session is about to go is refused, and leaves no row",
          "[race]") {
  const Backlog app;
  const auto settled = app.settled();
  // The rows are locked from the first move on.
  const auto point = GENERATE(as<std::string>{}, "renameat2:1:stop", at_commit("stop"));
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  auto upload = app_does(app, insert_image(app.due().front()));
  await_blocked(app);
  CHECK(running.finish().status == 0);
  CHECK(upload.finish() == 1);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("an image that comes while its session is chosen goes with it", "[race]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute("BEGIN; " + insert_image(app.due().front()));
  Running running(pass_arguments(app), at(second_look_at_rows));
  REQUIRE(running.wait_until_stopped());
  const bool commits = GENERATE(true, false);
  connection->execute(commits ? "COMMIT" : "ROLLBACK");
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("a session that is dated anew while it is chosen is kept whole", "[race]") {
  const Backlog app;
  const auto& saved = app.due().front();
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute(fmt::format("BEGIN; UPDATE sessions SET created_at = '{}' WHERE id = '{}'",
                                  hours_ago(0), saved));
  Running running(pass_arguments(app), at("sleep:3:stop"));
  REQUIRE(running.wait_until_stopped());
  connection->execute("COMMIT");
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(lines_with(diagnostics_of(ran).warnings, saved) == 1);
  CHECK(app.is_whole(saved));
  CHECK(app.is_gone(app.due().back()));
}

TEST_CASE("a session that is not committed yet keeps the directory that it claims", "[race]") {
  const Backlog app;
  const auto& owner = app.due().front();
  const auto fresh = new_uuid();
  const auto connection = app.its_database().connection_of_the_app();
  const auto insert = fmt::format("BEGIN; INSERT INTO sessions VALUES ('{}', 'uploads/{}', '{}')",
                                  fresh, owner, hours_ago(0));
  std::optional<Running> running;
  SECTION("before the pass begins") {
    connection->execute(insert);
    running.emplace(pass_arguments(app), at("sleep:3:stop"));
    REQUIRE(running->wait_until_stopped());
  }
  SECTION("while its directories are moved") {
    running.emplace(pass_arguments(app), at("renameat2:2:stop sleep:3:stop"));
    REQUIRE(running->wait_until_stopped());
    connection->execute(insert);
    running->signal(SIGCONT);
    REQUIRE(running->wait_until_stopped());
  }
  connection->execute("COMMIT");
  const auto ran = running->finish();
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {owner}));
  CHECK(app.is_whole(owner));
  CHECK(app.has_session(fresh));
  CHECK(app.is_gone(app.due().back()));
}

TEST_CASE("nobody waits for a pass while it moves and removes, but who wants what it deletes",
          "[race]") {
  const Backlog app;
  const std::set<std::string> harmless{"AccessShareLock", "RowShareLock", "RowExclusiveLock"};
  const auto connection = app.its_database().connection_of_the_app();
  // So that a test which fails does not hang.
  connection->execute("SET lock_timeout = '20s'");
  const auto& live = app.live().front();
  Running running(pass_arguments(app), at("renameat2:*:stop unlinkat:*:stop getdents:*:stop"));
  int points = 0;
  while (running.wait_until_stopped()) {
    ++points;
    for (const auto& lock : table_locks(app)) {
      INFO(lock.mode << " on " << lock.table);
      CHECK(harmless.contains(lock.mode));
    }
    const auto id = new_uuid();
    CHECK_NOTHROW(connection->execute(fmt::format(
        "INSERT INTO sessions VALUES ('{0}', 'uploads/{0}', '{1}'); {2}; {3}; UPDATE sessions SET "
        "created_at = '{1}' WHERE id = '{4}'; DELETE FROM calibration_images WHERE image_path = "
        "'late.png'",
        id, hours_ago(0), insert_image(id), insert_image(live), live)));
    running.signal(SIGCONT);
  }
  CHECK(running.finish().status == 0);
  CHECK(points > 15);
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
  for (const auto& id : app.due()) CHECK(app.is_gone(id));
}

TEST_CASE("the one lock that keeps others from writing is on sessions, for the end of a slice",
          "[race]") {
  const Backlog app;
  Running running(pass_arguments(app), at("send:*:stop"));
  int points = 0;
  std::set<std::string> tables;
  while (running.wait_until_stopped()) {
    ++points;
    for (const auto& lock : table_locks(app)) {
      INFO(lock.mode << " on " << lock.table);
      // It lets everybody read.
      if (lock.mode == "ShareRowExclusiveLock") tables.insert(lock.table);
      CHECK(lock.mode != "AccessExclusiveLock");
      CHECK(lock.mode != "ExclusiveLock");
      CHECK(lock.mode != "ShareLock");
    }
    running.signal(SIGCONT);
  }
  CHECK(running.finish().status == 0);
  CHECK(points > 20);
  CHECK(tables == std::set<std::string>{"sessions"});
}

TEST_CASE("an index on session_id changes nothing of what goes", "[race]") {
  const Backlog app;
  const auto settled = app.settled();
  app.execute(
      "CREATE INDEX by_session ON calibration_images (session_id); ANALYZE calibration_images");
  const auto ran = run_pass(app);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("a pass from another machine waits for its turn, whose folder locks nobody sees",
          "[race][locks]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto point = GENERATE(as<std::string>{}, "renameat2:2:stop", "unlinkat/image_:4:stop",
                              "rmdirat/.calib-cleanup:2:stop");
  CAPTURE(point);
  Running first(pass_arguments(app), at(point));
  REQUIRE(first.wait_until_stopped());
  const auto before = app.fingerprint();
  SECTION("and gives up") {
    const auto second = run_pass(app, {"--lock-wait", "0.1"}, "flock:*:skip");
    CHECK(second.status == 4);
    CHECK(second.out.empty());
    CHECK(is_one_error(second, {"another pass", "--lock-wait",
                                "it is held by calib-cleanup (server process ", ", since 20"}));
    CHECK(changes_since(before, app) == none);
    CHECK(first.finish().status == 0);
  }
  SECTION("and goes on when the other is done") {
    Running second(pass_arguments(app, {"--lock-wait", "60"}), at("flock:*:skip sleep:3:stop"));
    REQUIRE(second.wait_until_stopped());
    CHECK(changes_since(before, app) == none);
    CHECK(first.finish().status == 0);
    CHECK(second.finish().status == 0);
  }
  SECTION("and takes over where the other is killed") {
    Running second(pass_arguments(app, {"--lock-wait", "60"}), at("flock:*:skip sleep:3:stop"));
    REQUIRE(second.wait_until_stopped());
    first.signal(SIGKILL);
    CHECK(first.finish().status == killed);
    CHECK(second.finish().status == 0);
  }
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("sessions that come with a table, and not with a transaction of their own, are seen",
          "[race]") {
  const Backlog app;
  const auto& due = app.due().front();
  // Written before the pass begins, and sessions of the app's only while it runs.
  app.execute(
      fmt::format("CREATE TABLE late (LIKE sessions INCLUDING ALL); INSERT INTO late VALUES "
                  "('zz', '/uploads/orphan/{}', '{}')",
                  due, hours_ago(1)));
  std::string arrival;
  SECTION("a partition") {
    app.execute(
        "ALTER TABLE sessions RENAME TO early; CREATE TABLE sessions (LIKE early INCLUDING ALL) "
        "PARTITION BY RANGE (id); ALTER TABLE sessions ATTACH PARTITION early FOR VALUES FROM "
        "(MINVALUE) TO ('zz')");
    // A key to a partition alone is refused.
    for (const auto* child :
         {"calibration_images", "calibration_results", "calibration_parameters",
          "stereo_calibration_results", "live_capture_sessions", "calibration_quality_metrics"}) {
      app.execute(fmt::format(
          "ALTER TABLE {0} DROP CONSTRAINT {0}_session_id_fkey; ALTER TABLE {0} ADD FOREIGN KEY "
          "(session_id) REFERENCES sessions ON DELETE CASCADE NOT VALID",
          child));
    }
    arrival = "ALTER TABLE sessions ATTACH PARTITION late FOR VALUES FROM ('zz') TO (MAXVALUE)";
  }
  SECTION("a table of another name") {
    app.execute("INSERT INTO late SELECT * FROM sessions");
    arrival = "ALTER TABLE sessions RENAME TO early; ALTER TABLE late RENAME TO sessions";
  }
  Running running(pass_arguments(app), at("send/EXCLUSIVE:1:stop"));
  REQUIRE(running.wait_until_stopped());
  app.execute(arrival);
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(app.entries().contains("orphan"));
  CHECK(app.entries().contains(due));
  CHECK(app.has_session(due));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}
