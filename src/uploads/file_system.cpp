#include "uploads/file_system.hpp"

#include <algorithm>
#include <array>

namespace calib {
namespace {

// Of other machines these carry the time of any change (RFC 1813 and RFC 8881 for NFS). In user
// space sshfs, s3fs and their like give that of the content for it, which a restore sets; and what
// only shows another folder (bindfs, mergerfs) tells what that one does, and not what it is.
constexpr std::array<std::string_view, 5> with_changes{"ceph", "fuse.glusterfs", "lustre", "nfs",
                                                       "nfs4"};

}  // namespace

bool tells_changes(FileSystem kind, std::string_view type) {
  if (is_local(kind)) return true;
  return std::find(with_changes.begin(), with_changes.end(), type) != with_changes.end();
}

}  // namespace calib
