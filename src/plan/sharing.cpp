// Sessions that share a directory, or an id: who is kept for another's sake, and who goes together.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.hpp"
#include "plan/plan.hpp"

namespace calib {

namespace {

Failure stands_twice(std::string_view id) {
  return {
      fmt::format("session {}", id),
      "it stands in the database twice, or was changed while it was read; it is left whole, run "
      "again",
      ErrorKind::session};
}

}  // namespace

std::span<const std::uint64_t> Planner::claims_of(std::size_t candidate) const {
  const auto begin = candidate == 0 ? 0 : claims_ends_[candidate - 1];
  return std::span(claims_).subspan(begin, claims_ends_[candidate] - begin);
}

void Planner::refuse(std::size_t candidate) {
  refused_[candidate] = true;
  for (const auto hash : claims_of(candidate)) survivors_.add(hash);
}

/// The entry that the file system takes this name for, where it folds more than ASCII case.
const Entry* Planner::other_spelling_of(const Entry& passed) const {
  if (passed.inode == 0 || entries_.find(passed.name) != nullptr) return nullptr;
  const auto& entries = entries_.sorted();
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry* entry) {
    return entry->inode == passed.inode && folded_hash(entry->name) != folded_hash(passed.name);
  });
  return found == entries.end() ? nullptr : *found;
}

/// Who claims a name claims what it leads through.
void Planner::claim_along(const Ways& ways) {
  if (ways.empty()) return;
  std::unordered_multimap<std::uint64_t, std::uint64_t> along;
  for (const auto& [name, way] : ways) {
    const auto hash = folded_hash(name);
    for (const auto& entry : way) {
      along.emplace(hash, folded_hash(entry.name));
      const auto* listed = other_spelling_of(entry);
      if (listed != nullptr) along.emplace(hash, folded_hash(listed->name));
    }
    if (!is_common_parent(hash)) continue;
    const auto [first, last] = along.equal_range(hash);
    for (auto at = first; at != last; ++at) parents_[at->second] = parents_[hash];
  }
  std::vector<std::uint64_t> claims;
  std::size_t begin = 0;
  for (auto& end : claims_ends_) {
    for (; begin < end; ++begin) {
      claims.push_back(claims_[begin]);
      const auto [first, last] = along.equal_range(claims_[begin]);
      for (auto at = first; at != last; ++at) claims.push_back(at->second);
    }
    end = claims.size();
  }
  claims_ = std::move(claims);
  std::vector<std::uint64_t> kept;
  for (const auto& [hash, led_to] : along) {
    if (survivors_.contain(hash)) kept.push_back(led_to);
  }
  for (const auto hash : kept) survivors_.add(hash);
}

/// Whether a candidate's directory may go was asked of an entry of that very name.
void Planner::refuse_other_spellings(const Ways& ways) {
  if (ways.empty()) return;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto name = candidates_[i].directory;
    const auto way = ways.find(name);
    if (way == ways.end() || way->second.empty()) continue;
    const auto* listed = other_spelling_of(way->second.front());
    if (listed == nullptr) continue;
    refuse(i);
    failures_.push_back(
        {in_folder(name),
         fmt::format("here it is spelled {}; session {} is left whole, correct its images_dir in "
                     "the database",
                     listed->name, candidates_[i].id),
         ErrorKind::session});
  }
}

/// A directory that many name on the way to theirs, such as `uploads` in uploads, is everybody's:
/// it would make one unit of them all.
bool Planner::is_common_parent(std::uint64_t hash) const {
  constexpr std::uint64_t few = 2;
  const auto parent = parents_.find(hash);
  return parent != parents_.end() && parent->second > few;
}

void Planner::protect_shared_directories() {
  // A candidate that is kept claims in its turn: who shares a directory with it is kept, too.
  PositionsByHash by_directory(candidates_.size());
  std::vector<std::size_t> to_keep;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto hash = folded_hash(candidates_[i].directory);
    by_directory.add(hash, i);
    if (survivors_.contain(hash) || is_common_parent(hash)) to_keep.push_back(i);
  }
  if (to_keep.empty()) return;
  by_directory.sort();
  while (!to_keep.empty()) {
    const auto kept = to_keep.back();
    to_keep.pop_back();
    if (refused_[kept]) continue;
    refuse(kept);
    failures_.push_back(
        {in_folder(candidates_[kept].directory),
         fmt::format("another session claims this directory too; session {} is left "
                     "whole",
                     candidates_[kept].id),
         ErrorKind::session});
    for (const auto claim : claims_of(kept)) by_directory.take(claim, to_keep);
  }
}

/// A candidate of which another row is kept, or that stands twice: deleting it by its id would take
/// the other row along.
void Planner::refuse_twins() {
  if (candidates_.empty()) return;
  std::sort(kept_ids_.begin(), kept_ids_.end());
  PositionsByHash by_id(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) by_id.add(exact_hash(candidates_[i].id), i);
  by_id.sort();
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto hash = exact_hash(candidates_[i].id);
    if (const auto first = *by_id.first(hash); first != i) {
      refuse(first);
      refuse(i);
      failures_.push_back(stands_twice(candidates_[i].id));
    } else if (std::binary_search(kept_ids_.begin(), kept_ids_.end(), hash)) {
      refuse(i);
      failures_.push_back(stands_twice(candidates_[i].id));
    }
  }
}

/// Union-find over candidates: who claims the directory of another goes with it, or not at all.
/// Afterwards their units are the positions of their roots.
void Planner::unite_sharers() {
  const auto find = [&](std::uint32_t i) {
    while (candidates_[i].unit != i) {
      i = candidates_[i].unit = candidates_[candidates_[i].unit].unit;
    }
    return i;
  };
  PositionsByHash by_directory(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    candidates_[i].unit = static_cast<std::uint32_t>(i);
    if (!refused_[i]) by_directory.add(folded_hash(candidates_[i].directory), i);
  }
  by_directory.sort();
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (refused_[i]) continue;
    for (const auto claim : claims_of(i)) {
      const auto other = by_directory.first(claim);
      if (!other) continue;
      const auto [low, high] = std::minmax(
          {find(static_cast<std::uint32_t>(i)), find(static_cast<std::uint32_t>(*other))});
      candidates_[high].unit = low;
    }
  }
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    candidates_[i].unit = find(static_cast<std::uint32_t>(i));
  }
}

void Planner::form_units(Plan& plan) {
  unite_sharers();
  plan.texts = texts_;
  // All in place: a second list of them would be what takes the most memory of a pass.
  auto& sessions = plan.sessions;
  sessions = std::exchange(candidates_, {});
  std::size_t going = 0;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (!refused_[i]) sessions[going++] = sessions[i];
  }
  sessions.resize(going);
  // Where nobody shares they are in order, and sorting takes memory.
  const auto by_unit = [](const auto& a, const auto& b) { return a.unit < b.unit; };
  if (!std::is_sorted(sessions.begin(), sessions.end(), by_unit)) {
    std::stable_sort(sessions.begin(), sessions.end(), by_unit);
  }
  std::uint32_t units = 0;
  std::uint32_t last_root = sessions.empty() ? 0 : sessions.front().unit;
  for (auto& session : sessions) {
    if (session.unit != last_root) ++units;
    last_root = std::exchange(session.unit, units);
  }
}

}  // namespace calib
