// What a pass waits for, what it goes on without, and who waits for it.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "postgresql/postgresql_roles.hpp"
#include "postgresql/postgresql_watch.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

TEST_CASE("a table that somebody has locked is waited for, for as long as --lock-wait says",
          "[locks]") {
  const Backlog app;
  const auto settled = app.settled();
  // Rows of the app's table go; those of the other are changed, or looked at.
  app.execute("CREATE TABLE extra (owner varchar)");
  const auto [action, locked] =
      GENERATE(table<std::string, std::string>({{"", "calibration_images IN SHARE MODE"},
                                                {"SET NULL", "extra IN SHARE MODE"},
                                                {"RESTRICT", "extra IN EXCLUSIVE MODE"}}));
  CAPTURE(action, locked);
  const bool is_beside = !action.empty();
  if (is_beside) {
    app.execute("ALTER TABLE extra ADD FOREIGN KEY (owner) REFERENCES sessions ON DELETE " +
                action);
  }
  const auto before = app.fingerprint();
  const auto connection = app.its_database().connection_of_the_app();
  const auto lock = "BEGIN; LOCK TABLE " + locked;
  SECTION("until it is free") {
    const bool comes_late = GENERATE(false, true);
    if (!comes_late) connection->execute(lock);
    const std::string late = is_beside ? "send/LOCK:2:stop " : "send/DELETE:1:stop ";
    Running running(pass_arguments(app, {"--lock-wait", "60"}),
                    at((comes_late ? late : "") + "sleep:5:stop"));
    REQUIRE(running.wait_until_stopped());
    if (comes_late) {
      connection->execute(lock);
      running.signal(SIGCONT);
      REQUIRE(running.wait_until_stopped());
    }
    // Nobody waits for the pass meanwhile.
    CHECK(table_locks(app).size() == 1);
    CHECK(changes_since(before, app) == none);
    connection->execute("ROLLBACK");
    const auto ran = running.finish();
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
  }
  SECTION("and no longer") {
    connection->execute(lock);
    const auto ran = run_pass(app, {"--lock-wait", "0.3"});
    INFO(ran.err);
    CHECK(ran.status == 4);
    CHECK(is_one_error(ran, {app.database_shown(), "stayed locked", "--lock-wait"}));
    // What is locked beside the app's tables is not told.
    CHECK((is_beside || is_one_error(ran, {" by ", "(server process ", ", since "})));
    connection->execute("ROLLBACK");
    CHECK(changes_since(before, app) == none);
    CHECK(run_pass(app).status == 0);
  }
  app.execute("DROP TABLE extra");
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("what is claimed while a locked table is waited for stays", "[locks]") {
  const Backlog app;
  const auto connection = app.its_database().connection_of_the_app();
  // It has asked by then whether anybody claims the orphan.
  Running running(pass_arguments(app, {"--lock-wait", "60"}),
                  at("send/DELETE:1:stop sleep:5:stop"));
  REQUIRE(running.wait_until_stopped());
  connection->execute(fmt::format(
      "BEGIN; LOCK TABLE calibration_images IN SHARE MODE; INSERT INTO sessions (id, images_dir, "
      "created_at) VALUES ('orphan', 'uploads/orphan', '{}')",
      hours_ago(1)));
  running.signal(SIGCONT);
  REQUIRE(running.wait_until_stopped());
  connection->execute("COMMIT");
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.entries().contains("orphan"));
  CHECK(app.has_session("orphan"));
  for (const auto& id : app.due()) CHECK(app.is_gone(id));
}

TEST_CASE("a table that the role may not lock, and the server uses for it, hinders no pass",
          "[locks][roles]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto role = make_role(app, "SELECT, UPDATE, DELETE");
  const auto [action, rights] = GENERATE(table<std::string, std::string>(
      {{"SET NULL", ""},
       // A right to the table is none where its schema is closed.
       {"SET NULL", "GRANT UPDATE ON more.extra TO {0}"},
       {"RESTRICT", "GRANT USAGE ON SCHEMA more TO {0}; GRANT SELECT ON more.extra TO {0}"}}));
  CAPTURE(action, rights);
  app.execute(
      fmt::format("CREATE SCHEMA more; CREATE TABLE more.extra (owner varchar REFERENCES sessions "
                  "ON DELETE {})",
                  action));
  if (!rights.empty()) app.execute(fmt::format(fmt::runtime(rights), role));
  const auto ran = run_on(app, {"--database", url_for(app, role)});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  app.execute("DROP SCHEMA more CASCADE");
  CHECK(difference(state_of(app), settled) == none);
  drop_role(app, role);
}

TEST_CASE("tables that are another role's are left to autovacuum, which is a warning",
          "[vacuum][roles]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto role = make_role(app, "SELECT, UPDATE, DELETE");
  const auto url = url_for(app, role);
  for (int pass = 1; pass <= 2; ++pass) {
    CAPTURE(pass);
    const auto ran = run_on(app, {"--vacuum", "--database", url});
    INFO(ran.err);
    CHECK(ran.status == 0);
    const auto said = diagnostics_of(ran);
    CHECK(said.errors.empty());
    REQUIRE(said.warnings.size() == 1);
    for (const auto* part : {"not vacuumed", "sessions", "calibration_images", "autovacuum"}) {
      CHECK(lines_with(said.warnings, part) == 1);
    }
  }
  CHECK(difference(state_of(app), settled) == none);
  drop_role(app, role);
}

TEST_CASE("what is this role's own is vacuumed beside what is not", "[vacuum][roles][threads]") {
  Backlog app;
  app.add_image_rows(app.due().front(), 20'000);
  const auto role = make_role(app, "SELECT, UPDATE, DELETE");
  app.execute("ALTER TABLE calibration_images OWNER TO " + role);
  const auto size = [&] { return app.number("SELECT pg_relation_size('calibration_images')"); };
  const auto before = size();
  const auto ran = run_on(app, {"--vacuum", "--database", url_for(app, role)});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(lines_with(diagnostics_of(ran).warnings, "calibration_images,") == 0);
  CHECK(size() < before / 2);
  app.execute("ALTER TABLE calibration_images OWNER TO tester");
  drop_role(app, role);
}

TEST_CASE("a locked table is not vacuumed, which is a warning and not waited for any longer",
          "[vacuum][locks]") {
  const Backlog app;
  const auto settled = app.settled();
  // Before its size is asked for, or right before the vacuum.
  const auto [message, mode] =
      GENERATE(table<std::string, std::string>({{"pg_total_relation_size", "ACCESS EXCLUSIVE"},
                                                {"VACUUM", "ACCESS EXCLUSIVE"},
                                                {"VACUUM", "SHARE"}}));
  CAPTURE(message, mode);
  app.execute(fmt::format("ALTER DATABASE {} SET client_min_messages = error", name_of(app)));
  const bool waits = GENERATE(false, true);
  auto options = at(fmt::format("send/{}:1:stop", message));
  options.seconds = 20;
  Running running(pass_arguments(app, {"--vacuum", "--lock-wait", waits ? "0.3" : "0"}), options);
  REQUIRE(running.wait_until_stopped());
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute(fmt::format("BEGIN; LOCK TABLE calibration_images IN {} MODE", mode));
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.empty());
  REQUIRE(said.warnings.size() == 1);
  for (const auto* part : {"not vacuumed", "locked"}) CHECK(lines_with(said.warnings, part) == 1);
  CHECK(ran.out.find("Vacuum") == std::string::npos);
  connection->execute("ROLLBACK");
  CHECK(difference(state_of(app), settled) == none);
  CHECK(run_pass(app, {"--vacuum"}).err.empty());
}

TEST_CASE("where a table is read for each session, one is begun with", "[locks]") {
  const Backlog app;
  // With it the server looks at the foreign keys itself.
  app.execute("CREATE TABLE extra (session_id varchar REFERENCES sessions ON DELETE SET NULL)");
  const bool has_index = GENERATE(false, true);
  if (has_index) app.execute("CREATE INDEX by_session ON calibration_images (session_id)");
  app.execute(
      fmt::format("ALTER TABLE calibration_images ALTER image_path SET STORAGE EXTERNAL; INSERT "
                  "INTO calibration_images (session_id, image_path) SELECT '{}', repeat('x', "
                  "1000000) FROM generate_series(1, 20)",
                  app.live().back()));
  Running running(pass_arguments(app), at("renameat2:2:stop"));
  REQUIRE(running.wait_until_stopped());
  const auto locks = table_locks(app);
  const bool has_begun_to_delete = std::ranges::any_of(locks, [](const TableLock& lock) {
    return lock.table == "calibration_images" && lock.mode == "RowExclusiveLock";
  });
  CHECK((has_begun_to_delete || !app.has_session(app.due().front())) == !has_index);
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  for (const auto& id : app.due()) CHECK(app.is_gone(id));
}

TEST_CASE("a signal ends a pass whose server's name is being looked up, and nothing was changed",
          "[signals][threads]") {
  const Backlog app;
  const auto before = app.fingerprint();
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  Running running(
      pass_arguments(app, {"--json", "--database", "postgresql://tester@localhost:1/calib"}),
      at("getaddrinfo:1:stop"));
  REQUIRE(running.wait_until_stopped());
  running.signal(signal);
  const auto ran = running.finish();
  CHECK(ran.status == 128 + signal);
  CHECK(ran.has_exited);
  // It did not come back from the call.
  CHECK(ran.out.empty());
  CHECK(ran.err.empty());
  CHECK(changes_since(before, app) == none);
}
