// The tally of inodes that have more than one name.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "model/usage.hpp"

namespace calib {

/// An inode is freed when its last name goes. This counts the names of each inode that has several,
/// over everything that is walked. Safe to use from several threads.
class HardLinks {
 public:
  /// One name of the inode (`device`, `inode`); the inode had `links` names when it was looked at.
  void add(std::uint64_t device, std::uint64_t inode, std::uint64_t links,
           std::uint64_t allocated_bytes, Fate fate) {
    const std::lock_guard lock(mutex_);
    auto& tally = tallies_[{device, inode}];
    if (fate == Fate::goes) ++tally.going;
    if (fate == Fate::stays) tally.stays = true;
    // The number shrinks while names go, and the first look is the one from before.
    if (links > tally.links) tally.links = links;
    tally.allocated_bytes = allocated_bytes;
  }

  /// Bytes of the inodes whose every name goes.
  [[nodiscard]] std::uint64_t freed_bytes() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [key, tally] : tallies_) {
      if (tally.going >= tally.links) sum += tally.allocated_bytes;
    }
    return sum;
  }

  /// Bytes of the inodes of which a name stays, each once.
  [[nodiscard]] std::uint64_t staying_bytes() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [key, tally] : tallies_) {
      if (tally.stays) sum += tally.allocated_bytes;
    }
    return sum;
  }

  /// Bytes of all inodes added, each once.
  [[nodiscard]] std::uint64_t allocated_bytes() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [key, tally] : tallies_) sum += tally.allocated_bytes;
    return sum;
  }

 private:
  struct Tally {
    std::uint64_t going = 0;
    bool stays = false;
    std::uint64_t links = 0;
    std::uint64_t allocated_bytes = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Tally> tallies_;
};

}  // namespace calib
