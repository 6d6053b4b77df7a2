// What directories occupy: sums over a tree and over several, in which an inode with several names
// counts once.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/dir_io.hpp"
#include "model/entry.hpp"
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

/// What measuring or purging one directory came to.
struct TreeResult {
  Usage usage;  ///< what was seen (measure) or removed (purge); an inode with several names once
  /// The allocated bytes of directories and of inodes with one name. The inodes with several names
  /// are in the HardLinks that was handed in, so that sums over many directories come out right.
  std::uint64_t exclusive_bytes = 0;
  PathErrors errors;
  bool stopped = false;  ///< the stop flag was set before the end
};

/// Adds up in `result` and `links` what is seen, or what went.
class TreeAccount {
 public:
  TreeAccount(TreeResult& result, HardLinks& links, Fate fate)
      : result_(result), links_(links), fate_(fate) {}

  void add_directory(std::uint64_t allocated_bytes);
  /// One name of what is no directory, as it was seen before the name went.
  void add_file(const Status& status);
  /// One that was added with one name, and is still there.
  void take_back(const Status& status);

 private:
  TreeResult& result_;
  HardLinks& links_;
  Fate fate_;
  std::set<FileId> shared_;  // inodes of this tree with several names
};

}  // namespace calib
