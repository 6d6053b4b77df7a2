// Sessions that share a directory, or an id: who is kept for another's sake, and who goes together.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "plan.hpp"
#include "session_keys.hpp"

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

void Planner::form_units(Plan& plan) {
  // Union-find over candidates: who claims the directory of another goes with it, or not at all.
  std::vector<std::size_t> root(candidates_.size());
  std::iota(root.begin(), root.end(), std::size_t{0});
  const auto find = [&](std::size_t i) {
    while (root[i] != i) i = root[i] = root[root[i]];
    return i;
  };
  PositionsByHash by_directory(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (!refused_[i]) by_directory.add(folded_hash(candidates_[i].directory), i);
  }
  by_directory.sort();
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (refused_[i]) continue;
    for (const auto claim : claims_of(i)) {
      const auto other = by_directory.first(claim);
      if (!other) continue;
      const auto [low, high] = std::minmax({find(i), find(*other)});
      root[high] = low;
    }
  }
  std::vector<std::size_t> order;
  order.reserve(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    root[i] = find(i);
    if (!refused_[i]) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return root[a] < root[b]; });
  plan.texts = texts_;
  plan.sessions.reserve(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    auto session = candidates_[order[i]];
    if (i > 0) {
      session.unit = plan.sessions.back().unit + (root[order[i]] == root[order[i - 1]] ? 0U : 1U);
    }
    plan.sessions.push_back(session);
  }
  // What they claim is still to be looked at; they are not.
  candidates_ = {};
}

}  // namespace calib
