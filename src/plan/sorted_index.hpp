// Sorted lists to look things up in, where a map of a million entries would take several times the
// memory; and nobody can choose entries that make them slow.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "model/entry.hpp"

namespace calib {

/// The entries of a listing by name. The listing must outlive this.
class EntriesByName {
 public:
  explicit EntriesByName(const std::vector<Entry>& listing) : entries_(listing.size()) {
    std::transform(listing.begin(), listing.end(), entries_.begin(),
                   [](const Entry& entry) { return &entry; });
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry* a, const Entry* b) { return a->name < b->name; });
  }

  /// Null where there is none.
  [[nodiscard]] const Entry* find(std::string_view name) const {
    const auto found = std::lower_bound(
        entries_.begin(), entries_.end(), name,
        [](const Entry* entry, std::string_view wanted) { return entry->name < wanted; });
    return found == entries_.end() || (*found)->name != name ? nullptr : *found;
  }

  /// Whether this holds of any entry whose name begins like that.
  template <typename Condition>
  [[nodiscard]] bool any_with_prefix(std::string_view prefix, const Condition& condition) const {
    auto at = std::lower_bound(entries_.begin(), entries_.end(), prefix,
                               [](const Entry* entry, std::string_view wanted) {
                                 return std::string_view(entry->name) < wanted;
                               });
    for (; at != entries_.end() && (*at)->name.starts_with(prefix); ++at) {
      if (condition(*at)) return true;
    }
    return false;
  }

  [[nodiscard]] const std::vector<const Entry*>& sorted() const { return entries_; }

 private:
  std::vector<const Entry*> entries_;
};

/// Positions in a list, by a hash of what stands there. Add all, then sort(), then ask.
class PositionsByHash {
 public:
  explicit PositionsByHash(std::size_t size) { positions_.reserve(size); }
  void add(std::uint64_t hash, std::size_t position) { positions_.emplace_back(hash, position); }
  void sort() { std::sort(positions_.begin(), positions_.end()); }

  /// The first position with this hash.
  [[nodiscard]] std::optional<std::size_t> first(std::uint64_t hash) const {
    const auto found = lower_bound(hash);
    if (found == positions_.end() || found->first != hash) return std::nullopt;
    return found->second;
  }

  /// Adds every position with this hash to `taken`, the first time that it is asked for.
  void take(std::uint64_t hash, std::vector<std::size_t>& taken) {
    taken_.resize(positions_.size());
    const auto begin = lower_bound(hash);
    for (auto found = begin; found != positions_.end() && found->first == hash; ++found) {
      const auto at = static_cast<std::size_t>(found - positions_.begin());
      if (taken_[at]) return;
      taken_[at] = true;
      taken.push_back(found->second);
    }
  }

 private:
  using Position = std::pair<std::uint64_t, std::size_t>;
  [[nodiscard]] std::vector<Position>::const_iterator lower_bound(std::uint64_t hash) const {
    return std::lower_bound(positions_.begin(), positions_.end(), Position{hash, 0});
  }

  std::vector<Position> positions_;
  std::vector<bool> taken_;  ///< for each of them
};

}  // namespace calib
