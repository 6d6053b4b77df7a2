// What one look at an entry of a file system tells.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <tuple>

#include "base/timestamp.hpp"

namespace calib {

struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileId&, const FileId&) = default;
  friend bool operator<(const FileId& left, const FileId& right) {
    return std::tie(left.device, left.inode) < std::tie(right.device, right.inode);
  }
};

/// Since 1970, as the file system has it.
struct FileTime {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
};

/// To the microsecond, rounded up. Some file systems store any 64-bit second; what is beyond the
/// range of microseconds is cut, not wrapped.
Instant to_instant(const FileTime& time);

struct Status {
  FileId id;
  /// Tells what is mounted apart. Where the system has no numbers for that, the device.
  std::uint64_t mount = 0;
  std::uint64_t links = 0;
  std::uint64_t allocated_bytes = 0;
  std::uint64_t size = 0;
  FileTime modified;
  Instant changed;                ///< the later of mtime and ctime
  std::optional<FileTime> birth;  ///< when it was made; some file systems do not know it and say 0
  Instant born;                   ///< the same; where it is not told, `changed`
  mode_t mode = 0;
  uid_t owner = 0;
  bool mount_root = false;
  bool fixed = false;  ///< its flags (immutable, append-only) keep it and what is in it from going

  [[nodiscard]] bool is_directory() const { return S_ISDIR(mode); }
  /// Whether `size` is a length of content, as it is not for devices and pipes.
  [[nodiscard]] bool has_content() const { return S_ISREG(mode) || S_ISLNK(mode); }

  void set_times(const FileTime& mtime, const FileTime& ctime,
                 const std::optional<FileTime>& btime);
};

}  // namespace calib
