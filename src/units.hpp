// What goes together or not at all.
#pragma once

#include <cstddef>
#include <ranges>
#include <set>
#include <string>
#include <vector>

#include "plan.hpp"
#include "report.hpp"
#include "session_store.hpp"

namespace calib {

/// Owners that go together or not at all: sessions that share a directory, or one leaked key. A
/// plan keeps them next to each other.
struct Unit {
  std::ranges::iota_view<OwnerIndex, OwnerIndex> owners;
};

/// The sessions of a plan and the leaked keys, as units, without the refused ones.
std::vector<Unit> units_of(const std::vector<DoomedSession>& sessions, std::size_t leaked_keys,
                           const std::set<OwnerIndex>& refused);

/// The failure of an owner that a row which stays refers to.
Failure held_failure(const Refusal& refusal, const std::string& owner_name);

/// What the report says of this session, but for its files and records.
SessionLine line_of(const DoomedSession& session);

/// `session <id>` or `records of <key>`, for messages.
std::string owner_name(OwnerIndex owner, const std::vector<DoomedSession>& sessions,
                       const Survey& survey);

}  // namespace calib
