#include "pass/lock_budget.hpp"

#include <algorithm>

namespace calib {
namespace {

using std::chrono::milliseconds;

// The promise is 150 ms; the rest is for what no earlier transaction foretold.
constexpr milliseconds wanted_hold{100};
// Where most of it does not come from what is taken in, there is less to foretell.
constexpr milliseconds max_with_fixed{130};
// With less than this a pass would be all commits, each of which has a price of its own.
constexpr milliseconds min_fill{15};
constexpr milliseconds max_fill{90};
// Between two transactions of much the same size the difference in time is chance, and says nothing
// of what one unit takes.
constexpr double clearly_more = 2;
constexpr double few_units = 16;
// Nobody waits for so many; a session of the app has 20 to 60.
constexpr std::uint64_t rows_at_first = 2000;
// Another writer may poll every 100 ms: without a gap two of three writes of Python's driver were
// refused, with 30 ms none.
constexpr milliseconds min_gap{30};

double as_seconds(std::chrono::duration<double> duration) { return duration.count(); }

/// How many units fit into the promised time beside what a transaction costs by itself, after one
/// that took in `taken` and held the lock for `held` seconds; of which each unit took `each` before
/// the commit, and `each_commit` in it.
double beside_fixed_cost(double taken, double held, double each, double each_commit) {
  const double fixed = held - (each + each_commit) * taken;
  // What is left of the promised time is for units, and a little where nothing is.
  const double left =
      std::max(as_seconds(max_with_fixed) - fixed, std::max(as_seconds(min_fill), fixed / 8));
  const double each_held = std::max(each + each_commit, left / (2 * taken));
  // By chance a transaction may look as if its few units took all of the time.
  const double fewest = each > 0 ? std::min(few_units, as_seconds(min_fill) / each) : few_units;
  return std::max(fewest, left / each_held);
}

}  // namespace

LockBudget LockBudget::of_all(std::size_t units) {
  LockBudget budget(units);
  budget.is_patient_ = true;
  return budget;
}

std::size_t LockBudget::first_portion_of(std::size_t units, std::uint64_t rows) {
  const auto fitting =
      static_cast<std::uint64_t>(units) * rows_at_first / std::max<std::uint64_t>(rows, 1);
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(fitting, 1, most_at_first));
}

std::size_t LockBudget::next_portion(std::size_t taken, Duration spent, std::size_t portion) const {
  if (portion == 0) return first_portion_;
  const auto left = fill_time_ - spent;
  if (left < fill_time_ / 8) return 0;
  const double fitting = static_cast<double>(taken) * static_cast<double>(left.count()) /
                         static_cast<double>(std::max<Duration::rep>(spent.count(), 1));
  return static_cast<std::size_t>(std::clamp(fitting, 1.0, 2.0 * static_cast<double>(portion)));
}

bool LockBudget::is_too_slow(Duration staging) const {
  return !is_patient_ && staging >= wanted_hold;
}

void LockBudget::learn(std::size_t taken, Duration filled, Duration held) {
  // Filling has much the same share of the hold from one transaction to the next.
  const auto fitting =
      std::chrono::duration_cast<Duration>(wanted_hold * (as_seconds(filled) / as_seconds(held)));
  fill_time_ =
      std::clamp<Duration>(fitting, min_fill, std::min<Duration>(2 * fill_time_, max_fill));
  const Fill now{static_cast<double>(taken), as_seconds(filled), as_seconds(held)};
  if (differ(now, last_)) other_ = last_;
  last_ = now;
  first_portion_ = first_of(now);
}

bool LockBudget::differ(const Fill& a, const Fill& b) {
  return std::max(a.taken, b.taken) >= clearly_more * std::min(a.taken, b.taken);
}

std::size_t LockBudget::first_of(const Fill& now) const {
  const double fill_time = as_seconds(fill_time_);
  const double commit = now.held - now.filled;
  // Part of the cost may be the transaction's own (a table that is read whole): how much, one tells
  // that took in clearly more or fewer. Fewer units would not make that any shorter.
  const bool is_known = other_.taken > 0 && differ(now, other_);
  const auto slope = [&](double cost, double other_cost) {
    const double most = cost / now.taken;
    if (!is_known) return most;
    return std::clamp((cost - other_cost) / (now.taken - other_.taken), 0.0, most);
  };
  const double each = slope(now.filled, other_.filled);
  double fitting = 0;
  if (now.filled - each * now.taken > fill_time / 2) {
    const double each_commit = slope(commit, other_.held - other_.filled);
    fitting = beside_fixed_cost(now.taken, now.held, each, each_commit);
  } else {
    // Half of what should fit: the rest of the time is for a closer guess.
    fitting = now.taken * fill_time / now.filled / 2;
  }
  return static_cast<std::size_t>(std::max(1.0, fitting));
}

LockBudget::Duration LockBudget::gap(Duration held) { return std::max<Duration>(held, min_gap); }

}  // namespace calib
