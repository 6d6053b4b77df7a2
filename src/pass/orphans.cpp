#include "pass/orphans.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "model/pass_error.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

// Somebody may claim it meanwhile, as where the database is restored: so long after a look no other
// directory is begun. The one that is under way mostly ends within the second.
constexpr std::chrono::milliseconds between_looks{800};

/// Takes those of the first off the list that were tried.
template <typename Item>
void take_off(std::vector<Item>& items, const std::vector<char>& tried) {
  std::size_t i = 0;
  std::erase_if(items, [&](const Item&) {
    const bool was_tried = i < tried.size() && tried[i] != 0;
    ++i;
    return was_tried;
  });
}

bool any(const std::vector<char>& tried) {
  return std::find(tried.begin(), tried.end(), 1) != tried.end();
}

}  // namespace

void Orphans::drop_claimed(StoreTransaction& transaction) {
  claims_.look(transaction);
  std::erase_if(left_.orphans,
                [&](const OrphanLine& orphan) { return claims_.contain(orphan.name); });
  std::erase_if(left_.leftovers, [&](const std::string& entry) {
    return claims_.contain(entry) ||
           claims_.contain(parse_staged(entry).value_or(StagedName{}).name);
  });
}

void Orphans::begin(Unclaimed unclaimed) {
  left_ = std::move(unclaimed);
  monitor_.progress.begin("waiting for the database", 0);
  auto [transaction, since] = claims_.begin(*app_.store, options_.lock_wait);
  drop_claimed(*transaction);
  looked_ = since;
  is_looked_ = true;
  // No room on the disk is no reason to stop here: removing the orphans makes some.
  try {
    if (transaction->require_writable()) drop_claimed(*transaction);
  } catch (const PassError& error) {
    if (error.kind() != PassError::Kind::full) throw;
  }
  transaction.reset();
  // What goes next has no session, and must not have one again after a power loss.
  if (any_left()) app_.store->make_durable();
  begin_phase();
}

void Orphans::begin_phase() {
  if (left_.leftovers.empty()) {
    monitor_.progress.begin("removing orphaned directories", left_.orphans.size());
  } else {
    monitor_.progress.begin("removing what an interrupted pass left", left_.leftovers.size());
  }
}

void Orphans::look_again() {
  const auto begun = claims_.begin(*app_.store, options_.lock_wait);
  drop_claimed(*begun.transaction);
  looked_ = begun.since;
}

RemovedUnclaimed Orphans::next() {
  if (!std::exchange(is_looked_, false)) look_again();
  return left_.leftovers.empty() ? remove_orphans() : remove_leftovers();
}

RemovedUnclaimed Orphans::remove_leftovers() {
  auto& leftovers = left_.leftovers;
  const auto count = static_cast<std::ptrdiff_t>(std::min(most_, leftovers.size()));
  Tried tried;
  const auto purged = remove(
      {leftovers.begin(), leftovers.begin() + count}, [](std::size_t) { return true; }, tried);
  RemovedUnclaimed removed{0, {}, purged.freed_bytes, purged.failures, any(tried), purged.ended};
  for (const auto& usage : purged.gone) {
    if (usage) ++removed.leftovers;
  }
  take_off(leftovers, tried);
  if (leftovers.empty()) begin_phase();
  return removed;
}

RemovedUnclaimed Orphans::remove_orphans() {
  auto& orphans = left_.orphans;
  std::vector<std::string> entries;
  for (std::size_t i = 0; i < std::min(most_, orphans.size()); ++i) {
    entries.push_back(orphans[i].name);
  }
  std::mutex mutex;
  Failures failures;
  const auto may_go = [&](std::size_t i) {
    auto failure = std::optional<Failure>();
    const bool is_older = is_older_than_grace(orphans[i], failure);
    const std::lock_guard lock(mutex);
    if (failure) failures.push_back(std::move(*failure));
    return is_older;
  };
  Tried tried;
  const auto purged = remove(entries, may_go, tried);
  RemovedUnclaimed removed{0, {}, purged.freed_bytes, purged.failures, any(tried), purged.ended};
  removed.failures.add(failures);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!purged.gone[i]) continue;
    removed.orphans.push_back(orphans[i]);
    removed.orphans.back().usage = *purged.gone[i];
  }
  take_off(orphans, tried);
  return removed;
}

/// Asked right before it goes: what has changed since the plan is younger than the grace.
bool Orphans::is_older_than_grace(const OrphanLine& orphan, std::optional<Failure>& failure) const {
  if (options_.orphan_grace.count() == 0) return true;
  DirectoryStatus status;
  const auto error = app_.uploads.status_of(orphan.name, status);
  if (error && error != std::errc::no_such_file_or_directory) {
    failure = {app_.uploads.path() + "/" + orphan.name,
               fmt::format("it could not be looked at again: {}; it is left for the next pass",
                           error.message()),
               ErrorKind::orphan};
  }
  return !error && status.changed == orphan.changed;
}

Purged Orphans::remove(const std::vector<std::string>& entries, const Purger::MayGo& may_go,
                       Tried& tried) {
  tried.assign(entries.size(), 0);
  const auto until = looked_ + between_looks;
  // However long a look takes, one goes.
  const auto begins = [&](std::size_t i) {
    if (i > 0 && Clock::now() >= until) return false;
    tried[i] = 1;
    return may_go(i);
  };
  auto purged = purger_.purge(entries, ErrorKind::orphan, begins);
  const auto count = static_cast<std::size_t>(std::count(tried.begin(), tried.end(), 1));
  most_ = std::max<std::size_t>(2 * count, 1);
  return purged;
}

}  // namespace calib
