// The walk through one directory tree: what it occupies, or its removal. It takes a bounded number
// of descriptors and linear time, however deep or wide the tree is, and never leaves it.
#pragma once

#include <cstdint>
#include <string>

#include "base/dir_io.hpp"
#include "base/mounts.hpp"
#include "base/stop.hpp"
#include "uploads/disk_usage.hpp"

namespace calib {

/// The uploads folder, as the walk needs it.
struct Folder {
  int fd = -1;
  std::uint64_t mount = 0;
  const std::string& path;
  const Mounts& mounts;  ///< where nothing is to be touched
  /// On no local file system (see file_system.hpp): sizes that the kernel has cached may be old
  /// there, and on FUSE and NFS a file that somebody has open does not go, but gets another name.
  bool is_served = false;
};

/// The path of `name` in the directory `path`, for messages.
std::string path_below(const std::string& path, const std::string& name);

TreeResult measure_tree(const Folder& folder, const std::string& name, Fate fate, HardLinks& links,
                        const StopFlag& stop);

TreeResult purge_tree(const Folder& folder, const std::string& name, HardLinks& links,
                      const StopFlag& stop);

}  // namespace calib
