#include "pass/slices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

namespace calib {
namespace {

// What one transaction may take, whatever the time: what it stages has to be put back where the
// commit fails.
constexpr std::size_t largest_slice = 2000;
constexpr std::chrono::milliseconds look_interval{10};

}  // namespace

Slices::Slices(const Context& context)
    : c_(context),
      counts_(context.sessions.size() + context.survey.leaked_keys.size(),
              context.survey.tables.size()),
      budget_(context.store.is_slow() ? LockBudget(1) : LockBudget()) {}

void Slices::fail(std::string path, std::string error, ErrorKind kind) {
  c_.report.errors.push_back({std::move(path), std::move(error), kind});
}

void Slices::run(std::vector<Unit> units) {
  c_.progress.begin("deleting sessions", c_.sessions.size());
  // A row that goes with one unit may hold another, so whoever was held gets another try, as long
  // as that frees somebody.
  for (std::size_t before = units.size() + 1; !units.empty() && units.size() < before;) {
    before = units.size();
    held_failures_.clear();
    run_once(units);
    units = std::exchange(held_, {});
    // In a chain of rows that hold each other, whoever can go first may stand last.
    std::reverse(units.begin(), units.end());
  }
  held_failures_.add_to(c_.report.errors, [](const Failure& failure) { return failure; });
}

void Slices::run_once(const std::vector<Unit>& units) {
  std::size_t most = largest_slice;
  constexpr auto never = Clock::time_point::max();
  auto busy_since = never;
  SuspensionWatch watch;
  for (std::size_t next = 0; next < units.size();) {
    if (c_.stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
    std::size_t count = 0;
    for (std::size_t owners = 0; next + count < units.size(); ++count) {
      owners += units[next + count].owners.size();
      if (count > 0 && owners > most) break;
    }
    Slice slice(std::span<const Unit>(units).subspan(next, count), units.size() - next - count);
    auto result = try_slice(slice);
    // Who holds one session's rows may do so for hours: it is found by halving, waited for, and
    // left, and the others go.
    if (result == Result::disturbed) {
      if (slice.taken == 1) disturbed_for_ += held_lock_ + LockBudget::gap(held_lock_);
      if (slice.taken > 1 || disturbed_for_ > c_.lock_wait) result = Result::too_much;
    }
    if (result == Result::committed) {
      busy_since = never;
      next += slice.taken;
      most = std::min(2 * most, largest_slice);
    } else if (result == Result::busy) {
      // While it was suspended it did not wait.
      if (watch.was_suspended()) busy_since = never;
      busy_since = std::min(busy_since, released_ - held_lock_);
      const auto waited = released_ - busy_since;
      if (waited > c_.lock_wait) throw still_locked(last_error_->path(), waited);
    } else if (result == Result::disturbed) {
      // again
    } else if (slice.taken == 1) {
      give_up(units[next]);
      ++next;
    } else {
      most = std::max<std::size_t>(1, slice.taken / 2);
    }
    if (next < units.size()) rest();
  }
}

void Slices::give_up(const Unit& unit) {
  // Without room on the disk nobody else fares better; a constraint is this unit's alone.
  if (last_error_->kind() == StoreError::Kind::full) throw StoreError(*last_error_);
  for (const auto owner : unit.owners) {
    fail(name_of(owner), fmt::format("{}; it is left whole", last_error_->what()),
         ErrorKind::database);
  }
}

void Slices::rest() const {
  const auto until = released_ + LockBudget::gap(held_lock_);
  for (auto now = Clock::now(); now < until && !c_.stop.requested(); now = Clock::now()) {
    std::this_thread::sleep_until(std::min<Clock::time_point>(until, now + look_interval));
  }
}

Slices::Result Slices::try_slice(Slice& slice) {
  auto [transaction, began] = c_.claims.begin(c_.store, c_.lock_wait);
  auto result = Result::committed;
  Clock::duration filled{};
  try {
    if (fill(*transaction, slice, began)) {
      filled = Clock::now() - began;
      result = commit(*transaction, slice);
    }
  } catch (const StoreError& error) {
    restore_all(slice);
    const bool smaller_may_do =
        error.kind() == StoreError::Kind::full || error.kind() == StoreError::Kind::refused;
    if (error.kind() == StoreError::Kind::disturbed) {
      result = Result::disturbed;
    } else if (error.kind() == StoreError::Kind::busy) {
      result = Result::busy;
    } else if (smaller_may_do) {
      result = Result::too_much;
    } else {
      keep_notes(slice);
      throw;
    }
    last_error_ = error;
  } catch (...) {
    restore_all(slice);
    throw;
  }
  released_ = Clock::now();
  // Whoever wants to suspend the process does so at the end of the transaction.
  SuspensionWatch watch;
  transaction.reset();
  if (!watch.was_suspended()) released_ = Clock::now();
  held_lock_ = released_ - began;
  if (result == Result::committed) {
    if (filled.count() > 0) budget_.learn(slice.taken, filled, held_lock_);
    keep_notes(slice);
    purge(slice);
  }
  return result;
}

void Slices::keep_notes(Slice& slice) {
  const auto move_into = [](auto& to, auto& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    from.clear();
  };
  move_into(c_.report.errors, slice.failures);
  move_into(c_.report.warnings, slice.warnings);
  move_into(held_, slice.held);
  move_into(held_failures_, slice.held_failures);
  passed_over_.merge(slice.passed_over);
}

/// Everything between BEGIN and COMMIT: takes units in, portion by portion, as long as there is
/// time, which runs since `began`. False where nobody is left to go.
bool Slices::fill(StoreTransaction& transaction, Slice& slice, Clock::time_point began) {
  bool any = false;
  for (std::size_t portion = 0; slice.taken < slice.units.size();) {
    portion = budget_.next_portion(slice.taken, Clock::now() - began, portion);
    if (portion == 0) break;
    const auto first = slice.taken;
    slice.taken = std::min(slice.units.size(), first + portion);
    if (take_portion(transaction, slice, first)) any = true;
    if (c_.stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
  }
  return any;
}

bool Slices::take_portion(StoreTransaction& transaction, Slice& slice, std::size_t first) {
  std::vector<OwnerIndex> owners;
  for (auto unit = first; unit < slice.taken; ++unit) {
    for (const auto owner : slice.units[unit].owners) {
      slice.unit_of.emplace(owner, unit);
      owners.push_back(owner);
    }
  }
  drop_refused(transaction, slice, transaction.choose(owners));
  if (first == 0) c_.claims.look(transaction);
  protect_new_sessions(transaction, slice, first);
  stage(transaction, slice, first);
  const auto begin = slice.dropped.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(slice.taken);
  if (std::find(begin + static_cast<std::ptrdiff_t>(first), end, false) == end) return false;
  transaction.delete_records(counts_);
  return true;
}

Slices::Result Slices::commit(StoreTransaction& transaction, Slice& slice) {
  if (transaction.seal() == Sealed::now) {
    c_.claims.look(transaction);
    if (is_claimed_meanwhile(slice)) {
      throw StoreError(StoreError::Kind::busy, "a session was added while the pass ran; try again");
    }
  }
  switch (transaction.commit()) {
    case CommitOutcome::committed:
      c_.changed = true;
      return Result::committed;
    case CommitOutcome::busy:
      last_error_ = transaction.commit_error();
      restore_all(slice);
      return Result::busy;
    case CommitOutcome::unknown:
      break;
  }
  last_error_ = transaction.commit_error();
  return settle_unknown(slice);
}

Slices::Result Slices::settle_unknown(Slice& slice) {
  std::vector<OwnerIndex> owners;
  for (const auto& [owner, unit] : slice.unit_of) {
    if (is_session(owner) && !slice.dropped[unit]) owners.push_back(owner);
  }
  if (owners.empty()) {
    c_.changed = true;
    throw StoreError(
        StoreError::Kind::unusable, last_error_->path(),
        last_error_->text() +
            "; whether the leaked records went is not known, the next pass looks again");
  }
  std::vector<bool> present;
  try {
    present = c_.store.present(owners);
    // What holds may not have come to the disk yet, which is what the commit was to see to.
    c_.store.make_durable();
  } catch (const StoreError& error) {
    // What is staged stays so: the next pass asks again, and settles by what the database says.
    slice.staged.assign(slice.units.size(), {});
    c_.changed = true;
    throw StoreError(StoreError::Kind::unusable, last_error_->path(),
                     fmt::format("{}; whether that commit holds is not known ({}); the next pass "
                                 "settles it",
                                 last_error_->text(), error.what()));
  }
  const bool holds = std::find(present.begin(), present.end(), true) == present.end();
  if (holds) {
    c_.changed = true;
    slice.warnings.push_back(fmt::format("{}; the commit holds all the same", last_error_->what()));
    return Result::committed;
  }
  restore_all(slice);
  if (last_error_->kind() == StoreError::Kind::full) return Result::too_much;
  throw StoreError(*last_error_);
}

}  // namespace calib
