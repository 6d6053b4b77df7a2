#include "unclaimed.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "removal.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

// How long orphans are removed between two looks at whether somebody claims them by now, and how
// many before that is known.
constexpr std::chrono::duration<double> orphans_between_looks{1.0};
constexpr std::size_t first_orphans = 64;

}  // namespace

void Unclaimed::drop_claimed(StoreTransaction& transaction) {
  c_.claims.look(transaction);
  std::erase_if(c_.agenda.orphans,
                [&](const OrphanLine& orphan) { return c_.claims.contain(orphan.name); });
  std::erase_if(c_.agenda.plan.leftovers,
                [&](const std::string& name) { return c_.claims.contain(name); });
}

void Unclaimed::ask_again() {
  c_.progress.begin("waiting for the database", 0);
  auto transaction = c_.claims.begin(c_.store, c_.options.lock_wait).transaction;
  drop_claimed(*transaction);
  // No room on the disk is no reason to stop here: removing the orphans makes some.
  try {
    if (transaction->require_writable()) drop_claimed(*transaction);
  } catch (const StoreError& error) {
    if (error.kind() != StoreError::Kind::full) throw;
  }
  transaction.reset();
  // What goes next has no session, and must not have one again after a power loss.
  if (!c_.agenda.orphans.empty() || !c_.agenda.plan.leftovers.empty()) c_.store.make_durable();
}

void Unclaimed::remove() {
  remove_leftovers();
  remove_orphans();
}

void Unclaimed::remove_leftovers() {
  const auto& leftovers = c_.agenda.plan.leftovers;
  c_.progress.begin("removing what an interrupted pass left", leftovers.size());
  std::vector<std::string> entries;
  entries.reserve(leftovers.size());
  for (const auto& name : leftovers) entries.push_back(std::string(staged_prefix) + name);
  remove_all(entries, [&](std::size_t, const Usage&) { ++c_.report.recovery.purged; });
}

/// Some at a time: a restore of the database may bring back whose they are, or of the images, what
/// is younger than the grace.
void Unclaimed::remove_orphans() {
  auto& orphans = c_.agenda.orphans;
  c_.progress.begin("removing orphaned directories", orphans.size());
  std::size_t most = first_orphans;
  while (!orphans.empty() && !c_.stop.requested()) {
    const auto began = Clock::now();
    const auto first = orphans.begin();
    const auto end = first + static_cast<std::ptrdiff_t>(std::min(most, orphans.size()));
    std::vector<OrphanLine> some(first, end);
    orphans.erase(first, end);
    drop_changed_orphans(c_.uploads, c_.options.orphan_grace, some, c_.report);
    std::vector<std::string> entries;
    entries.reserve(some.size());
    for (const auto& orphan : some) entries.push_back(orphan.name);
    remove_all(entries, [&](std::size_t i, const Usage& usage) {
      some[i].usage = usage;
      c_.report.orphans.push_back(some[i]);
    });
    if (!orphans.empty()) {
      drop_claimed(*c_.claims.begin(c_.store, c_.options.lock_wait).transaction);
    }
    const std::chrono::duration<double> took = Clock::now() - began;
    if (took < orphans_between_looks / 2) most *= 2;
    if (took > 2 * orphans_between_looks) most = std::max<std::size_t>(1, most / 2);
  }
}

void Unclaimed::remove_all(const std::vector<std::string>& entries,
                           const std::function<void(std::size_t, const Usage&)>& gone) {
  if (!entries.empty()) c_.changed = true;
  remove_entries(entries,
                 {c_.uploads, c_.links, c_.stop, c_.progress, c_.workers, ErrorKind::orphan},
                 c_.report, gone);
}

}  // namespace calib
