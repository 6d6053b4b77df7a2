// What tells one database file from all others, wherever it is mounted.
#pragma once

#include <filesystem>
#include <string>

namespace calib::sqlite {

/// The mark of the file (see base/staged_name.hpp), from its inode number and its time of birth: a
/// path is another one in a container, and a device's number after a reboot. Empty where inode
/// numbers do not last (FAT, FUSE, 9P, SMB), and where it cannot be looked at.
std::string mark_of_file(const std::filesystem::path& path);

}  // namespace calib::sqlite
