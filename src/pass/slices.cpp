#include "pass/slices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <thread>
#include <utility>

#include "model/pass_error.hpp"

namespace calib {
namespace {

// What one transaction may take, whatever the time: what it stages has to be put back where the
// commit fails.
constexpr std::size_t largest_slice = 2000;
constexpr std::chrono::milliseconds look_interval{10};

// Of fewer directories there is little to write, and the commit may as well do it.
constexpr std::size_t min_to_sync = 64;

constexpr auto never = std::chrono::steady_clock::time_point::max();

}  // namespace

Slices::Slices(const Agenda& agenda, AppData& app, NewClaims& claims, Purger& purger,
               const Monitor& monitor)
    : agenda_(agenda),
      app_(app),
      claims_(claims),
      purger_(purger),
      monitor_(monitor),
      units_(agenda.units),
      max_owners_(largest_slice),
      counts_(agenda.plan.sessions.size() + agenda.survey.leaked_keys.size(),
              agenda.survey.tables.size()),
      budget_(app.store->is_slow()
                  ? 1
                  : LockBudget::first_portion_of(agenda.units.size(), agenda.survey.counts.sum())),
      busy_since_(never) {
  monitor_.progress.begin("deleting sessions", agenda.plan.sessions.size());
}

DeletedSlice Slices::next(std::chrono::milliseconds lock_wait) {
  DeletedSlice deleted;
  rest();
  throw_if_requested(monitor_.stop);
  const auto units = std::span<const Unit>(units_).subspan(next_, count_next());
  auto slice = Slice(agenda_, app_, claims_, budget_, counts_).run(units, lock_wait, monitor_.stop);
  held_lock_ = slice.held_lock;
  released_ = slice.released;
  deleted.changed = slice.changed;
  deleted.restored = slice.restored;
  deleted.notes = std::move(slice.notes);
  deleted.passed_over = std::move(slice.passed_over);
  deleted.ended = slice.ended;
  held_.insert(held_.end(), slice.held.begin(), slice.held.end());
  held_failures_.add(slice.held_failures);
  if (slice.outcome != SliceResult::Outcome::ended) go_on_after(slice, lock_wait, deleted);
  if (slice.outcome == SliceResult::Outcome::committed) {
    add_lines(slice.gone, deleted);
    purge(std::move(slice.staged), deleted);
  }
  if (deleted.ended || !any_left()) begin_next_round(deleted.notes.errors);
  return deleted;
}

/// Units that may be in the next slice.
std::size_t Slices::count_next() const {
  std::size_t count = 0;
  for (std::size_t owners = 0; next_ + count < units_.size(); ++count) {
    owners += units_[next_ + count].owners.size();
    if (count > 0 && owners > max_owners_) break;
  }
  return count;
}

void Slices::go_on_after(const SliceResult& slice, std::chrono::milliseconds lock_wait,
                         DeletedSlice& deleted) {
  using SliceOutcome = SliceResult::Outcome;
  auto outcome = slice.outcome;
  // Who holds one session's rows may do so for hours: it is found by halving, waited for, and
  // left, and the others go.
  if (outcome == SliceOutcome::disturbed) {
    if (slice.taken == 1) disturbed_for_ += held_lock_ + LockBudget::gap(held_lock_);
    if (slice.taken > 1 || disturbed_for_ > lock_wait) outcome = SliceOutcome::too_much;
  }
  if (outcome == SliceOutcome::committed) {
    const auto done = slice.taken - slice.put_off.size();
    if (slice.filled.count() > 0) budget_.learn(done, slice.filled, held_lock_);
    busy_since_ = never;
    next_ += done;
    if (!slice.put_off.empty()) was_put_off_ = true;
    std::copy(slice.put_off.begin(), slice.put_off.end(),
              units_.begin() + static_cast<std::ptrdiff_t>(next_));
    max_owners_ = std::min(2 * max_owners_, largest_slice);
  } else if (outcome == SliceOutcome::busy) {
    // While it was suspended it did not wait.
    if (suspended_.was_suspended()) busy_since_ = never;
    busy_since_ = std::min(busy_since_, released_ - held_lock_);
    const auto waited = released_ - busy_since_;
    if (waited > lock_wait) {
      deleted.ended = std::make_exception_ptr(still_locked(slice.error->path(), waited));
    }
  } else if (outcome == SliceOutcome::too_much && slice.taken > 1) {
    max_owners_ = std::max<std::size_t>(1, slice.taken / 2);
  } else if (outcome == SliceOutcome::too_much && slice.error->kind() == PassError::Kind::full) {
    // Without room on the disk nobody else fares better; a constraint is this unit's alone.
    deleted.ended = std::make_exception_ptr(PassError(*slice.error));
  } else if (outcome == SliceOutcome::too_much) {
    give_up(*slice.error, deleted.notes);
  }
}

void Slices::give_up(const PassError& error, Notes& notes) {
  for (const auto owner : units_[next_].owners) {
    notes.errors.push_back({owner_name(owner, agenda_.plan.sessions, agenda_.survey),
                            fmt::format("{}; it is left whole", error.what()),
                            ErrorKind::database});
  }
  ++next_;
}

/// A row that goes with one unit may hold another, so whoever was held gets another try, as long as
/// that frees somebody. Of those that get none it is told.
void Slices::begin_next_round(Failures& failures) {
  const bool frees_nobody = held_.size() >= units_.size();
  if (any_left() || held_.empty() || (frees_nobody && !was_put_off_)) {
    failures.add(std::exchange(held_failures_, {}));
    return;
  }
  // Whom rows of each other hold can only go together: whoever was put off held the other.
  if (frees_nobody) budget_ = LockBudget::of_all(held_.size());
  was_put_off_ = false;
  held_failures_.clear();
  units_ = std::exchange(held_, {});
  // In a chain of rows that hold each other, whoever can go first may stand last.
  std::reverse(units_.begin(), units_.end());
  next_ = 0;
  max_owners_ = largest_slice;
}

void Slices::rest() const {
  const auto until = released_ + LockBudget::gap(held_lock_);
  for (auto now = Clock::now(); now < until && !monitor_.stop.requested(); now = Clock::now()) {
    std::this_thread::sleep_until(std::min<Clock::time_point>(until, now + look_interval));
  }
}

void Slices::purge(std::vector<StagedDirectory> staged, DeletedSlice& deleted) {
  std::sort(staged.begin(), staged.end(),
            [](const auto& a, const auto& b) { return a.inode < b.inode; });
  std::vector<std::string> entries;
  entries.reserve(staged.size());
  for (const auto& directory : staged) {
    entries.push_back(app_.uploads.staged_entry_of(directory.name));
  }
  const auto purged = purger_.purge(entries, ErrorKind::directory);
  deleted.freed_bytes = purged.freed_bytes;
  deleted.notes.errors.add(purged.failures);
  if (purged.ended) deleted.ended = purged.ended;
  // A commit syncs its journal, and on many file systems waits there for all that the purge before
  // it has changed, with the lock held.
  if (any_left() && entries.size() >= min_to_sync && !monitor_.stop.requested()) {
    deleted.unsynced = app_.uploads.sync();
  }
  std::map<std::string_view, Usage> usages;
  for (std::size_t i = 0; i < staged.size(); ++i) {
    if (purged.gone[i]) usages.emplace(staged[i].name, *purged.gone[i]);
  }
  for (auto& session : deleted.sessions) {
    // Where sessions share a directory, the first one has its size.
    if (const auto usage = usages.find(session.directory); usage != usages.end()) {
      session.usage = std::exchange(usage->second, {});
    }
  }
}

void Slices::add_lines(const std::vector<OwnerIndex>& gone, DeletedSlice& deleted) const {
  const auto& tables = agenda_.survey.tables;
  const auto& pairs = agenda_.survey.halved_pairs;
  for (const auto owner : gone) {
    if (const auto of_it = pairs.find(owner); of_it != pairs.end()) {
      deleted.halved_pairs += of_it->second;
    }
    if (owner < agenda_.plan.sessions.size()) {
      deleted.sessions.push_back(
          line_of(agenda_.plan.sessions[owner], records_of(tables, counts_, owner)));
    } else {
      add_leaked(tables, counts_, owner, deleted.orphaned_records);
    }
  }
}

}  // namespace calib
