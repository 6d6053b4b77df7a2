// Who is left out of a slice, and what there is to say of it.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "pass/slices.hpp"

namespace calib {

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
