#include "uploads/file_system.hpp"

#include <linux/magic.h>

#include <algorithm>
#include <array>

namespace calib {
namespace {

// Of these linux/magic.h has no name.
constexpr std::uint64_t bcachefs = 0xca451a4e;
constexpr std::uint64_t jfs = 0x3153464a;
constexpr std::uint64_t zfs = 0x2fc12fc1;

constexpr std::array<std::uint64_t, 14> local_kinds{BTRFS_SUPER_MAGIC,
                                                    EXFAT_SUPER_MAGIC,
                                                    EXT4_SUPER_MAGIC,
                                                    F2FS_SUPER_MAGIC,
                                                    MSDOS_SUPER_MAGIC,
                                                    NILFS_SUPER_MAGIC,
                                                    OVERLAYFS_SUPER_MAGIC,
                                                    RAMFS_MAGIC,
                                                    REISERFS_SUPER_MAGIC,
                                                    TMPFS_MAGIC,
                                                    XFS_SUPER_MAGIC,
                                                    bcachefs,
                                                    jfs,
                                                    zfs};

// They give the time of the last change of the content, which a restore sets, for that of any.
constexpr std::array<std::string_view, 6> without_changes{
    "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"};

}  // namespace

bool is_local(std::uint64_t kind) {
  return std::find(local_kinds.begin(), local_kinds.end(), kind) != local_kinds.end();
}

bool tells_changes(std::uint64_t kind, std::string_view type) {
  if (is_local(kind)) return true;
  return !type.empty() &&
         std::find(without_changes.begin(), without_changes.end(), type) == without_changes.end();
}

}  // namespace calib
