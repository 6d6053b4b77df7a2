// What is mounted in a directory. base/system.hpp reads it.
#pragma once

#include <string>
#include <string_view>
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

  /// Sorts both, and drops empty names and those that are there twice.
  void sort_out();
};

/// `a` of `a/b`.
std::string first_component(std::string_view path);

/// What of `path` is below `folder`, which ends with a slash; empty where it is not.
std::string_view way_below(std::string_view folder, std::string_view path);

}  // namespace calib
