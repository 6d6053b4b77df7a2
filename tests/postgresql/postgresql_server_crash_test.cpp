// The server dies at every single message that a pass sends it, before and after, and comes back at
// once or when the pass is over: nobody who stays is harmed, whoever goes is whole or gone, the
// status tells the truth, and the next pass leaves what an undisturbed one would have left.
#include <fmt/format.h>
#include <signal.h>

#include <fstream>
#include <iostream>

#include "every_call/fault_scenario.hpp"
#include "postgresql/postgresql_own_server.hpp"
#include "postgresql/postgresql_watch.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/sampling.hpp"

using namespace calib::test;

namespace {

enum class Back { at_once, later };

/// Of so many messages one is the server's last, but in the long run.
constexpr int every = 4;

void crash_at_each(const std::string& when, Back back, int step, int floor) {
  OwnServer own;
  FaultScenario scenario({});
  std::map<int, int> statuses;
  int points = 0;
  for (int n = 1;; n += step) {
    scenario.lay_out(scenario.start());
    Running running(scenario.arguments(), scenario.options(fmt::format("send:{}:{}", n, when)));
    if (!running.wait_until_stopped()) break;
    own.server.crash();
    if (back == Back::at_once) own.server.start();
    const auto ran = running.finish();
    if (back == Back::later) own.server.start();
    ++points;
    ++statuses[ran.status];
    const auto state = scenario.now();
    auto found = scenario.broken_promises(ran, state);
    for (auto& line : scenario.next_pass_unsettled(state)) found.push_back(std::move(line));
    if (found.empty()) continue;
    std::string text = fmt::format("send {}, {}: status {}\n{}", n, when, ran.status, ran.err);
    for (const auto& line : found) text += "  " + line + "\n";
    FAIL_CHECK(text);
  }
  std::cout << fmt::format("{}: {} crashes of the server; ended", when, points);
  for (const auto& [status, times] : statuses)
    std::cout << fmt::format(" {} with {}", times, status);
  std::cout << '\n';
  check_floor(points, floor);
}

}  // namespace

TEST_CASE("a server that crashes at any message and is back at once costs nobody anything",
          "[faults][crash][threads]") {
  crash_at_each("stop", Back::at_once, every * stride, 20);
}

TEST_CASE("a server that crashes with a message and stays away costs nobody anything",
          "[faults][crash]") {
  crash_at_each("stop-after", Back::later, every * stride, 20);
}

TEST_CASE("a server that crashes before or after any message costs nobody anything",
          "[.][long][faults][crash]") {
  const auto back = GENERATE(Back::at_once, Back::later);
  crash_at_each("stop", back, 1, 90);
  crash_at_each("stop-after", back, 1, 90);
}

TEST_CASE("a signal ends a pass also where the server has frozen, and cannot be asked to cancel",
          "[faults][signals][threads]") {
  const OwnServer own;
  const Backlog app;
  const auto connection = app.its_database().connection_of_the_app();
  connection->execute("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE");
  Running running(pass_arguments(app, {"--lock-wait", "100"}), {.seconds = 60});
  await_blocked(app);
  const auto backend = static_cast<pid_t>(
      app.number("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND " + others));
  pid_t postmaster = 0;
  std::ifstream(own.server.folder() / "data" / "postmaster.pid") >> postmaster;
  for (const pid_t pid : {postmaster, backend}) REQUIRE(::kill(pid, SIGSTOP) == 0);
  running.signal(SIGTERM);
  const auto ran = running.finish();
  for (const pid_t pid : {postmaster, backend}) REQUIRE(::kill(pid, SIGCONT) == 0);
  CHECK(ran.status == 128 + SIGTERM);
  connection->execute("ROLLBACK");
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
}

TEST_CASE("a standby takes a dry run, and no pass", "[roles]") {
  OwnServer own({"wal_level=replica"});
  const Backlog app;
  own.server.crash();
  std::ofstream(own.server.folder() / "data" / "standby.signal") << "";
  own.server.start();
  const auto before = app.fingerprint();
  CHECK(run_pass(app, {"--dry-run"}).status == 0);
  const auto ran = run_pass(app);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {app.database_shown(), "standby", "primary"}));
  CHECK(changes_since(before, app) == none);
}
