#include "uploads/file_system.hpp"

#include <algorithm>
#include <array>

namespace calib {
namespace {

// They give the time of the last change of the content, which a restore sets, for that of any.
constexpr std::array<std::string_view, 6> without_changes{
    "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"};

}  // namespace

bool tells_changes(FileSystem kind, std::string_view type) {
  if (is_local(kind)) return true;
  return !type.empty() &&
         std::find(without_changes.begin(), without_changes.end(), type) == without_changes.end();
}

}  // namespace calib
