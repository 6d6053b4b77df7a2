#include "pass/orphans.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include "pass/purge.hpp"

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

}  // namespace

void Orphans::drop_claimed(StoreTransaction& transaction) {
  c_.claims.look(transaction);
  std::erase_if(c_.agenda.orphans,
                [&](const OrphanLine& orphan) { return c_.claims.contain(orphan.name); });
  std::erase_if(c_.agenda.plan.leftovers, [&](const std::string& entry) {
    return c_.claims.contain(entry) ||
           c_.claims.contain(parse_staged(entry).value_or(StagedName{}).name);
  });
}

void Orphans::look_again() {
  const auto begun = c_.claims.begin(c_.store, c_.options.lock_wait);
  drop_claimed(*begun.transaction);
  looked_ = begun.since;
}

void Orphans::ask_again() {
  c_.progress.begin("waiting for the database", 0);
  auto [transaction, since] = c_.claims.begin(c_.store, c_.options.lock_wait);
  drop_claimed(*transaction);
  looked_ = since;
  // No room on the disk is no reason to stop here: removing the orphans makes some.
  try {
    if (transaction->require_writable()) drop_claimed(*transaction);
  } catch (const PassError& error) {
    if (error.kind() != PassError::Kind::full) throw;
  }
  transaction.reset();
  // What goes next has no session, and must not have one again after a power loss.
  if (!c_.agenda.orphans.empty() || !c_.agenda.plan.leftovers.empty()) c_.store.make_durable();
}

void Orphans::remove() {
  remove_leftovers();
  remove_orphans();
}

void Orphans::remove_leftovers() {
  auto& leftovers = c_.agenda.plan.leftovers;
  c_.progress.begin("removing what an interrupted pass left", leftovers.size());
  while (!leftovers.empty() && !c_.stop.requested()) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(most_, leftovers.size()));
    const std::vector<std::string> entries(leftovers.begin(), leftovers.begin() + count);
    take_off(leftovers, remove_some(
                            entries, [](std::size_t) { return true; },
                            [&](std::size_t, const Usage&) { ++c_.report.recovery.purged; }));
    if (!leftovers.empty()) look_again();
  }
}

void Orphans::remove_orphans() {
  auto& orphans = c_.agenda.orphans;
  c_.progress.begin("removing orphaned directories", orphans.size());
  while (!orphans.empty() && !c_.stop.requested()) {
    std::vector<std::string> entries;
    for (std::size_t i = 0; i < std::min(most_, orphans.size()); ++i) {
      entries.push_back(orphans[i].name);
    }
    std::mutex mutex;
    std::vector<Failure> failures;
    const auto may_go = [&](std::size_t i) {
      auto failure = std::optional<Failure>();
      const bool is_older = is_older_than_grace(orphans[i], failure);
      const std::lock_guard lock(mutex);
      if (failure) failures.push_back(std::move(*failure));
      return is_older;
    };
    const auto tried = remove_some(entries, may_go, [&](std::size_t i, const Usage& usage) {
      orphans[i].usage = usage;
      c_.report.orphans.push_back(orphans[i]);
    });
    for (auto& failure : failures) c_.report.errors.push_back(std::move(failure));
    take_off(orphans, tried);
    if (!orphans.empty()) look_again();
  }
}

/// Asked right before it goes: what has changed since the plan is younger than the grace.
bool Orphans::is_older_than_grace(const OrphanLine& orphan, std::optional<Failure>& failure) const {
  if (c_.options.orphan_grace.count() == 0) return true;
  DirectoryStatus status;
  const auto error = c_.uploads.status_of(orphan.name, status);
  if (error && error != std::errc::no_such_file_or_directory) {
    failure = {c_.uploads.path() + "/" + orphan.name,
               fmt::format("it could not be looked at again: {}; it is left for the next pass",
                           error.message()),
               ErrorKind::orphan};
  }
  return !error && status.changed == orphan.changed;
}

Orphans::Tried Orphans::remove_some(const std::vector<std::string>& entries,
                                    const std::function<bool(std::size_t)>& may_go,
                                    const std::function<void(std::size_t, const Usage&)>& gone) {
  c_.changed = true;
  const auto until = looked_ + between_looks;
  Tried tried(entries.size(), 0);
  // However long a look takes, one goes.
  const auto begins = [&](std::size_t i) {
    if (i > 0 && Clock::now() >= until) return false;
    tried[i] = 1;
    return may_go(i);
  };
  remove_entries(
      entries, {c_.uploads, c_.links, c_.stop, c_.progress, c_.workers, ErrorKind::orphan, begins},
      c_.report, gone);
  const auto count = static_cast<std::size_t>(std::count(tried.begin(), tried.end(), 1));
  most_ = std::max<std::size_t>(2 * count, 1);
  return tried;
}

}  // namespace calib
