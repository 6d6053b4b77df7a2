// What posix.cpp leaves to macos.cpp and plain_posix.cpp.
#pragma once

#include <sys/stat.h>

#include "base/status.hpp"

namespace calib::system {

/// Sets the times and `fixed`: each system has names of its own for them, or does not tell them.
void add_times_and_flags(const struct stat& raw, Status& status);

}  // namespace calib::system
