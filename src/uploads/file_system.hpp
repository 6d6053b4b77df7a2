// What is known of kinds of file systems.
#pragma once

#include <cstdint>
#include <string_view>

namespace calib {

/// Whether a file system of this kind (statfs(2), f_type) is on a disk or in the memory of this
/// machine, and nobody else changes what is in it. False where the kind is not known: then others
/// may, what the kernel has cached may be old, and an answer may take its time.
bool is_local(std::uint64_t kind);

/// Whether it says of a directory when it came to be there, or was changed last, whatever time it
/// was given (ctime, or the time of its birth). `type` as Mounts has it. False where that is not
/// known.
bool tells_changes(std::uint64_t kind, std::string_view type);

}  // namespace calib
