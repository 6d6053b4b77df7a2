#include "store/sqlite/mark.hpp"

#include <fmt/format.h>

#include "base/staged_name.hpp"
#include "base/system.hpp"

namespace calib::sqlite {
namespace {

bool has_lasting_inodes(const std::filesystem::path& path) {
  switch (system::file_system_at(path.c_str())) {
    case FileSystem::unknown:
    case FileSystem::fat:
    case FileSystem::fuse:
    case FileSystem::smb:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::string mark_of_file(const std::filesystem::path& path) {
  Status status;
  if (system::stat_path(path.c_str(), status)) return {};
  if (!has_lasting_inodes(path)) return {};
  const auto birth = status.birth.value_or(FileTime{});
  return mark_of(
      fmt::format("sqlite {} {}.{:09}", status.id.inode, birth.seconds, birth.nanoseconds));
}

}  // namespace calib::sqlite
