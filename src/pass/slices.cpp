#include "pass/slices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "model/pass_error.hpp"
#include "pass/purge.hpp"
#include "pass/recovery.hpp"
#include "uploads/open.hpp"

namespace calib {
namespace {

// What one transaction may take, whatever the time: what it stages has to be put back where the
// commit fails.
constexpr std::size_t largest_slice = 2000;
constexpr std::chrono::milliseconds look_interval{10};

// Of fewer directories there is little to write, and the commit may as well do it.
constexpr std::size_t min_to_sync = 64;

/// A commit syncs its journal, and on many file systems waits there for all that the purge before
/// it has changed, with the lock held. So that is synced beside the last part of the purge.
class EarlySync {
 public:
  /// `count` directories will go; 0: no commit follows.
  EarlySync(const UploadDir& uploads, std::size_t count, const StopFlag& stop)
      : uploads_(uploads), stop_(stop), left_(count < min_to_sync ? 0 : count * 4 / 5) {}

  EarlySync(const EarlySync&) = delete;
  EarlySync& operator=(const EarlySync&) = delete;
  EarlySync(EarlySync&&) = delete;
  EarlySync& operator=(EarlySync&&) = delete;
  ~EarlySync() = default;

  /// One at a time.
  void removed_one() {
    if (left_ == 0 || --left_ > 0 || stop_.requested()) return;
    try {
      thread_ = std::jthread([this] { error_ = uploads_.sync(); });
    } catch (const std::system_error&) {
      // The system gives no more threads: the commit does it, if with the lock held.
    }
  }

  /// Why the folder could not be synced.
  std::error_code finish() {
    if (thread_.joinable()) thread_.join();
    return error_;
  }

 private:
  const UploadDir& uploads_;
  const StopFlag& stop_;
  std::size_t left_;  ///< to go until it begins
  std::error_code error_;
  std::jthread thread_;
};

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
    throw_if_requested(c_.stop);
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
  if (last_error_->kind() == PassError::Kind::full) throw PassError(*last_error_);
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
  } catch (const PassError& error) {
    restore_all(slice);
    const bool smaller_may_do =
        error.kind() == PassError::Kind::full || error.kind() == PassError::Kind::refused;
    if (error.kind() == PassError::Kind::disturbed) {
      result = Result::disturbed;
    } else if (error.kind() == PassError::Kind::busy) {
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
    throw_if_requested(c_.stop);
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
      throw PassError(PassError::Kind::busy, "a session was added while the pass ran; try again");
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
    throw PassError(
        PassError::Kind::unusable, last_error_->path(),
        last_error_->text() +
            "; whether the leaked records went is not known, the next pass looks again");
  }
  std::vector<bool> present;
  try {
    present = c_.store.present(owners);
    // What holds may not have come to the disk yet, which is what the commit was to see to.
    c_.store.make_durable();
  } catch (const PassError& error) {
    // What is staged stays so: the next pass asks again, and settles by what the database says.
    slice.staged.assign(slice.units.size(), {});
    c_.changed = true;
    throw PassError(PassError::Kind::unusable, last_error_->path(),
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
  if (last_error_->kind() == PassError::Kind::full) return Result::too_much;
  throw PassError(*last_error_);
}

std::string Slices::in_folder(const std::string& name) const {
  return c_.uploads.path() + "/" + name;
}

void Slices::stage(StoreTransaction& transaction, Slice& slice, std::size_t first) {
  for (auto unit = first; unit < slice.taken; ++unit) {
    throw_if_requested(c_.stop);
    if (slice.dropped[unit]) continue;
    const auto staging = stage_unit(slice, unit);
    if (staging == Staging::done) continue;
    drop(transaction, slice, unit);
    const auto& owners = slice.units[unit].owners;
    auto& failures = staging == Staging::no_room ? slice.held_failures : slice.failures;
    for (const auto owner : owners) {
      if (owners.size() > 1) failures.push_back(goes_along_failure(name_of(owner)));
    }
    // Those that do go make room.
    if (staging == Staging::no_room) slice.held.push_back(slice.units[unit]);
  }
}

/// Where a directory cannot be moved the unit keeps everything.
Slices::Staging Slices::stage_unit(Slice& slice, std::size_t unit) {
  // No sync of the folder is needed before the commit: a rename that is lost with the power leaves
  // the directory of a session that is gone, which the next pass takes for the orphan that it is.
  for (const auto owner : slice.units[unit].owners) {
    if (!is_session(owner)) continue;
    const std::string name(c_.sessions[owner].directory);
    if (slice.staged[unit].contains(name)) continue;
    Staged staged;
    const auto error = c_.uploads.stage(name, &staged);
    if (!error || staged.left_aside) slice.staged[unit].emplace(name, staged.inode);
    if (error && error != std::errc::no_such_file_or_directory) {
      if (error == std::errc::read_only_file_system) require_writable(c_.uploads);
      const bool no_room = error == std::errc::no_space_on_device || error.value() == EDQUOT;
      (no_room ? slice.held_failures : slice.failures)
          .push_back(unmovable_failure(c_.uploads, name, error, name_of(owner)));
      return no_room ? Staging::no_room : Staging::refused;
    }
  }
  return Staging::done;
}

void Slices::restore_unit(Slice& slice, std::size_t unit) {
  for (const auto& [name, inode] : slice.staged[unit]) {
    c_.restored = true;
    const auto errors = c_.uploads.restore(name);
    if (!errors.empty()) c_.changed = true;
    errors.add_to(c_.report.errors, [](const PathError& error) {
      return Failure{error.path,
                     fmt::format("it could not be moved back: {}; the next pass tries again",
                                 error.error.message()),
                     ErrorKind::directory};
    });
  }
  slice.staged[unit].clear();
}

void Slices::restore_all(Slice& slice) {
  for (std::size_t unit = 0; unit < slice.taken; ++unit) {
    restore_unit(slice, unit);
    for (const auto owner : slice.units[unit].owners) counts_.clear(owner);
  }
}

void Slices::purge(const Slice& slice) {
  std::map<std::string, Usage> usages;
  try {
    remove_staged(slice, usages);
  } catch (...) {
    // The sessions are gone, whatever becomes of their files: that must be told.
    add_lines(slice, usages);
    throw;
  }
  add_lines(slice, usages);
}

void Slices::remove_staged(const Slice& slice, std::map<std::string, Usage>& usages) {
  std::vector<std::pair<std::uint64_t, std::string>> staged;
  for (const auto& of_unit : slice.staged) {
    for (const auto& [name, inode] : of_unit) staged.emplace_back(inode, name);
  }
  std::sort(staged.begin(), staged.end());
  std::vector<std::string> entries;
  entries.reserve(staged.size());
  for (const auto& [inode, name] : staged) entries.push_back(c_.uploads.staged_entry_of(name));
  const bool another_follows = slice.after > 0 || slice.taken < slice.units.size();
  EarlySync sync(c_.uploads, another_follows ? entries.size() : 0, c_.stop);
  remove_entries(entries,
                 {c_.uploads, c_.links, c_.stop, c_.progress, c_.workers, ErrorKind::directory},
                 c_.report, [&](std::size_t i, const Usage& usage) {
                   usages.emplace(staged[i].second, usage);
                   sync.removed_one();
                 });
  if (const auto error = sync.finish()) {
    // The disk says it once, so whoever syncs at the end will not hear of it.
    if (c_.restored) note_unsynced(c_.uploads, error, c_.report);
    if (!std::exchange(told_unsynced_, true)) {
      c_.report.warnings.push_back(fmt::format("{}: it could not be synced: {}; see to the disk",
                                               c_.uploads.path(), error.message()));
    }
  }
}

void Slices::add_lines(const Slice& slice, std::map<std::string, Usage>& usages) {
  const auto tables = c_.survey.tables.size();
  for (const auto& [owner, unit] : slice.unit_of) {
    if (slice.dropped[unit]) continue;
    if (!is_session(owner)) {
      for (std::size_t table = 0; table < tables; ++table) {
        if (const auto rows = counts_.at(owner, table); rows > 0) {
          c_.report.orphaned_records[c_.survey.tables[table]] += rows;
        }
      }
      continue;
    }
    const auto& session = c_.sessions[owner];
    auto line = line_of(session);
    // Where sessions share a directory, the first one has its size.
    if (const auto usage = usages.find(std::string(session.directory)); usage != usages.end()) {
      line.usage = std::exchange(usage->second, {});
    }
    for (std::size_t table = 0; table < tables; ++table) {
      line.records.push_back(counts_.at(owner, table));
    }
    c_.report.sessions.push_back(std::move(line));
  }
}

void Slices::drop_refused(StoreTransaction& transaction, Slice& slice,
                          std::vector<Refusal> refusals) {
  while (!refusals.empty()) {
    std::vector<OwnerIndex> along;
    std::set<OwnerIndex> refused;
    for (const auto& refusal : refusals) refused.insert(refusal.owner);
    for (const auto& refusal : refusals) {
      const auto unit = slice.unit_of.at(refusal.owner);
      note(refusal, slice, unit);
      if (slice.dropped[unit]) continue;
      slice.dropped[unit] = true;
      restore_unit(slice, unit);
      const bool held = refusal.reason == Refusal::Reason::held;
      if (held) slice.held.push_back(slice.units[unit]);
      for (const auto owner : slice.units[unit].owners) {
        along.push_back(owner);
        if (!held && is_session(owner)) slice.passed_over.emplace(owner, refusal.reason);
        if (!held || refused.contains(owner)) continue;
        slice.held_failures.push_back(goes_along_failure(name_of(owner)));
      }
    }
    refusals = transaction.withdraw(along);
  }
}

void Slices::note(const Refusal& refusal, Slice& slice, std::size_t unit) {
  const auto name = name_of(refusal.owner);
  // Who is asked for by name is planned again.
  const bool is_left = c_.report.mode != Mode::named;
  switch (refusal.reason) {
    case Refusal::Reason::gone:
      if (is_left && slice.units[unit].owners.size() > 1) {
        slice.warnings.push_back(
            name + " went while the pass ran; who shares its directory is left for the next pass");
      }
      break;
    case Refusal::Reason::changed:
      if (is_left && is_session(refusal.owner)) {
        slice.warnings.push_back(name +
                                 " changed while the pass ran, and is left for the next pass");
      }
      break;
    case Refusal::Reason::held:
      slice.held_failures.push_back(held_failure(refusal, name));
      break;
  }
}

void Slices::drop(StoreTransaction& transaction, Slice& slice, std::size_t unit) {
  slice.dropped[unit] = true;
  restore_unit(slice, unit);
  const auto& range = slice.units[unit].owners;
  const std::vector<OwnerIndex> owners(range.begin(), range.end());
  drop_refused(transaction, slice, transaction.withdraw(owners));
}

void Slices::protect_new_sessions(StoreTransaction& transaction, Slice& slice, std::size_t first) {
  for (auto unit = first; unit < slice.taken; ++unit) {
    for (const auto owner : slice.units[unit].owners) {
      if (slice.dropped[unit] || !is_session(owner) ||
          !c_.claims.contain(c_.sessions[owner].directory)) {
        continue;
      }
      slice.failures.push_back({in_folder(std::string(c_.sessions[owner].directory)),
                                fmt::format("a session that was added or changed while the pass "
                                            "ran claims this directory too; {} is left whole",
                                            name_of(owner)),
                                ErrorKind::session});
      drop(transaction, slice, unit);
    }
  }
}

/// By a session that was added while the slice was filled: what is deleted cannot be taken out.
bool Slices::is_claimed_meanwhile(const Slice& slice) const {
  return std::any_of(slice.unit_of.begin(), slice.unit_of.end(), [&](const auto& entry) {
    const auto& [owner, unit] = entry;
    return !slice.dropped[unit] && is_session(owner) &&
           c_.claims.contain(c_.sessions[owner].directory);
  });
}

}  // namespace calib
