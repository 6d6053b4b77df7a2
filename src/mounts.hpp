// Where something is mounted, as the kernel lists it (proc(5), /proc/pid/mountinfo).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace calib {

/// Names directly in the open directory at or below which something is mounted, or is what is
/// mounted somewhere else (a bind mount of it), sorted; empty where the kernel does not tell.
/// `mount_id`: the directory's own mount (statx(2), STATX_MNT_ID).
std::vector<std::string> entries_with_mounts(int directory, std::uint64_t mount_id);

}  // namespace calib
