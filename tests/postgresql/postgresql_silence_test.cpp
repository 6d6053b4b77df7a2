// A server that does not answer: because it has been stopped, or because its COMMIT waits for a
// standby that is away. The pass ends with a message that says what was not answered, nothing is
// purged before the outcome is known, and the next pass settles what was left.
#include <fmt/format.h>
#include <signal.h>

#include <fstream>
#include <stdexcept>

#include "postgresql/postgresql_own_server.hpp"
#include "postgresql/postgresql_watch.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

/// Stopped there, and from there on a minute of the server's silence takes it two seconds.
RunOptions impatient(const std::string& point) {
  auto options = at(point);
  options.environment["CALIB_TEST_POLL"] = "30";
  options.seconds = 60;
  return options;
}

/// The processes of a server that a pass talks to, stopped until this goes.
class Frozen {
 public:
  Frozen(const PostgresqlServer& server, std::vector<pid_t> backends) : pids_(std::move(backends)) {
    pid_t postmaster = 0;
    std::ifstream(server.folder() / "data" / "postmaster.pid") >> postmaster;
    pids_.push_back(postmaster);
    for (const pid_t pid : pids_) REQUIRE(::kill(pid, SIGSTOP) == 0);
  }
  ~Frozen() {
    for (const pid_t pid : pids_) ::kill(pid, SIGCONT);
  }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;
  Frozen(Frozen&&) = delete;
  Frozen& operator=(Frozen&&) = delete;

 private:
  std::vector<pid_t> pids_;
};

/// Runs it, and waits for nothing where it is stopped.
Ran run_impatient(const std::vector<std::string>& arguments, const std::string& point) {
  Running running(arguments, impatient(point));
  REQUIRE(running.wait_until_stopped());
  return running.finish();
}

std::vector<pid_t> backends_of_others(const App& app) {
  std::vector<pid_t> pids;
  for (const auto& row :
       app.its_database().query("SELECT pid FROM pg_stat_activity WHERE " + others)) {
    pids.push_back(std::stoi(row.at(0)));
  }
  return pids;
}

void check_whole(const Backlog& app) {
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
}

void check_settles(const Backlog& app, const std::string& settled) {
  const auto next = run_pass(app);
  INFO(next.err);
  CHECK(next.status == 0);
  CHECK(difference(state_of(app), settled) == none);
}

/// A server whose commits are to be confirmed by a standby that is not there, for those who ask.
OwnServer server_without_its_standby() {
  return OwnServer({"wal_level=replica", "max_wal_senders=1", "synchronous_standby_names=nobody",
                    "synchronous_commit=local"});
}

void set_synchronous_commit(const App& app, const std::string& value) {
  app.execute(
      fmt::format("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET "
                  "synchronous_commit = {}'; END $$",
                  value));
}

/// From the first deletion on a commit waits for the standby.
void lose_the_standby_meanwhile(const App& app) {
  app.execute(
      "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
      "set_config('synchronous_commit', 'on', true); RETURN NULL; END $$; CREATE TRIGGER lose "
      "AFTER "
      "DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION lose()");
}

const std::string waiting = "wait_event = 'SyncRep' AND " + others;

void await_commit(const App& app) {
  const auto sql = "SELECT count(*), pg_sleep(0.005)::text FROM pg_stat_activity WHERE " + waiting;
  for (int tries = 0; tries < 6000; ++tries) {
    if (app.number(sql) > 0) return;
  }
  throw std::runtime_error("no commit waits for a standby");
}

/// Ends the wait, as its owner would: the commit holds.
void end_the_wait(const App& app) {
  static_cast<void>(app.its_database().query(
      "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE " + waiting));
}

const std::vector<std::string> commit_not_answered{
    "the server has not answered COMMIT for 60 s; does it wait for a standby "
    "(synchronous_standby_names)?"};

}  // namespace

TEST_CASE("a server that is stopped ends the pass, with what it has not answered",
          "[faults][silence][threads]") {
  const OwnServer own;
  const Backlog app;
  const auto settled = app.settled();
  const auto [point, statement] =
      GENERATE(table<std::string, std::string>({{"send/pg_is_in_recovery:1:stop", "SELECT"},
                                                {"send/ONLY:2:stop", "BEGIN"},
                                                {"send/GROUP:1:stop", "SELECT"},
                                                {"send/EXCLUSIVE:1:stop", "LOCK"},
                                                {"send/SKIP:1:stop", "SELECT"},
                                                {"send/RETURNING:1:stop", "DELETE"}}));
  CAPTURE(point);
  Running running(pass_arguments(app, {"--lock-wait", "0"}), impatient(point));
  REQUIRE(running.wait_until_stopped());
  Ran ran;
  {
    const Frozen frozen(own.server, backends_of_others(app));
    ran = running.finish();
  }
  INFO(ran.err);
  CHECK((ran.status == 1 || ran.status == 3));
  CHECK(is_one_error(
      ran, {app.database_shown(), fmt::format("the server has not answered {} for 60 s", statement),
            "is it stopped, or out of reach?"}));
  check_whole(app);
  CHECK(app.has_all_records(app));
  check_settles(app, settled);
}

TEST_CASE("a server that is stopped lets nobody in, and says so by its silence",
          "[faults][silence][threads]") {
  const OwnServer own;
  const Backlog app;
  const auto before = app.fingerprint();
  const bool dry = GENERATE(false, true);
  const std::vector<std::string> dry_run{"--dry-run"};
  Ran ran;
  {
    const Frozen frozen(own.server, {});
    ran = run_impatient(pass_arguments(app, dry ? dry_run : none), "connect:1:stop");
  }
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {app.database_shown(), "has not answered for 10 s", "connect_timeout"}));
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a server that is stopped in the COMMIT is asked by the next pass what became of it",
          "[faults][silence][threads]") {
  OwnServer own;
  const Backlog app;
  const auto settled = app.settled();
  Running running(pass_arguments(app), impatient(at_commit("stop")));
  REQUIRE(running.wait_until_stopped());
  const auto backends = backends_of_others(app);
  const bool holds = GENERATE(true, false);
  CAPTURE(holds);
  Ran ran;
  {
    const Frozen frozen(own.server, backends);
    ran = running.finish();
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, commit_not_answered));
    CHECK(
        is_one_error(ran, {"whether that commit holds is not known", "the next pass settles it"}));
    for (const auto& id : app.due()) CHECK(Backlog::has_all_images(app.staged(id)));
    // It never comes to read the message.
    if (!holds) {
      for (const pid_t pid : backends) ::kill(pid, SIGTERM);
    }
  }
  CHECK(app.faults(app) == none);
  check_settles(app, settled);
}

TEST_CASE("a standby that is away is found out before anything is changed", "[silence][standby]") {
  const OwnServer own = server_without_its_standby();
  const Backlog app;
  const auto settled = app.settled();
  const auto before = app.fingerprint();
  const bool has_orphans = GENERATE(true, false);
  if (!has_orphans) fs::remove_all(app.uploads() / "orphan");
  set_synchronous_commit(app, "on");
  const auto ran =
      run_impatient(pass_arguments(app, {"--lock-wait", "0.3"}), "send/emit_message:1:stop");
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, commit_not_answered));
  check_whole(app);
  CHECK(fs::exists(app.uploads() / "orphan") == has_orphans);
  SECTION("nor does the next pass begin, as long as that commit waits") {
    const auto next = run_pass(app, {"--lock-wait", "0.3"});
    INFO(next.err);
    CHECK(next.status == 4);
    CHECK(is_one_error(next, {"COMMIT waits for a standby (synchronous_standby_names)"}));
    CHECK(run_pass(app, {"--dry-run"}).status == 0);
    check_whole(app);
  }
  end_the_wait(app);
  set_synchronous_commit(app, "local");
  check_settles(app, settled);
}

TEST_CASE("a standby that goes while a pass runs leaves its slice to the next pass",
          "[silence][standby]") {
  OwnServer own = server_without_its_standby();
  const Backlog app;
  const auto settled = app.settled();
  lose_the_standby_meanwhile(app);
  const auto ran =
      run_impatient(pass_arguments(app, {"--lock-wait", "0.3", "--database",
                                         // It connects anew, and that is to take what it takes.
                                         app.database_option() + "&connect_timeout=600"}),
                    at_commit("stop"));
  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto errors = diagnostics_of(ran).errors;
  REQUIRE(errors.size() == 1);
  CHECK(holds_all(errors.front(), commit_not_answered));
  CHECK(holds_all(errors.front(), {"whether that commit holds is not known", "waits for a standby",
                                   "the next pass settles it"}));
  for (const auto& id : app.due()) {
    CHECK(app.has_session(id));
    CHECK(Backlog::has_all_images(app.staged(id)));
  }
  SECTION("whose wait somebody ends") { end_the_wait(app); }
  SECTION("which crashes") {
    own.server.crash();
    own.server.start();
  }
  app.execute("DROP FUNCTION lose CASCADE");
  check_settles(app, settled);
}

TEST_CASE("a signal ends the wait for a standby, and the next pass settles what was under way",
          "[silence][standby][signals][threads]") {
  const OwnServer own = server_without_its_standby();
  const Backlog app;
  const auto settled = app.settled();
  const auto before = app.fingerprint();
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const bool in_a_slice = GENERATE(false, true);
  CAPTURE(signal, in_a_slice);
  if (in_a_slice) {
    lose_the_standby_meanwhile(app);
  } else {
    set_synchronous_commit(app, "on");
  }
  // Half the time after which it would give up by itself.
  Running running(pass_arguments(app, {"--lock-wait", "100"}), {.seconds = 30});
  await_commit(app);
  running.signal(signal);
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 128 + signal);
  const auto errors = diagnostics_of(ran).errors;
  REQUIRE(errors.size() == (in_a_slice ? 2 : 1));
  CHECK(errors.back().find("Stopped by") != std::string::npos);
  if (in_a_slice) {
    CHECK(holds_all(errors.front(),
                    {"stopped before the server had answered COMMIT", "the next pass settles it"}));
    for (const auto& id : app.due()) CHECK(Backlog::has_all_images(app.staged(id)));
  } else {
    CHECK(changes_since(before, app) == none);
  }
  end_the_wait(app);
  set_synchronous_commit(app, "local");
  app.execute("DROP FUNCTION IF EXISTS lose CASCADE");
  check_settles(app, settled);
}

TEST_CASE("a commit is given up after a minute, by anybody's clock", "[.][long][silence]") {
  const OwnServer own = server_without_its_standby();
  const Backlog app;
  set_synchronous_commit(app, "on");
  const auto ran = run_pass(app, {"--lock-wait", "0.3"});
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, commit_not_answered));
  check_whole(app);
}
