#include "base/lock_holder.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <utility>

namespace calib {
namespace {

/// How /proc/locks calls a file.
std::string name_of(const FileId& file) {
  return fmt::format("{:02x}:{:02x}:{}", major(file.device), minor(file.device), file.inode);
}

}  // namespace

std::error_code read_held_locks(std::vector<HeldLock>& locks) {
  // 1: POSIX  ADVISORY  WRITE 812 08:01:1835 1073741825 1073741825
  std::ifstream list("/proc/locks");
  if (!list) return errno_code(errno);
  for (std::string line; std::getline(list, line);) {
    std::istringstream words(line);
    std::string number;
    std::string advice;
    HeldLock lock;
    // Who waits for one has `->` before the kind, and so no number where the process stands.
    if (!(words >> number >> lock.kind >> advice >> lock.access >> lock.process >> lock.file >>
          lock.first)) {
      continue;
    }
    const auto inode = lock.file.rfind(':') + 1;
    const auto* const end = lock.file.data() + lock.file.size();
    if (std::from_chars(lock.file.data() + inode, end, lock.inode).ptr == end) {
      locks.push_back(std::move(lock));
    }
  }
  return {};
}

std::string lock_holder(std::span<const FileId> files) {
  std::vector<HeldLock> locks;
  if (read_held_locks(locks)) return {};
  long holder = 0;
  for (const auto& lock : locks) {
    const bool is_meant =
        std::ranges::any_of(files, [&](const FileId& one) { return name_of(one) == lock.file; });
    if (!is_meant || lock.process <= 0 || lock.process == ::getpid()) continue;
    if (holder == 0 || lock.access == "WRITE") holder = lock.process;
    if (lock.access == "WRITE") break;
  }
  if (holder == 0) return {};
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", holder)), name);
  return fmt::format("{} (process {})", name.empty() ? "somebody" : name, holder);
}

}  // namespace calib
