// The server dies at every single message that a pass sends it, before and after, and comes back at
// once or when the pass is over: nobody who stays is harmed, whoever goes is whole or gone, the
// status tells the truth, and the next pass leaves what an undisturbed one would have left.
#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>

#include "backlog.hpp"
#include "catch.hpp"
#include "fault_scenario.hpp"
#include "postgresql_server.hpp"
#include "sampling.hpp"

using namespace calib::test;

namespace {

enum class Back { at_once, later };

/// A server of this test's own, which the app's databases are made on meanwhile.
class OwnServer {
 public:
  OwnServer() { ::setenv("CALIB_TEST_POSTGRESQL", server.folder().c_str(), 1); }
  ~OwnServer() { ::setenv("CALIB_TEST_POSTGRESQL", before_.c_str(), 1); }
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;
  OwnServer(OwnServer&&) = delete;
  OwnServer& operator=(OwnServer&&) = delete;
  PostgresqlServer server;

 private:
  std::string before_ = std::getenv("CALIB_TEST_POSTGRESQL");
};

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
          "[faults][crash]") {
  crash_at_each("stop", Back::at_once, stride, 60);
}

TEST_CASE("a server that crashes with a message and stays away costs nobody anything",
          "[faults][crash]") {
  crash_at_each("stop-after", Back::later, stride, 60);
}
