// Where something is mounted, as the kernel lists it (proc(5), /proc/pid/mountinfo).
#pragma once

#include <string>
#include <vector>

namespace calib {

/// Names directly in the open directory at or below which something is mounted, sorted; empty where
/// the kernel does not tell.
std::vector<std::string> entries_with_mounts(int directory);

}  // namespace calib
