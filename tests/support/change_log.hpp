// The interposer's record of what was done to the disk (support/interposer/log.hpp), read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace calib::test {

/// One call that succeeded. Paths are relative to the folder that was asked about.
struct Change {
  enum class Kind { open, write, size, sync, unlink, rmdir, mkdir, rename };
  Kind kind = Kind::sync;
  std::string path;
  std::string other;         ///< the new path of a rename
  std::uint64_t offset = 0;  ///< bytes
  std::uint64_t size = 0;    ///< bytes; of an opening: 1 where it empties the file
  std::string data;
  friend bool operator==(const Change&, const Change&) = default;
};

/// What was done below `folder`; what was done elsewhere, or to files that have no name any more,
/// is left out. Throws std::runtime_error where it does not understand the log.
std::vector<Change> read_change_log(const std::filesystem::path& log,
                                    const std::filesystem::path& folder);

}  // namespace calib::test
