#include "base/lock_holder.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string_view>

namespace calib {
namespace {

/// How /proc/locks calls a file: `08:01:1835`.
std::string name_of(const FileId& file) {
  return fmt::format("{:02x}:{:02x}:{}", major(file.device), minor(file.device), file.inode);
}

}  // namespace

std::string lock_holder(std::span<const FileId> files) {
  // 1: POSIX  ADVISORY  WRITE 812 08:01:1835 1073741825 1073741825
  std::ifstream locks("/proc/locks");
  long holder = 0;
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number;
    std::string kind;
    std::string advice;
    std::string access;
    long process = 0;
    std::string file;
    // Who waits is told by an arrow, and is no holder.
    if (!(words >> number >> kind >> advice >> access >> process >> file)) continue;
    const bool is_meant =
        std::ranges::any_of(files, [&](const FileId& one) { return name_of(one) == file; });
    if (!is_meant || process <= 0 || process == ::getpid()) continue;
    if (holder == 0 || access == "WRITE") holder = process;
    if (access == "WRITE") break;
  }
  if (holder == 0) return {};
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", holder)), name);
  return fmt::format("{} (process {})", name.empty() ? "somebody" : name, holder);
}

}  // namespace calib
