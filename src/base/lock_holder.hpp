// Who has locks on files, as far as the system tells.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/dir_io.hpp"

namespace calib {

/// A lock that somebody has, as /proc/locks names it (proc(5)). On Btrfs and overlays its device is
/// another one there than stat(2) tells.
struct HeldLock {
  std::string kind;    ///< `POSIX`, `FLOCK`, `OFDLCK` …
  std::string access;  ///< `READ` or `WRITE`
  long process = 0;    ///< not above 0 where it is nobody's alone
  std::string file;    ///< device and inode: `08:01:1835`
  std::uint64_t inode = 0;
  std::int64_t first = 0;  ///< the first byte
};

/// All of them, without those that are only waited for. The processes of other containers are not
/// shown.
std::error_code read_held_locks(std::vector<HeldLock>& locks);

/// Who has one of these files locked, a writer before a reader: `uvicorn (process 812)`. Empty
/// where nobody has, or the system does not tell: without /proc, from another container, on Btrfs.
std::string lock_holder(std::span<const FileId> files);

}  // namespace calib
