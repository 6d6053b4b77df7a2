#include "pass/slice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>
#include <utility>

#include "pass/purge.hpp"
#include "uploads/open.hpp"

namespace calib {

SliceResult Slice::run(std::span<const Unit> units, std::chrono::milliseconds lock_wait,
                       const StopFlag& stop) {
  units_ = units;
  dropped_.resize(units.size());
  staged_.resize(units.size());
  auto [transaction, began] = claims_.begin(*app_.store, lock_wait);
  try_once(*transaction, began, stop);
  result_.released = Clock::now();
  // Whoever wants to suspend the process does so at the end of the transaction.
  SuspensionWatch watch;
  transaction.reset();
  if (!watch.was_suspended()) result_.released = Clock::now();
  result_.held_lock = result_.released - began;
  if (result_.outcome == Outcome::committed) note_gone();
  return std::move(result_);
}

void Slice::try_once(StoreTransaction& transaction, Clock::time_point began, const StopFlag& stop) {
  try {
    if (fill(transaction, began, stop)) {
      result_.filled = Clock::now() - began;
      result_.outcome = commit(transaction);
    }
    if (result_.outcome == Outcome::committed) keep_findings();
  } catch (const PassError& error) {
    restore_all();
    result_.error = error;
    switch (error.kind()) {
      case PassError::Kind::disturbed:
        result_.outcome = Outcome::disturbed;
        break;
      case PassError::Kind::busy:
        result_.outcome = Outcome::busy;
        break;
      case PassError::Kind::full:
      case PassError::Kind::refused:
        result_.outcome = Outcome::too_much;
        break;
      case PassError::Kind::unusable:
      case PassError::Kind::stopped:
        end_with(std::current_exception());
        break;
    }
  } catch (...) {
    restore_all();
    end_with(std::current_exception());
  }
}

void Slice::end_with(std::exception_ptr error) {
  keep_findings();
  result_.outcome = Outcome::ended;
  result_.ended = std::move(error);
}

void Slice::keep_findings() {
  result_.notes.add(findings_.notes);
  result_.put_off = std::move(findings_.put_off);
  result_.held = std::move(findings_.held);
  result_.held_failures = std::move(findings_.held_failures);
  result_.passed_over = std::move(findings_.passed_over);
}

void Slice::note_gone() {
  for (const auto& [owner, unit] : unit_of_) {
    if (!dropped_[unit]) result_.gone.push_back(owner);
  }
  for (const auto& of_unit : staged_) {
    for (const auto& [name, inode] : of_unit) result_.staged.push_back({inode, name});
  }
}

/// Everything between BEGIN and COMMIT: takes units in, portion by portion, as long as there is
/// time, which runs since `began`. False where nobody is left to go.
bool Slice::fill(StoreTransaction& transaction, Clock::time_point began, const StopFlag& stop) {
  bool any = false;
  for (std::size_t portion = 0; result_.taken < units_.size();) {
    portion = budget_.next_portion(result_.taken, Clock::now() - began, portion);
    if (portion == 0) break;
    const auto first = result_.taken;
    result_.taken = std::min(units_.size(), first + portion);
    if (take_portion(transaction, first, stop)) any = true;
    throw_if_requested(stop);
  }
  return any;
}

bool Slice::take_portion(StoreTransaction& transaction, std::size_t first, const StopFlag& stop) {
  std::vector<OwnerIndex> owners;
  for (auto unit = first; unit < result_.taken; ++unit) {
    for (const auto owner : units_[unit].owners) {
      unit_of_.emplace(owner, unit);
      owners.push_back(owner);
    }
  }
  drop_refused(transaction, transaction.choose(owners));
  if (first == 0) claims_.look(transaction);
  protect_new_sessions(transaction, first);
  stage(transaction, first, stop);
  const auto begin = dropped_.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(result_.taken);
  if (std::find(begin + static_cast<std::ptrdiff_t>(first), end, false) == end) return false;
  transaction.delete_records(counts_);
  return true;
}

Slice::Outcome Slice::commit(StoreTransaction& transaction) {
  if (transaction.seal() == Sealed::now) {
    claims_.look(transaction);
    if (is_claimed_meanwhile()) {
      throw PassError(PassError::Kind::busy, "a session was added while the pass ran; try again");
    }
  }
  switch (transaction.commit()) {
    case CommitOutcome::committed:
      result_.changed = true;
      return Outcome::committed;
    case CommitOutcome::busy:
      result_.error = transaction.commit_error();
      restore_all();
      return Outcome::busy;
    case CommitOutcome::unknown:
      break;
  }
  result_.error = transaction.commit_error();
  return settle_unknown();
}

Slice::Outcome Slice::settle_unknown() {
  const auto error = *result_.error;
  std::vector<OwnerIndex> owners;
  for (const auto& [owner, unit] : unit_of_) {
    if (is_session(owner) && !dropped_[unit]) owners.push_back(owner);
  }
  if (owners.empty()) {
    result_.changed = true;
    throw PassError(
        PassError::Kind::unusable, error.path(),
        error.text() + "; whether the leaked records went is not known, the next pass looks again");
  }
  std::vector<bool> present;
  try {
    present = app_.store->present(owners);
    // What holds may not have come to the disk yet, which is what the commit was to see to.
    app_.store->make_durable();
  } catch (const PassError& why) {
    // What is staged stays so: the next pass asks again, and settles by what the database says.
    staged_.assign(units_.size(), {});
    result_.changed = true;
    throw PassError(PassError::Kind::unusable, error.path(),
                    fmt::format("{}; whether that commit holds is not known ({}); the next pass "
                                "settles it",
                                error.text(), why.what()));
  }
  const bool holds = std::find(present.begin(), present.end(), true) == present.end();
  if (holds) {
    result_.changed = true;
    findings_.notes.warnings.push_back(
        fmt::format("{}; the commit holds all the same", error.what()));
    return Outcome::committed;
  }
  restore_all();
  if (error.kind() == PassError::Kind::full) return Outcome::too_much;
  throw PassError(error);
}

void Slice::stage(StoreTransaction& transaction, std::size_t first, const StopFlag& stop) {
  const auto began = Clock::now();
  for (auto unit = first; unit < result_.taken; ++unit) {
    throw_if_requested(stop);
    if (budget_.is_too_slow(Clock::now() - began)) {
      put_off(transaction, unit);
      return;
    }
    if (dropped_[unit]) continue;
    const auto staging = stage_unit(unit);
    if (staging == Staging::done) continue;
    drop(transaction, unit);
    const auto& owners = units_[unit].owners;
    auto& failures = staging == Staging::no_room ? findings_.held_failures : findings_.notes.errors;
    for (const auto owner : owners) {
      if (owners.size() > 1) failures.push_back(goes_along_failure(name_of(owner)));
    }
    // Those that do go make room.
    if (staging == Staging::no_room) findings_.held.push_back(units_[unit]);
  }
}

/// Takes out of the transaction again what is in it from `first` on.
void Slice::put_off(StoreTransaction& transaction, std::size_t first) {
  std::vector<OwnerIndex> owners;
  for (auto unit = first; unit < result_.taken; ++unit) {
    if (dropped_[unit]) continue;
    dropped_[unit] = true;
    findings_.put_off.push_back(units_[unit]);
    owners.insert(owners.end(), units_[unit].owners.begin(), units_[unit].owners.end());
  }
  drop_refused(transaction, transaction.withdraw(owners));
}

/// Where a directory cannot be moved the unit keeps everything.
Slice::Staging Slice::stage_unit(std::size_t unit) {
  // No sync of the folder is needed before the commit: a rename that is lost with the power leaves
  // the directory of a session that is gone, which the next pass takes for the orphan that it is.
  for (const auto owner : units_[unit].owners) {
    if (!is_session(owner)) continue;
    const std::string name(agenda_.plan.sessions[owner].directory);
    if (staged_[unit].contains(name)) continue;
    Staged staged;
    const auto error = app_.uploads.stage(name, &staged);
    if (!error || staged.left_aside) staged_[unit].emplace(name, staged.inode);
    if (error && error != std::errc::no_such_file_or_directory) {
      if (error == std::errc::read_only_file_system) require_writable(app_.uploads);
      const bool no_room = error == std::errc::no_space_on_device || error.value() == EDQUOT;
      (no_room ? findings_.held_failures : findings_.notes.errors)
          .push_back(unmovable_failure(app_.uploads, name, error, name_of(owner)));
      return no_room ? Staging::no_room : Staging::refused;
    }
  }
  return Staging::done;
}

void Slice::restore_unit(std::size_t unit) {
  for (const auto& [name, inode] : staged_[unit]) {
    result_.restored = true;
    const auto errors = app_.uploads.restore(name);
    if (!errors.empty()) result_.changed = true;
    errors.add_to(result_.notes.errors, [](const PathError& error) {
      return Failure{error.path,
                     fmt::format("it could not be moved back: {}; the next pass tries again",
                                 error.error.message()),
                     ErrorKind::directory};
    });
  }
  staged_[unit].clear();
}

void Slice::restore_all() {
  for (std::size_t unit = 0; unit < result_.taken; ++unit) {
    restore_unit(unit);
    for (const auto owner : units_[unit].owners) counts_.clear(owner);
  }
}

void Slice::drop_refused(StoreTransaction& transaction, std::vector<Refusal> refusals) {
  while (!refusals.empty()) {
    std::vector<OwnerIndex> along;
    std::set<OwnerIndex> refused;
    for (const auto& refusal : refusals) refused.insert(refusal.owner);
    for (const auto& refusal : refusals) {
      const auto unit = unit_of_.at(refusal.owner);
      note(refusal, unit);
      if (dropped_[unit]) continue;
      dropped_[unit] = true;
      restore_unit(unit);
      const bool held = refusal.reason == Refusal::Reason::held;
      if (held) findings_.held.push_back(units_[unit]);
      for (const auto owner : units_[unit].owners) {
        along.push_back(owner);
        if (!held && is_session(owner)) findings_.passed_over.emplace(owner, refusal.reason);
        if (!held || refused.contains(owner)) continue;
        findings_.held_failures.push_back(goes_along_failure(name_of(owner)));
      }
    }
    refusals = transaction.withdraw(along);
  }
}

void Slice::note(const Refusal& refusal, std::size_t unit) {
  const auto name = name_of(refusal.owner);
  auto& warnings = findings_.notes.warnings;
  const bool is_left = !agenda_.is_named;
  switch (refusal.reason) {
    case Refusal::Reason::gone:
      if (is_left && units_[unit].owners.size() > 1) {
        warnings.push_back(
            name + " went while the pass ran; who shares its directory is left for the next pass");
      }
      break;
    case Refusal::Reason::changed:
      if (is_left && is_session(refusal.owner)) {
        warnings.push_back(name + " changed while the pass ran, and is left for the next pass");
      }
      break;
    case Refusal::Reason::held:
      findings_.held_failures.push_back(held_failure(refusal, name));
      break;
  }
}

void Slice::drop(StoreTransaction& transaction, std::size_t unit) {
  dropped_[unit] = true;
  restore_unit(unit);
  const auto& range = units_[unit].owners;
  const std::vector<OwnerIndex> owners(range.begin(), range.end());
  drop_refused(transaction, transaction.withdraw(owners));
}

void Slice::protect_new_sessions(StoreTransaction& transaction, std::size_t first) {
  for (auto unit = first; unit < result_.taken; ++unit) {
    for (const auto owner : units_[unit].owners) {
      if (dropped_[unit] || !is_session(owner)) continue;
      const auto directory = agenda_.plan.sessions[owner].directory;
      if (!claims_.contain(directory)) continue;
      findings_.notes.errors.push_back(
          {fmt::format("{}/{}", app_.uploads.path(), directory),
           fmt::format("a session that was added or changed while the pass "
                       "ran claims this directory too; {} is left whole",
                       name_of(owner)),
           ErrorKind::session});
      drop(transaction, unit);
    }
  }
}

/// By a session that was added while the slice was filled: what is deleted cannot be taken out.
bool Slice::is_claimed_meanwhile() const {
  return std::any_of(unit_of_.begin(), unit_of_.end(), [&](const auto& entry) {
    const auto& [owner, unit] = entry;
    return !dropped_[unit] && is_session(owner) &&
           claims_.contain(agenda_.plan.sessions[owner].directory);
  });
}

}  // namespace calib
