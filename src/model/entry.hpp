// What stands in the uploads folder, and what went wrong with it.
#pragma once

#include <cstdint>
#include <string>
#include <system_error>

#include "base/limited_list.hpp"
#include "base/timestamp.hpp"

namespace calib {

enum class EntryKind { directory, link, other };

struct Entry {
  std::string name;
  EntryKind kind = EntryKind::other;
  std::uint64_t inode = 0;
};

struct DirectoryStatus {
  Instant changed;          ///< the latest of mtime, ctime and birth
  Instant born;             ///< when it was made, or later: where that is not told, `changed`
  std::uint64_t inode = 0;  ///< in the order of these numbers directories mostly lie on the disk
};

/// One path that could not be dealt with. `path` is the folder's path with the names below it, raw;
/// where it is longer than any path may be, with `...` for the middle of it.
struct PathError {
  std::string path;
  std::error_code error;
};

std::string kind_of(const PathError& error);

/// Of ten with one error the eleventh says nothing new.
using PathErrors = LimitedList<PathError, kind_of, 10>;

}  // namespace calib
