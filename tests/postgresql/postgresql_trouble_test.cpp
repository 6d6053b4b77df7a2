// What a server does to a pass: ends its connection, keeps it waiting, makes it begin again. The
// status tells the truth, and each session goes whole or stays whole.
#include <fmt/format.h>
#include <signal.h>

#include <thread>

#include "postgresql/postgresql_watch.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/child_process.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

void check_next_pass_settles(const Backlog& app, const std::string& settled) {
  const auto next = run_pass(app);
  CHECK(next.status == 0);
  CHECK(next.err.empty());
  CHECK(difference(state_of(app), settled) == none);
}

/// For the first `times` times that a row is deleted there, and as often as not at the commit, the
/// server says that the transaction has to begin again. A sequence forgets no rollback.
void fail_deletes(const App& app, const std::string& state, int times, bool at_commit) {
  app.execute(fmt::format(
      "CREATE SEQUENCE tries; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "IF nextval('tries') <= {} THEN RAISE EXCEPTION 'try again' USING ERRCODE = '{}'; END IF; "
      "RETURN old; END $$; CREATE {} TRIGGER fail {} DELETE ON calibration_results {} FOR EACH ROW "
      "EXECUTE FUNCTION fail()",
      times, state, at_commit ? "CONSTRAINT" : "", at_commit ? "AFTER" : "BEFORE",
      at_commit ? "DEFERRABLE INITIALLY DEFERRED" : ""));
}

}  // namespace

TEST_CASE("a connection that is lost on the way costs no session anything", "[connection]") {
  const Backlog app;
  const auto settled = app.settled();
  // While the folder is listed, before a session has been chosen, in the middle of the moves, right
  // before the commit.
  const auto point = GENERATE(as<std::string>{}, "getdents:2:stop", "unlinkat/image_:1:stop",
                              "renameat2:1:stop", "renameat2:2:stop-after", at_commit("stop"));
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  end_connections(app);
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK((ran.status == 0 || ran.status == 1 || ran.status == 3));
  if (ran.status != 0) {
    CHECK(app.has_all_records(app));
    CHECK(is_one_error(ran, {app.database_shown()}));
    for (const auto& id : app.due()) CHECK(app.is_whole(id));
  }
  CHECK(app.faults(app) == none);
  check_next_pass_settles(app, settled);
}

TEST_CASE("a connection that is lost when the commit holds costs nothing either", "[connection]") {
  const Backlog app;
  const auto settled = app.settled();
  Running running(pass_arguments(app), at("unlinkat/image_:3:stop"));
  REQUIRE(running.wait_until_stopped());
  end_connections(app);
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK((ran.status == 0 || ran.status == 1));
  CHECK(app.faults(app) == none);
  for (const auto& id : app.due()) CHECK_FALSE(app.has_session(id));
  check_next_pass_settles(app, settled);
}

TEST_CASE("a transaction that the server wants begun again is begun again, and no more",
          "[retries]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto state = GENERATE(as<std::string>{}, "40001", "40P01");
  const bool at_commit = GENERATE(false, true);
  CAPTURE(state, at_commit);
  SECTION("until it holds") {
    fail_deletes(app, state, 2, at_commit);
    const auto ran = run_pass(app);
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(diagnostics_of(ran).errors.empty());
    CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
    CHECK(difference(state_of(app), settled) == none);
  }
  SECTION("and given up where it never does, with everything as it was") {
    fail_deletes(app, state, 1'000'000, at_commit);
    const auto ran = run_pass(app, {"--lock-wait", "0.5"});
    INFO(ran.err);
    CHECK(ran.status == 1);
    const auto errors = diagnostics_of(ran).errors;
    CHECK(errors.size() == app.due().size());
    for (const auto& id : app.due()) {
      CHECK(lines_with(errors, id) == 1);
      CHECK(app.is_whole(id));
    }
    // They hinder nobody else.
    CHECK(app.rows_of(app.leaked_key()) == 0);
  }
}

TEST_CASE("who holds one session and wants another is not kept waiting by the pass", "[retries]") {
  const Backlog app;
  const auto settled = app.settled();
  const bool first = GENERATE(false, true);
  const auto& held = first ? app.due().front() : app.due().back();
  const auto& wanted = first ? app.due().back() : app.due().front();
  const auto connection = app.its_database().connection_of_the_app();
  const auto touch = [](const std::string& id) {
    return "SELECT id FROM sessions WHERE id = " + sql_text(id) + " FOR UPDATE";
  };
  connection->execute("SET lock_timeout = '30s'; BEGIN; " + touch(held));
  Running running(pass_arguments(app, {"--lock-wait", "60"}), at("send/SKIP:2:stop"));
  // It has the other row by then, and looks for this one once more.
  REQUIRE(running.wait_until_stopped());
  std::string refused;
  std::thread writer([&] {
    try {
      connection->execute(touch(wanted) + "; COMMIT");
    } catch (const std::exception& error) {
      refused = error.what();
    }
  });
  await_blocked(app);
  const auto ran = running.finish();
  writer.join();
  CHECK(refused.empty());
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("whatever isolation the database is set to, the pass has its own", "[retries]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto level = GENERATE(as<std::string>{}, "serializable", "repeatable read");
  app.execute(fmt::format(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''{}''', "
      "current_database()); END $$",
      level));
  Running running(pass_arguments(app), at("renameat2:1:stop"));
  REQUIRE(running.wait_until_stopped());
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute(
      "BEGIN; SELECT count(*) FROM calibration_images; UPDATE sessions SET "
      "images_dir = images_dir WHERE id = " +
      sql_text(app.live().front()) + "; COMMIT");
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("a table of sessions that stays locked for longer than --lock-wait is status 4",
          "[locks]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto before = app.fingerprint();
  const auto sql = GENERATE(as<std::string>{}, "LOCK TABLE sessions IN SHARE MODE",
                            "LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE",
                            "UPDATE sessions SET images_dir = images_dir WHERE id = 'nobody'");
  CAPTURE(sql);
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute("BEGIN; " + sql);
  const auto ran = run_pass(app, {"--lock-wait", "0.2"});
  INFO(ran.err);
  CHECK(ran.status == 4);
  CHECK(is_one_error(ran, {app.database_shown(), "--lock-wait"}));
  connection->execute("ROLLBACK");
  CHECK(changes_since(before, app) == none);
  check_next_pass_settles(app, settled);
}

TEST_CASE("sessions whose rows stay locked are left whole and named, and hinder nobody",
          "[locks]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto& stuck = app.due().front();
  const auto sql =
      fmt::format(fmt::runtime(GENERATE(
                      as<std::string>{}, "SELECT id FROM sessions WHERE id = '{}' FOR UPDATE",
                      "INSERT INTO calibration_images (session_id, image_path) VALUES ('{}', 'x')",
                      "SELECT id FROM calibration_images WHERE session_id = '{}' FOR UPDATE")),
                  stuck);
  CAPTURE(sql);
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute("BEGIN; " + sql);
  const auto ran = run_pass(app, {"--lock-wait", "0.2"});
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {stuck, "left whole"}));
  connection->execute("ROLLBACK");
  CHECK(app.is_whole(stuck));
  CHECK(app.is_gone(app.due().back()));
  check_next_pass_settles(app, settled);
}

TEST_CASE("a signal ends the wait for a lock on a server, with nothing changed",
          "[locks][signals][threads]") {
  const Backlog app;
  fs::remove_all(app.uploads() / "orphan");
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const auto sql = GENERATE(as<std::string>{}, "SELECT id FROM sessions FOR UPDATE",
                            "LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE");
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute("BEGIN; " + sql);
  const auto rows = app.entries();
  // What keeps sessions from being read at all is waited for in the server, everything else here.
  const bool in_the_server = sql.starts_with("LOCK");
  Running running(pass_arguments(app, {"--lock-wait", "100"}),
                  at(in_the_server ? "none:1:0" : "sleep:5:stop"));
  if (in_the_server) {
    await_blocked(app);
  } else {
    REQUIRE(running.wait_until_stopped());
  }
  running.signal(signal);
  const auto ran = running.finish();
  CHECK(ran.status == 128 + signal);
  connection->execute("ROLLBACK");
  CHECK(app.entries() == rows);
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
}

TEST_CASE("what a vacuum gives back to the server's disk is counted", "[vacuum]") {
  Backlog app;
  app.add_image_rows(app.due().front(), 20'000);
  const auto ran = run_pass(app, {"--vacuum", "--json"});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.json().at("vacuumed_bytes") > 1'000'000);
}

TEST_CASE("a pass that is stopped in a transaction lets go of what others want in the end",
          "[.][long][locks]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto& due = app.due().front();
  Running running(pass_arguments(app), at("renameat2:1:stop"));
  REQUIRE(running.wait_until_stopped());
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute("SET lock_timeout = '100s'");
  CHECK_NOTHROW(connection->execute("UPDATE sessions SET images_dir = images_dir WHERE id = " +
                                    sql_text(due)));
  const auto ran = running.finish();
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.database_shown(), "idle-in-transaction timeout"}));
  CHECK(app.is_whole(due));
  check_next_pass_settles(app, settled);
}

TEST_CASE("a value that is too large to be read is what is said, not what came of it",
          "[connection]") {
  const Backlog app;
  const auto point = GENERATE(as<std::string>{}, "send/EXCLUSIVE:1:stop", "unlinkat:1:stop");
  CAPTURE(point);
  Running running(pass_arguments(app), at(point));
  REQUIRE(running.wait_until_stopped());
  app.execute(
      "INSERT INTO sessions VALUES ('giant', repeat('x', 20000000), NULL); INSERT INTO sessions "
      "SELECT 'small_' || n, 'x', NULL FROM generate_series(1, 1000) n");
  const auto ran = running.finish();
  INFO(ran.err);
  const auto errors = diagnostics_of(ran).errors;
  CHECK(!errors.empty());
  CHECK(lines_with(errors, "larger than 16 MiB") == errors.size());
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
}
