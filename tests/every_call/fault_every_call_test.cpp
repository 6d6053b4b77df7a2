// Every single call that the tool and SQLite make to the system fails, once and from then on, with
// each error that a disk, a full disk, a permission, a limit or a signal can give: the status tells
// the truth, what failed is named, each session goes whole or stays whole, and the next pass has
// no trouble with what is left.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <string_view>
#include <vector>

#include "every_call/fault_scenario.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/sampling.hpp"

using namespace calib::test;

namespace {

const std::vector<int>& errors() {
  static const std::vector<int> of_disks{EIO, ENOSPC, EACCES, EMFILE, EROFS, EXDEV, EINTR};
  static const std::vector<int> of_connections{EIO, ECONNRESET, EPIPE, EMFILE, EINTR};
  return on_postgresql() ? of_connections : of_disks;
}

enum class Fails { once, from_then_on };

/// The rule for the call number `n`. No kernel interrupts for ever, and SQLite would ask for ever.
std::string rule(Fails fails, int n, int error) {
  const auto* until = fails == Fails::once ? "" : error == EINTR ? "+200" : "+";
  return fmt::format("call:{}{}:{}", n, until, error);
}

int calls_in_pass(FaultScenario& scenario) {
  // One that is killed at a call makes as many.
  int low = 0;
  int high = 64;
  const auto has = [&](int n) {
    return scenario.pass(scenario.start(), fmt::format("call:{}:kill", n)).status == killed;
  };
  for (; has(high); high *= 2) low = high;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (has(middle) ? low : high) = middle;
  }
  return low;
}

/// One of `every` faults is tried.
void fail_at_each(const FaultScenario::Setup& setup, Fails fails, int floor, int every = 1) {
  FaultScenario scenario(setup);
  const int calls = calls_in_pass(scenario);
  int points = 0;
  std::map<int, int> statuses;
  const int step = every * stride;
  // So that no error leaves out the calls that another one does.
  const int shift = std::max(1, step / static_cast<int>(errors().size()));
  int shifted = 0;
  for (const int error : errors()) {
    shifted += shift;
    for (int n = 1; n <= calls; ++n) {
      if ((n + shifted) % step != 0) continue;
      const auto ran = scenario.pass(scenario.start(), rule(fails, n, error));
      const auto state = scenario.now();
      ++points;
      ++statuses[ran.status];
      auto found = scenario.broken_promises(ran, state);
      for (auto& line : scenario.next_pass_unsettled(state)) found.push_back(std::move(line));
      if (found.empty()) continue;
      std::string text = fmt::format("{} ({}): status {}\n{}", rule(fails, n, error),
                                     ::strerrorname_np(error), ran.status, ran.err);
      for (const auto& line : found) text += "  " + line + "\n";
      FAIL_CHECK(text);
    }
  }
  std::string ended;
  for (const auto& [status, times] : statuses) {
    ended += fmt::format("{}{} with {}", ended.empty() ? "" : ", ", times, status);
  }
  std::cout << fmt::format("{}, {}: {} calls, {} faults; ended {}\n", name_of(setup.journal),
                           fails == Fails::once ? "once" : "from then on", calls, points, ended);
  check_floor(points, floor);
}

constexpr auto sessions_only = FaultScenario::Size::sessions_only;

}  // namespace

TEST_CASE(
    "with a rollback journal whichever call fails once the status is right and nothing is half",
    "[faults][errors]") {
  fail_at_each({Journal::rollback}, Fails::once, 3000);
}

TEST_CASE("with a WAL whichever call fails once the status is right and nothing is half",
          "[faults][errors]") {
  fail_at_each({Journal::wal}, Fails::once, 2400);
}

TEST_CASE("with a rollback journal from whichever call on all fail the same holds",
          "[faults][errors]") {
  fail_at_each({Journal::rollback}, Fails::from_then_on, 3000);
}

TEST_CASE("with a WAL from whichever call on all fail the same holds", "[faults][errors]") {
  fail_at_each({Journal::wal}, Fails::from_then_on, 2400);
}

// Where a slice is the first thing that a pass changes, status 3 and 4 have more to promise. Each
// call fails with two or three of the errors.
TEST_CASE("with a rollback journal the same holds where there are sessions only",
          "[faults][errors]") {
  fail_at_each({Journal::rollback, sessions_only}, Fails::once, 800, 3);
  fail_at_each({Journal::rollback, sessions_only}, Fails::from_then_on, 800, 3);
}

TEST_CASE("with a WAL the same holds where there are sessions only", "[faults][errors]") {
  fail_at_each({Journal::wal, sessions_only}, Fails::once, 600, 3);
  fail_at_each({Journal::wal, sessions_only}, Fails::from_then_on, 600, 3);
}

TEST_CASE("with every error the same holds where there are sessions only", "[.][exhaustive]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  const auto fails = GENERATE(Fails::once, Fails::from_then_on);
  fail_at_each({journal, sessions_only}, fails, journal == Journal::wal ? 1800 : 2400);
}

// Several threads make the calls in another order each time, and nearly as many of them.
TEST_CASE("the same holds of a pass that does all it can with several threads",
          "[faults][errors][threads]") {
  FaultScenario::Setup setup;
  setup.journal = GENERATE(Journal::rollback, Journal::wal);
  setup.extras = FaultScenario::Extras::all;
  setup.jobs = 4;
  fail_at_each(setup, Fails::once, 200, 10);
  fail_at_each(setup, Fails::from_then_on, 200, 10);
}

TEST_CASE("on a server whichever call fails the same holds", "[postgresql][faults][errors]") {
  fail_at_each({}, Fails::once, 110, 17);
  fail_at_each({}, Fails::from_then_on, 60, 31);
}

TEST_CASE("on a server every call fails with every error", "[.][exhaustive_postgresql]") {
  const auto fails = GENERATE(Fails::once, Fails::from_then_on);
  fail_at_each({}, fails, 1500);
}

TEST_CASE("whichever call fails of a pass over more sessions", "[.][exhaustive]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  const auto fails = GENERATE(Fails::once, Fails::from_then_on);
  fail_at_each({journal, FaultScenario::Size::large}, fails, 3800);
}
