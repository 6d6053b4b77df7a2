// What Linux tells in /proc (proc(5)): what is mounted, and who has locks.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/call.hpp"
#include "base/fd.hpp"
#include "base/system.hpp"

namespace calib::system {
namespace {

constexpr const char* mount_list = "/proc/self/mountinfo";

// What the kernel adds to the path of what has been removed: in links of /proc/pid/fd, and, where
// no path goes on, in mountinfo.
constexpr std::string_view removed_link = " (deleted)";
constexpr std::string_view removed_root = "//deleted";

std::runtime_error without_proc(const std::string& file, const std::error_code& error) {
  return std::runtime_error(
      fmt::format("mounts cannot be told without /proc ({}: {}); mount it there (mount -t proc "
                  "proc /proc)",
                  file, error.message()));
}

std::runtime_error untold(const std::string& why) {
  return std::runtime_error(
      fmt::format("mounts cannot be told: {}; run where the kernel tells all of them", why));
}

/// mountinfo writes blanks, tabs, newlines and backslashes as three octal digits.
std::string unescaped(const std::string& field) {
  const auto digit = [&](std::size_t at, char most) {
    return at < field.size() && field[at] >= '0' && field[at] <= most;
  };
  std::string text;
  for (std::size_t at = 0; at < field.size(); ++at) {
    if (field[at] == '\\' && digit(at + 1, '3') && digit(at + 2, '7') && digit(at + 3, '7')) {
      const int value =
          (field[at + 1] - '0') * 64 + (field[at + 2] - '0') * 8 + (field[at + 3] - '0');
      text += static_cast<char>(static_cast<unsigned char>(value));
      at += 3;
    } else {
      text += field[at];
    }
  }
  return text;
}

/// The first fields of a line of mountinfo.
struct Mount {
  std::uint64_t id = 0;
  std::string device;
  std::string root;   ///< what is mounted, in its file system
  std::string point;  ///< where
  std::string type;   ///< of its file system
};

std::optional<Mount> mount_in(const std::string& line) {
  std::istringstream fields(line);
  Mount mount;
  std::string id;
  std::string parent;
  // One blank apart; a carriage return or the like is part of a name.
  for (auto* field : {&id, &parent, &mount.device, &mount.root, &mount.point}) {
    if (!std::getline(fields, *field, ' ') || field->empty()) return std::nullopt;
  }
  const auto* const end = id.data() + id.size();
  const auto parsed = std::from_chars(id.data(), end, mount.id);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  // What is optional ends with a dash.
  constexpr std::string_view dash = " - ";
  const auto optional = line.find(dash);
  if (mount.device.find(':') == std::string::npos || mount.point.front() != '/' ||
      optional == std::string::npos) {
    return std::nullopt;
  }
  const auto type = optional + dash.size();
  mount.type = line.substr(type, line.find(' ', type) - type);
  mount.root = unescaped(mount.root);
  mount.point = unescaped(mount.point);
  return mount;
}

/// The whole list, as one reading has it.
std::string list_text() {
  const Fd fd(::open(mount_list, O_RDONLY | O_CLOEXEC));
  if (!fd) throw without_proc(mount_list, errno_code(errno));
  constexpr std::size_t part = 64UL * 1024;
  std::string text;
  while (true) {
    const auto size = text.size();
    text.resize(size + part);
    const auto got = retry([&] { return ::read(fd.get(), text.data() + size, part); });
    text.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) throw without_proc(mount_list, errno_code(errno));
    if (got == 0) return text;
  }
}

std::vector<Mount> all_mounts() {
  const auto text = list_text();
  if (text.empty()) throw untold(fmt::format("{} is empty", mount_list));
  if (!text.ends_with('\n')) throw untold(fmt::format("{} ends within a line", mount_list));
  std::vector<Mount> mounts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto mount = mount_in(line);
    if (!mount) throw untold(fmt::format("{} has a line of another form ({})", mount_list, line));
    mounts.push_back(std::move(*mount));
  }
  return mounts;
}

/// Where the kernel has the open directory.
std::string path_of(int directory) {
  const auto link = fmt::format("/proc/self/fd/{}", directory);
  std::error_code error;
  auto path = std::filesystem::read_symlink(link, error).string();
  if (error == std::errc::filename_too_long) {
    throw untold("the path of the folder is longer than the kernel tells");
  }
  if (error) throw without_proc(link, error);
  if (!path.starts_with('/')) throw untold(fmt::format("the kernel has the folder at {}", path));
  if (!path.ends_with(removed_link)) return path;
  // Or it has that name.
  Status opened;
  Status standing;
  if (stat_open(directory, Freshness::now, opened) ||
      stat_entry(AT_FDCWD, path.c_str(), Freshness::now, standing) || opened.id != standing.id) {
    throw std::runtime_error("the folder was removed while it was looked at; run again");
  }
  return path;
}

std::string with_slash(const std::string& path) { return path.ends_with('/') ? path : path + '/'; }

/// Whether the process has its root within this mount (chroot(2)), which is not listed then.
bool holds_root(std::uint64_t mount_id) {
  Status root;
  return !stat_entry(AT_FDCWD, "/", Freshness::now, root) && root.mount == mount_id &&
         !root.mount_root;
}

/// Tells which entry of the folder is mounted somewhere else, or is on the way to what is.
class Origins {
 public:
  Origins(const std::vector<Mount>& mounts, std::uint64_t mount_id, const std::string& folder) {
    const auto own = std::find_if(mounts.begin(), mounts.end(),
                                  [&](const Mount& mount) { return mount.id == mount_id; });
    if (own != mounts.end()) {
      const auto point = with_slash(own->point);
      if (!folder.starts_with(point)) {
        throw untold(fmt::format("{} has the folder's mount at {}", mount_list, own->point));
      }
      device_ = own->device;
      type_ = own->type;
      inside_ = with_slash(own->root) + folder.substr(point.size());
    } else if (holds_root(mount_id)) {
      inside_ = folder;
    } else {
      throw untold(fmt::format("{} does not list the folder's own mount", mount_list));
    }
  }

  [[nodiscard]] const std::string& type() const { return type_; }

  [[nodiscard]] std::string entry_of(const Mount& mount) const {
    if (mount.root.ends_with(removed_root)) return {};
    if (device_) {
      return mount.device == *device_ ? first_component(way_below(inside_, mount.root))
                                      : std::string();
    }
    // Behind the unknown way from the root of the file system to that of the process.
    const auto at = mount.root.find(inside_);
    if (at == std::string::npos) return {};
    return first_component(std::string_view(mount.root).substr(at + inside_.size()));
  }

 private:
  std::optional<std::string> device_;  ///< nothing where it is not known
  std::string type_;
  std::string inside_;  ///< the folder in its file system, or the end of that, with a slash
};

/// How /proc/locks calls a file.
std::string name_of(const FileId& file) {
  return fmt::format("{:02x}:{:02x}:{}", major(file.device), minor(file.device), file.inode);
}

}  // namespace

Mounts mounts_below(int directory, std::uint64_t mount_id) {
  const auto folder = with_slash(path_of(directory));
  const auto all = all_mounts();
  const Origins origins(all, mount_id, folder);
  Mounts mounts;
  mounts.type = origins.type();
  for (const auto& mount : all) {
    const auto point = way_below(folder, mount.point);
    mounts.points.emplace_back(point);
    mounts.entries.push_back(first_component(point));
    mounts.entries.push_back(origins.entry_of(mount));
  }
  mounts.sort_out();
  return mounts;
}

const char* const lock_list = "/proc/locks";

std::error_code read_held_locks(std::vector<HeldLock>& locks) {
  // 1: POSIX  ADVISORY  WRITE 812 08:01:1835 1073741825 1073741825
  std::ifstream list(lock_list);
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

}  // namespace calib::system
