// What files occupy.
#pragma once

#include <cstdint>

namespace calib {

/// What stands below a directory, the directory itself included.
struct Usage {
  std::uint64_t files = 0;            ///< names that are not directories
  std::uint64_t allocated_bytes = 0;  ///< st_blocks × 512, directories included; an inode once
  std::uint64_t apparent_bytes = 0;   ///< st_size of regular files and links; an inode once

  Usage& operator+=(const Usage& other) {
    files += other.files;
    allocated_bytes += other.allocated_bytes;
    apparent_bytes += other.apparent_bytes;
    return *this;
  }
};

/// Of a file system.
struct DiskSpace {
  std::uint64_t bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t available_bytes = 0;  ///< to whoever is not root
};

/// Whether what is looked at goes (or would go, in a dry run) or stays.
enum class Fate { goes, stays };

}  // namespace calib
