// What macOS has beyond POSIX behind base/system.hpp.
#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string_view>

#include "base/call.hpp"
#include "base/posix.hpp"
#include "base/system.hpp"

namespace calib::system {
namespace {

std::runtime_error untold(const std::string& why) {
  return std::runtime_error(
      fmt::format("mounts cannot be told: {}; run where the system tells all of them", why));
}

FileTime to_time(const timespec& time) { return {time.tv_sec, time.tv_nsec}; }

/// Everything that is mounted, as the kernel knows it: no file server is asked.
std::vector<struct statfs> all_mounts() {
  constexpr std::size_t more = 16;  // may be mounted between the two calls
  std::vector<struct statfs> mounts;
  while (true) {
    const int count = ::getfsstat(nullptr, 0, MNT_NOWAIT);
    if (count <= 0) throw untold(errno_code(errno).message());
    mounts.resize(static_cast<std::size_t>(count) + more);
    const auto bytes = static_cast<int>(mounts.size() * sizeof(struct statfs));
    const int got = ::getfsstat(mounts.data(), bytes, MNT_NOWAIT);
    if (got <= 0) throw untold(errno_code(errno).message());
    if (static_cast<std::size_t>(got) == mounts.size()) continue;
    mounts.resize(static_cast<std::size_t>(got));
    return mounts;
  }
}

/// Where the kernel has the open directory, with a slash at its end.
std::string path_of(int directory, int how) {
  std::array<char, MAXPATHLEN> path{};
  if (::fcntl(directory, how, path.data()) != 0) throw untold(errno_code(errno).message());
  std::string text = path.data();
  if (!text.ends_with('/')) text += '/';
  return text;
}

/// The folder has a second path where a firmlink leads from the system's volume to that of its
/// data.
using Paths = std::array<std::string, 2>;

/// What of `path` is below the folder under either of its paths.
std::string_view below_any(const Paths& folder, std::string_view path) {
  const auto below = way_below(folder[0], path);
  return below.empty() ? way_below(folder[1], path) : below;
}

/// Names are as the system calls its file systems. One that nobody here knows may number its files
/// anew.
FileSystem kind_of(const struct statfs& status) {
  const std::string_view name = status.f_fstypename;
  if (name == "apfs" || name == "hfs") return FileSystem::local;
  if (name == "msdos" || name == "exfat") return FileSystem::fat;
  if (name == "nfs") return FileSystem::other;
  if (name == "smbfs") return FileSystem::smb;
  return name.find("fuse") != std::string_view::npos ? FileSystem::fuse : FileSystem::unknown;
}

}  // namespace

void add_times_and_flags(const struct stat& raw, Status& status) {
  status.set_times(to_time(raw.st_mtimespec), to_time(raw.st_ctimespec),
                   to_time(raw.st_birthtimespec));
  constexpr unsigned fixing = UF_IMMUTABLE | UF_APPEND | SF_IMMUTABLE | SF_APPEND | SF_NOUNLINK;
  status.fixed = (raw.st_flags & fixing) != 0;
}

std::error_code rename_exclusive(int from_parent, const char* from, int to_parent, const char* to) {
  const auto error =
      attempt([&] { return ::renameatx_np(from_parent, from, to_parent, to, RENAME_EXCL); });
  return error == std::errc::not_supported || error == std::errc::operation_not_supported
             ? errno_code(EINVAL)
             : error;
}

// fsync(2) hands it to the disk, which may keep it in its own memory.
std::error_code sync_to_disk(int fd) {
  if (!attempt([&] { return ::fcntl(fd, F_FULLFSYNC); })) return {};
  // Some file systems have no such call: then this is as much as there is to ask.
  return attempt([&] { return ::fsync(fd); });
}

FileSystem file_system_of(int fd) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 ? kind_of(status) : FileSystem::unknown;
}

FileSystem file_system_at(const char* path) {
  struct statfs status {};
  return ::statfs(path, &status) == 0 ? kind_of(status) : FileSystem::unknown;
}

Mounts mounts_below(int directory, std::uint64_t /*mount_id*/) {
  struct statfs own {};
  if (::fstatfs(directory, &own) != 0) throw untold(errno_code(errno).message());
  const Paths folder{path_of(directory, F_GETPATH), path_of(directory, F_GETPATH_NOFIRMLINK)};
  const auto all = all_mounts();
  const std::string_view own_point = own.f_mntonname;
  const bool is_listed = std::any_of(all.begin(), all.end(), [&](const struct statfs& mount) {
    return mount.f_mntonname == own_point;
  });
  const bool is_at_it = std::any_of(folder.begin(), folder.end(), [&](const std::string& path) {
    return path.starts_with(own_point);
  });
  if (!is_listed || !is_at_it) throw untold("the folder's own mount is not listed");
  Mounts mounts;
  // What is behind FUSE its name does not tell.
  const auto kind = kind_of(own);
  if (kind != FileSystem::fuse && kind != FileSystem::unknown) mounts.type = own.f_fstypename;
  for (const auto& mount : all) {
    const std::string point(below_any(folder, mount.f_mntonname));
    mounts.points.push_back(point);
    mounts.entries.push_back(first_component(point));
    // What one directory shows of another.
    mounts.entries.push_back(first_component(below_any(folder, mount.f_mntfromname)));
  }
  mounts.sort_out();
  return mounts;
}

std::string device_text(std::uint64_t device) {
  const auto number = static_cast<std::uint32_t>(device);
  return fmt::format("{}:{}", major(number), minor(number));
}

// Homebrew keeps libpq where the loader does not look: beside what the system might have.
std::vector<std::string> library_names(const std::string& name, int version) {
  const auto file = fmt::format("lib{}.{}.dylib", name, version);
  return {file, fmt::format("/opt/homebrew/opt/lib{}/lib/{}", name, file),
          fmt::format("/usr/local/opt/lib{}/lib/{}", name, file)};
}

}  // namespace calib::system
