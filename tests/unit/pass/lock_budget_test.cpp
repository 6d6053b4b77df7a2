// How long transactions hold the write lock, against models of databases and disks.
#include "pass/lock_budget.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace calib;
using std::chrono::milliseconds;
using Duration = LockBudget::Duration;

namespace {

Duration from_ms(double ms) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

/// What taking in one unit costs, what a commit costs by itself and for each unit, and what filling
/// costs by itself for each portion and for each transaction, in ms. By chance filling takes up to
/// so much of its time more or less.
struct Model {
  double unit;
  double commit;
  double commit_unit;
  double portion = 0;
  double chance = 0;
  double transaction = 0;
};

/// Milliseconds of hold, transaction by transaction, for a backlog of so many units.
std::vector<double> holds(const Model& model, std::size_t backlog, std::size_t most = 2000) {
  LockBudget budget;
  std::vector<double> result;
  std::minstd_rand random(1);
  while (backlog > 0) {
    const double luck = 1 + model.chance * std::uniform_real_distribution<double>(-1, 1)(random);
    std::size_t taken = 0;
    std::size_t portion = 0;
    int portions = 0;
    const auto filled = [&] {
      return luck * (model.unit * static_cast<double>(taken) + model.portion * portions +
                     (portions > 0 ? model.transaction : 0));
    };
    while (taken < std::min(backlog, most)) {
      portion = budget.next_portion(taken, from_ms(filled()), portion);
      if (portion == 0) break;
      ++portions;
      taken += std::min(portion, std::min(backlog, most) - taken);
    }
    backlog -= taken;
    result.push_back(filled() + model.commit + model.commit_unit * static_cast<double>(taken));
    budget.learn(taken, from_ms(filled()), from_ms(result.back()));
  }
  return result;
}

double longest(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

}  // namespace

TEST_CASE("the lock is held for no longer than promised, whatever rows and disk cost",
          "[lock_budget]") {
  // From sessions side by side on a fast disk to scattered ones on a slow disk.
  const auto unit = GENERATE(0.01, 0.05, 0.2, 1.0);
  const auto commit = GENERATE(0.5, 10.0, 40.0);
  const auto factor = GENERATE(0.2, 1.0, 3.0, 5.0);
  CAPTURE(unit, commit, factor);
  const auto held = holds({unit, commit, unit * factor}, 50'000);
  // The first ones still have to learn.
  CHECK(longest(held) <= std::max(150.0, (25 + 16 * unit) * (1 + factor) + commit));
  const auto learnt = held.begin() + std::min<std::ptrdiff_t>(4, std::ssize(held) - 1);
  CHECK(longest({learnt, held.end()}) <= 150);
}

TEST_CASE("what is chance in the times lets no transaction take in twice as much",
          "[lock_budget]") {
  const auto unit = GENERATE(0.05, 0.12, 0.3);
  const auto factor = GENERATE(0.5, 1.2, 2.0);
  CAPTURE(unit, factor);
  const auto held =
      holds({.unit = unit, .commit = 5, .commit_unit = unit * factor, .chance = 0.15}, 100'000);
  CHECK(longest({held.begin() + 4, held.end()}) <= 150);
}

TEST_CASE("where commits are cheap, little of the time is theirs", "[lock_budget]") {
  const auto held = holds({0.05, 5.0, 0.02}, 50'000);
  CHECK(held.size() < 50);
}

TEST_CASE("where a commit alone takes too long, there are not more of them for it",
          "[lock_budget]") {
  const auto held = holds({0.05, 300.0, 0.02}, 10'000);
  CHECK(held.size() < 40);
}

TEST_CASE("where each transaction reads a whole table, there are not more of them for it",
          "[lock_budget]") {
  const auto portion = GENERATE(50.0, 100.0, 300.0);
  CAPTURE(portion);
  CHECK(holds({0.05, 5.0, 0.02, portion}, 10'000).size() < 40);
}

TEST_CASE("a whole table to read leaves the promise of 150 ms to be kept", "[lock_budget]") {
  // All sessions of 100,000 are read again, since others write; units are scattered.
  const auto chance = GENERATE(0.0, 0.03);
  for (const double table : {60.0, 80.0, 100.0, 110.0}) {
    CAPTURE(table, chance);
    const auto found = holds(
        {.unit = 0.11, .commit = 3, .commit_unit = 0.12, .chance = chance, .transaction = table},
        4000);
    CHECK(longest(found) <= 150);
    CHECK(found.size() <= 80);
  }
}

TEST_CASE("a table to read and a slow commit leave each transaction units", "[lock_budget]") {
  const auto chance = GENERATE(0.0, 0.03);
  for (const double table : {14.0, 60.0, 110.0, 300.0}) {
    for (const double commit : {20.0, 40.0, 80.0, 150.0}) {
      CAPTURE(table, commit, chance);
      const auto found = holds({.unit = 0.05,
                                .commit = commit,
                                .commit_unit = 0.02,
                                .chance = chance,
                                .transaction = table},
                               10'000);
      CHECK(found.size() < 200);
    }
  }
}

TEST_CASE("a small backlog on a fast disk is one transaction", "[lock_budget]") {
  CHECK(holds({0.01, 1.0, 0.01}, 2000).size() == 1);
}

TEST_CASE("a transaction takes in at least one unit, however long that takes", "[lock_budget]") {
  const LockBudget budget;
  CHECK(budget.next_portion(0, Duration{}, 0) >= 1);
  CHECK(budget.next_portion(1, from_ms(1), 64) >= 1);
  CHECK(budget.next_portion(64, from_ms(10'000), 64) == 0);
}

TEST_CASE("the first portion has as few units as they have many rows", "[lock_budget]") {
  CHECK(LockBudget::first_portion_of(2000, 2000 * 50) == 16);
  CHECK(LockBudget::first_portion_of(2000, 0) == 16);
  CHECK(LockBudget::first_portion_of(0, 0) == 1);
  CHECK(LockBudget::first_portion_of(100, 100 * 500) == 4);
  CHECK(LockBudget::first_portion_of(100, 100 * 1'000'000ULL) == 1);
  CHECK(LockBudget(3).next_portion(0, Duration{}, 0) == 3);
}

TEST_CASE("no portion is more than twice the last one", "[lock_budget]") {
  CHECK(LockBudget().next_portion(64, Duration{}, 64) == 128);
  CHECK(LockBudget().next_portion(640, from_ms(1), 64) == 128);
}

TEST_CASE("the lock stays free for as long as it was held, and 30 ms at least", "[lock_budget]") {
  CHECK(LockBudget::gap(from_ms(1)) == milliseconds{30});
  CHECK(LockBudget::gap(from_ms(120)) == milliseconds{120});
}

TEST_CASE("where a single unit may take long, one is begun with", "[lock_budget]") {
  LockBudget budget(1);
  CHECK(budget.next_portion(0, Duration{}, 0) == 1);
  CHECK(budget.next_portion(1, from_ms(400), 1) == 0);
  budget.learn(1, from_ms(400), from_ms(410));
  CHECK(budget.next_portion(0, Duration{}, 0) == 1);
}
