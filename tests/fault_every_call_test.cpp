// Every single call that the tool and SQLite make to the system fails, once and from then on, with
// each error that a disk, a full disk, a permission, a limit or a signal can give: the status tells
// the truth, what failed is named, each session goes whole or stays whole, and the next pass has
// no trouble with what is left.
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <string_view>

#include "backlog.hpp"
#include "catch.hpp"
#include "fault_scenario.hpp"
#include "sampling.hpp"

using namespace calib::test;

namespace {

constexpr std::array errors{EIO, ENOSPC, EACCES, EMFILE, EROFS, EXDEV, EINTR};

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

void fail_at_each(Journal journal, Fails fails, FaultScenario::Size size, int floor) {
  FaultScenario scenario(journal, size);
  const int calls = calls_in_pass(scenario);
  int points = 0;
  std::map<int, int> statuses;
  int number = 0;
  for (const int error : errors) {
    for (int n = 1; n <= calls; ++n) {
      if (number++ % stride != 0) continue;
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
  std::cout << fmt::format("{}, {}: {} calls, {} faults; ended {}\n", name_of(journal),
                           fails == Fails::once ? "once" : "from then on", calls, points, ended);
  check_floor(points, floor);
}

constexpr auto sessions_only = FaultScenario::Size::sessions_only;
constexpr auto everything = FaultScenario::Size::small;

}  // namespace

TEST_CASE(
    "with a rollback journal whichever call fails once the status is right and nothing is half",
    "[faults][errors]") {
  fail_at_each(Journal::rollback, Fails::once, everything, 3000);
}

TEST_CASE("with a WAL whichever call fails once the status is right and nothing is half",
          "[faults][errors]") {
  fail_at_each(Journal::wal, Fails::once, everything, 2400);
}

TEST_CASE("with a rollback journal from whichever call on all fail the same holds",
          "[faults][errors]") {
  fail_at_each(Journal::rollback, Fails::from_then_on, everything, 3000);
}

TEST_CASE("with a WAL from whichever call on all fail the same holds", "[faults][errors]") {
  fail_at_each(Journal::wal, Fails::from_then_on, everything, 2400);
}

// Where a slice is the first thing that a pass changes, status 3 and 4 have more to promise.
TEST_CASE("with a rollback journal the same holds where there are sessions only",
          "[faults][errors]") {
  fail_at_each(Journal::rollback, Fails::once, sessions_only, 2400);
  fail_at_each(Journal::rollback, Fails::from_then_on, sessions_only, 2400);
}

TEST_CASE("with a WAL the same holds where there are sessions only", "[faults][errors]") {
  fail_at_each(Journal::wal, Fails::once, sessions_only, 1800);
  fail_at_each(Journal::wal, Fails::from_then_on, sessions_only, 1800);
}

TEST_CASE("whichever call fails of a pass over more sessions", "[.][exhaustive]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  const auto fails = GENERATE(Fails::once, Fails::from_then_on);
  fail_at_each(journal, fails, FaultScenario::Size::large, 3800);
}
