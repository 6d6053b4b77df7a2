// The system calls on directories. All of them are relative to a descriptor, none follows a link in
// the last component, and what they say comes back as a value.
#pragma once

#include <cstdint>
#include <string_view>
#include <system_error>

#include "base/call.hpp"
#include "base/fd.hpp"
#include "base/status.hpp"
#include "base/system.hpp"

namespace calib {

using system::DirEntry;
using system::DirReader;

/// Whether `name` names an entry of a directory and nothing further away.
bool is_component(std::string_view name);

/// Opens the folder itself, the one place where links are followed.
std::error_code open_folder(const char* path, Fd& fd, Status& status);

/// Opens the directory `name` of `parent`. Never a link (ENOTDIR), and never on another mount than
/// `mount` (EXDEV). `keep` is a wish: the kernel grants it to the directory's owner only.
std::error_code open_directory(int parent, const char* name, std::uint64_t mount,
                               AccessTime access_time, Fd& fd, Status& status);

/// Looks at `name` in `parent`, or at `fd` itself. ENOSYS where the system cannot tell mounts
/// apart.
std::error_code stat_at(int parent, const char* name, Status& status);
std::error_code stat_at(int fd, Status& status);

/// As stat_at(), content with what the system has cached: for sizes, not for decisions on identity.
std::error_code stat_cached(int parent, const char* name, Status& status);
std::error_code stat_cached(int fd, Status& status);

/// Whether this process may do `how` (R_OK | W_OK | X_OK) in the open directory.
std::error_code check_access(int directory, int how);

std::error_code remove_file(int parent, const char* name);
std::error_code remove_directory(int parent, const char* name);

/// Renames, never over something (EEXIST), also where the file system has no such rename.
std::error_code rename_new(int from_parent, const char* from, int to_parent, const char* to);

/// Takes the exclusive lock on the open directory; EWOULDBLOCK where another has it.
std::error_code lock_directory(int fd);

/// Writes the entries of the open directory to the disk. No error where the file system has no such
/// call for directories (fsync(2): EINVAL; FUSE and network ones: ENOSYS, EOPNOTSUPP).
std::error_code sync_directory(int fd);

}  // namespace calib
