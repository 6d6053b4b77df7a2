#include "store/sqlite/mark.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <algorithm>
#include <array>

#include "base/staged_name.hpp"

namespace calib::sqlite {
namespace {

/// Of the file systems that give a file another inode number when it is met again (linux/magic.h;
/// not all of them are there yet).
constexpr std::array<unsigned long, 7> without_lasting_inodes{
    0x4d44,      // FAT
    0x2011bab0,  // exFAT
    0x65735546,  // FUSE
    0x01021997,  // 9P
    0x517b,      // SMB
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
};

bool has_lasting_inodes(const std::filesystem::path& path) {
  struct statfs status {};
  if (::statfs(path.c_str(), &status) != 0) return false;
  const auto type = static_cast<unsigned long>(status.f_type) & 0xffffffffU;
  return std::find(without_lasting_inodes.begin(), without_lasting_inodes.end(), type) ==
         without_lasting_inodes.end();
}

}  // namespace

std::string mark_of_file(const std::filesystem::path& path) {
  struct statx status = {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &status) != 0) return {};
  if (!has_lasting_inodes(path)) return {};
  const bool knows_birth = (status.stx_mask & STATX_BTIME) != 0;
  return mark_of(fmt::format("sqlite {} {}.{:09}", status.stx_ino,
                             knows_birth ? status.stx_btime.tv_sec : 0,
                             knows_birth ? status.stx_btime.tv_nsec : 0));
}

}  // namespace calib::sqlite
