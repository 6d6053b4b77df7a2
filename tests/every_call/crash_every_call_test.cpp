// kill -9 at every single call that can change the world, the tool's and SQLite's, and again at
// every one of the pass that cleans up after that: nobody who stays is harmed, whoever goes is
// whole or gone, and the next pass leaves what one that nobody killed would have left.
//
// A process that is killed leaves what stands at that moment, and no lock. So one pass that is
// stopped before each call shows what a kill at any of them leaves: that is how the second kills
// are done, from every different state that the first ones left. The first ones are real.
#include <fmt/format.h>

#include <iostream>
#include <unordered_map>

#include "every_call/fault_scenario.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/sampling.hpp"

using namespace calib::test;

namespace {

using States = std::unordered_map<std::uint64_t, DiskState>;

void check_none(const std::vector<std::string>& found, const std::string& where) {
  if (found.empty()) return;
  std::string text = where;
  for (const auto& line : found) text += "\n  " + line;
  FAIL_CHECK(text);
}

/// What each kill (one in `every`) of a pass from `from` leaves, looked at and settled. A server
/// does what it was sent: so there the kill may also come after the call, and before its answer.
States kill_at_each(FaultScenario& scenario, const DiskState& from, int& points,
                    const std::string& when = "kill", int every = 1) {
  States left;
  for (int n = 1;; n += every * stride) {
    const auto ran = scenario.pass(from, fmt::format("change:{}:{}", n, when));
    auto state = scenario.now();
    const auto where = fmt::format("killed at call {}", n);
    if (ran.status != killed) {
      CHECK(ran.status == 0);
      check_none(scenario.unsettled(state), where);
      return left;
    }
    ++points;
    if (!ran.out.empty() || !ran.err.empty()) FAIL_CHECK(where << ": " << ran.out << ran.err);
    if (!left.try_emplace(hash_of(state), state).second) continue;
    check_none(scenario.faults(state, by_kill), where);
    check_none(scenario.next_pass_unsettled(state), where);
  }
}

/// The same, from one pass that is stopped at each call.
States stop_at_each(FaultScenario& scenario, const DiskState& from, int& points,
                    const std::string& where) {
  States left;
  int n = 0;
  const auto ran = scenario.walk(from, [&](const DiskState& state) {
    ++n;
    ++points;
    if (!left.try_emplace(hash_of(state), state).second) return;
    check_none(scenario.faults(state, by_kill), fmt::format("{}, and again at call {}", where, n));
  });
  CHECK(ran.status == 0);
  check_none(scenario.unsettled(scenario.now()), where + ", and then left alone");
  return left;
}

void kill_once(const FaultScenario::Setup& setup, const std::string& what, int floor) {
  FaultScenario scenario(setup);
  int points = 0;
  const auto left = kill_at_each(scenario, scenario.start(), points);
  std::cout << fmt::format("{}, {}: killed at {} calls, which leave {} states\n",
                           name_of(setup.journal), what, points, left.size());
  check_floor(points, floor);
}

void kill_twice(FaultScenario scenario, const std::string& name, int floor_first, int floor_states,
                int floor_second, int every = 1) {
  int first = 0;
  auto left = kill_at_each(scenario, scenario.start(), first, "kill", every);
  if (on_postgresql()) {
    for (auto& [hash, state] :
         kill_at_each(scenario, scenario.start(), first, "kill-after", every)) {
      left.try_emplace(hash, std::move(state));
    }
  }

  int second = 0;
  States after_two;
  int number = 0;
  for (const auto& [hash, state] : left) {
    if (number++ % stride != 0) continue;
    auto again = stop_at_each(scenario, state, second, "killed once");
    for (auto& [other, what] : again) {
      if (!left.contains(other)) after_two.try_emplace(other, std::move(what));
    }
  }
  for (const auto& [hash, state] : after_two) {
    check_none(scenario.next_pass_unsettled(state), "killed twice");
  }
  std::cout << fmt::format(
      "{}: killed at {} calls, which leave {} states; again at {} calls, which leave {} more\n",
      name, first, left.size(), second, after_two.size());
  check_floor(first, floor_first);
  check_floor(static_cast<int>(left.size() + after_two.size()), floor_states);
  check_floor(second, floor_second);
}

/// A pass that is killed, the next one too, and so on, until no kill leaves anything that another
/// one has not left before.
void kill_again_and_again(FaultScenario& scenario, const std::string& name, int floor_states) {
  int points = 0;
  States seen{{hash_of(scenario.start()), scenario.start()}};
  std::vector<std::uint64_t> open{hash_of(scenario.start())};
  while (!open.empty()) {
    const auto from = open.back();
    open.pop_back();
    for (auto& [hash, state] : stop_at_each(scenario, seen.at(from), points, name)) {
      if (seen.try_emplace(hash, state).second) open.push_back(hash);
    }
  }
  std::cout << fmt::format("{}: killed at {} calls; {} states, and no more\n", name, points,
                           seen.size());
  check_floor(static_cast<int>(seen.size()), floor_states);
}

}  // namespace

TEST_CASE("a pass that does all it can, with several threads, killed at any call is settled",
          "[faults][crash][threads]") {
  FaultScenario::Setup setup;
  setup.journal = GENERATE(Journal::rollback, Journal::wal);
  setup.extras = FaultScenario::Extras::all;
  setup.jobs = 4;
  kill_once(setup, "with everything", 140);
}

TEST_CASE("a pass over named sessions or orphans killed at any call is settled by the next one",
          "[faults][crash][threads]") {
  FaultScenario::Setup setup;
  setup.journal = GENERATE(Journal::rollback, Journal::wal);
  setup.rule = GENERATE(FaultScenario::Rule::named, FaultScenario::Rule::orphans_only);
  kill_once(setup, setup.rule == FaultScenario::Rule::named ? "named" : "orphans only", 105);
}

TEST_CASE("with a rollback journal a pass killed at any call twice is settled by the next one",
          "[faults][crash][threads]") {
  kill_twice(FaultScenario({Journal::rollback}), "rollback journal", 150, 240, 8500);
}

TEST_CASE("with a WAL a pass killed at any call twice is settled by the next one",
          "[faults][crash][threads]") {
  kill_twice(FaultScenario({Journal::wal}), "WAL", 125, 390, 6500);
}

TEST_CASE("on a server a pass killed at any call twice is settled by the next one",
          "[postgresql][faults][crash]") {
  kill_twice(FaultScenario(FaultScenario::Setup{}), "PostgreSQL", 50, 10, 700, 4);
}

TEST_CASE("on a server a pass is killed at every call, and at every call again",
          "[.][exhaustive_postgresql]") {
  kill_twice(FaultScenario(FaultScenario::Setup{}), "PostgreSQL", 200, 15, 1500);
}

TEST_CASE("however often a pass is killed the next one settles it", "[.][exhaustive]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  FaultScenario scenario({journal});
  kill_again_and_again(scenario, name_of(journal), 270);
}

TEST_CASE("a pass over more sessions killed twice is settled by the next one", "[.][exhaustive]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  kill_twice(FaultScenario({journal, FaultScenario::Size::large}), name_of(journal) + " (more)",
             200, 1100, 21'000);
}

TEST_CASE("a stopped pass shows what a killed one leaves", "[faults][crash][threads]") {
  FaultScenario scenario({GENERATE(Journal::rollback, Journal::wal)});
  int stopped = 0;
  const auto shown = stop_at_each(scenario, scenario.start(), stopped, "stopped");
  for (int n = 1; n <= stopped; n += 7 * stride) {
    CAPTURE(n);
    CHECK(scenario.pass(scenario.start(), fmt::format("change:{}:kill", n)).status == killed);
    CHECK(shown.contains(hash_of(scenario.now())));
  }
}
