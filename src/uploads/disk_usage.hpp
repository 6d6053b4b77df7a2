// Sums over one directory tree: an inode with several names counts once.
#pragma once

#include <cstdint>
#include <set>

#include "uploads/dir_io.hpp"
#include "uploads/upload_dir.hpp"
#include "uploads/usage.hpp"

namespace calib {

/// Adds up in `result` and `links` what is seen, or what went.
class TreeAccount {
 public:
  TreeAccount(TreeResult& result, HardLinks& links, Fate fate)
      : result_(result), links_(links), fate_(fate) {}

  void add_directory(std::uint64_t allocated_bytes);
  /// One name of what is no directory, as it was seen before the name went.
  void add_file(const Status& status);

 private:
  TreeResult& result_;
  HardLinks& links_;
  Fate fate_;
  std::set<FileId> shared_;  // inodes of this tree with several names
};

}  // namespace calib
