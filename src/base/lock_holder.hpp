// Who keeps others waiting, as far as the system tells.
#pragma once

#include <span>
#include <string>

#include "base/dir_io.hpp"

namespace calib {

/// Who has one of these files locked, a writer before a reader: `uvicorn (process 812)`. Empty
/// where nobody has, or the system does not tell: without /proc, from another container, on Btrfs.
std::string lock_holder(std::span<const FileId> files);

}  // namespace calib
