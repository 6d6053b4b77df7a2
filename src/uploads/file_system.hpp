// What is known of kinds of file systems.
#pragma once

#include <string_view>

#include "base/system.hpp"

namespace calib {

/// Whether it says of a directory when it came to be there, or was changed last, whatever time it
/// was given (ctime, or the time of its birth). `type` as Mounts has it. False where that is not
/// known.
bool tells_changes(FileSystem kind, std::string_view type);

}  // namespace calib
