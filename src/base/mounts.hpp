// Where something is mounted, as the kernel lists it (proc(5), /proc/pid/mountinfo).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace calib {

/// What is mounted in a directory; both lists are sorted.
struct Mounts {
  /// Where something is mounted, as paths below the directory (`a/b`).
  std::vector<std::string> points;
  /// Names directly in the directory at or below which something is mounted, or is what is mounted
  /// somewhere else (a bind mount of it).
  std::vector<std::string> entries;
  /// Of the file system that the directory itself is on: `ext4`, `fuse.sshfs`. Empty where that is
  /// not told: in a chroot.
  std::string type;

  /// Whether something is mounted at `path`, which is below the directory.
  [[nodiscard]] bool is_point(const std::string& path) const;
  /// Whether something is mounted at `entry`, directly in the directory, or below it.
  [[nodiscard]] bool any_in(const std::string& entry) const;
};

/// Reads them for the open directory; none of them is touched. `mount_id`: the directory's own
/// mount (statx(2), STATX_MNT_ID). Throws std::runtime_error, a sentence that says what to do,
/// where the kernel does not tell all of them: without /proc, or where the directory's own mount is
/// not among them.
Mounts mounts_below(int directory, std::uint64_t mount_id);

}  // namespace calib
