#include "slices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>


namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

// A backlog of up to this many sessions is one transaction.
constexpr std::size_t largest_slice = 2000;
// What a slice may hold the write lock for, before the next one is made smaller; 150 ms are
// promised.
constexpr std::chrono::milliseconds wanted_hold{100};
// Another writer may poll every 100 ms: the lock stays free for at least this long.
constexpr std::chrono::milliseconds shortest_gap{30};
constexpr std::chrono::milliseconds look_interval{10};

std::size_t next_size(std::size_t size, Clock::duration held) {
  const auto held_ms = std::max(1.0, std::chrono::duration<double, std::milli>(held).count());
  const double fitting = static_cast<double>(size) * wanted_hold.count() / held_ms;
  return std::clamp(static_cast<std::size_t>(fitting), std::size_t{1},
                    std::min(2 * size, largest_slice));
}

}  // namespace

Slices::Slices(const Context& context)
    : c_(context),
      counts_(context.sessions.size() + context.survey.leaked_keys.size(),
              context.survey.tables.size()) {}

std::string Slices::in_folder(const std::string& name) const {
  return c_.uploads.path() + "/" + name;
}

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
  }
  for (auto& failure : held_failures_) c_.report.errors.push_back(std::move(failure));
}

void Slices::run_once(const std::vector<Unit>& units) {
  std::size_t size = largest_slice;
  std::optional<Clock::time_point> busy_since;
  for (std::size_t next = 0; next < units.size();) {
    if (c_.stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
    std::size_t count = 0;
    for (std::size_t owners = 0; next + count < units.size(); ++count) {
      owners += units[next + count].owners.size();
      if (count > 0 && owners > size) break;
    }
    const auto result = try_slice(std::span(units).subspan(next, count));
    const auto released = Clock::now();
    if (result == Result::committed) {
      busy_since.reset();
      next += count;
      size = next_size(size, held_lock_);
    } else if (result == Result::busy) {
      busy_since = busy_since.value_or(released);
      if (released - *busy_since > c_.lock_wait) throw StoreError(*last_error_);
    } else if (count == 1) {
      give_up(units[next]);
      ++next;
    } else {
      size = std::max<std::size_t>(1, count / 2);
    }
    if (next < units.size()) rest(released);
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

void Slices::rest(Clock::time_point since) const {
  const auto until = since + std::max<Clock::duration>(held_lock_, shortest_gap);
  while (Clock::now() < until && !c_.stop.requested()) std::this_thread::sleep_for(look_interval);
}

Slices::Result Slices::try_slice(std::span<const Unit> units) {
  Slice slice;
  slice.units = units;
  slice.dropped.resize(units.size());
  slice.staged.resize(units.size());
  for (std::size_t unit = 0; unit < units.size(); ++unit) {
    for (const auto owner : units[unit].owners) slice.unit_of.emplace(owner, unit);
  }
  auto transaction = c_.store.begin(c_.lock_wait);
  const auto began = Clock::now();
  auto result = Result::committed;
  try {
    if (prepare(*transaction, slice)) result = commit(*transaction, slice);
  } catch (const StoreError& error) {
    restore_all(slice);
    const bool smaller_may_do =
        error.kind() == StoreError::Kind::full || error.kind() == StoreError::Kind::refused;
    if (!smaller_may_do) {
      keep_notes(slice);
      throw;
    }
    last_error_ = error;
    result = Result::too_much;
  } catch (...) {
    restore_all(slice);
    throw;
  }
  transaction.reset();
  held_lock_ = Clock::now() - began;
  if (result == Result::committed) {
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
}

/// Everything between BEGIN and COMMIT; false where nobody is left to go.
bool Slices::prepare(StoreTransaction& transaction, Slice& slice) {
  std::vector<OwnerIndex> owners;
  for (const auto& [owner, unit] : slice.unit_of) owners.push_back(owner);
  drop_refused(transaction, slice, transaction.choose(owners));
  protect_new_sessions(transaction, slice);
  stage(transaction, slice);
  if (std::find(slice.dropped.begin(), slice.dropped.end(), false) == slice.dropped.end()) {
    return false;
  }
  transaction.delete_records(counts_);
  if (c_.stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
  return true;
}

Slices::Result Slices::commit(StoreTransaction& transaction, Slice& slice) {
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

void Slices::drop_refused(StoreTransaction& transaction, Slice& slice,
                          std::vector<Refusal> refusals) {
  while (!refusals.empty()) {
    std::vector<OwnerIndex> along;
    for (const auto& refusal : refusals) {
      const auto unit = slice.unit_of.at(refusal.owner);
      note(refusal, slice, unit);
      if (slice.dropped[unit]) continue;
      slice.dropped[unit] = true;
      restore_unit(slice, unit);
      if (refusal.reason == Refusal::Reason::held) slice.held.push_back(slice.units[unit]);
      for (const auto owner : slice.units[unit].owners) along.push_back(owner);
    }
    refusals = transaction.withdraw(along);
  }
}

void Slices::note(const Refusal& refusal, Slice& slice, std::size_t unit) {
  const auto name = name_of(refusal.owner);
  switch (refusal.reason) {
    case Refusal::Reason::gone:
      if (slice.units[unit].owners.size() > 1) {
        slice.warnings.push_back(
            name + " went while the pass ran; who shares its directory is left for the next pass");
      }
      break;
    case Refusal::Reason::changed:
      if (is_session(refusal.owner)) {
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
  drop_refused(transaction, slice, transaction.withdraw(slice.units[unit].owners));
}

void Slices::protect_new_sessions(StoreTransaction& transaction, Slice& slice) {
  bool any = false;
  transaction.visit_new_sessions([&](const SessionRow& row) {
    if (fingerprints_.empty()) {
      for (const auto& session : c_.sessions) {
        fingerprints_.emplace(session.id, session.fingerprint);
      }
    }
    const auto planned = fingerprints_.find(row.id);
    if (planned != fingerprints_.end() && planned->second == row.fingerprint) return;
    new_claims_.add(row);
    any = true;
  });
  if (!any && new_claims_.empty()) return;
  for (std::size_t unit = 0; unit < slice.units.size(); ++unit) {
    for (const auto owner : slice.units[unit].owners) {
      if (slice.dropped[unit] || !is_session(owner) ||
          !new_claims_.contain(c_.sessions[owner].directory())) {
        continue;
      }
      slice.failures.push_back(
          {in_folder(c_.sessions[owner].directory()),
           fmt::format("a session that was added while the pass ran claims this directory too; {} "
                       "is left whole",
                       name_of(owner)),
           ErrorKind::session});
      drop(transaction, slice, unit);
    }
  }
}

}  // namespace calib
