#include "base/dir_io.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <limits>

namespace calib {

namespace {

// Large enough for some two thousand names at a time, small enough for one in each thread.
constexpr std::size_t buffer_size = 64UL * 1024;

constexpr unsigned status_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_INO |
                                 STATX_SIZE | STATX_BLOCKS | STATX_MTIME | STATX_CTIME |
                                 STATX_BTIME | STATX_MNT_ID;

template <typename Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

template <typename Call>
std::error_code attempt(Call call) {
  return retry(call) < 0 ? errno_code(errno) : std::error_code{};
}

Instant to_instant(const statx_timestamp& time) {
  using std::chrono::microseconds;
  using std::chrono::nanoseconds;
  using std::chrono::seconds;
  // Some file systems store any 64-bit second; beyond microseconds' range it is cut, not wrapped.
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1'000'000 - 1;
  const seconds whole{std::clamp<std::int64_t>(time.tv_sec, -most, most)};
  return Instant{whole + std::chrono::ceil<microseconds>(nanoseconds{time.tv_nsec})};
}

std::error_code look_with(int parent, const char* name, int flags, Status& status) {
  struct statx raw = {};
  const auto error = attempt([&] {
    return ::statx(parent, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, status_mask, &raw);
  });
  // A filter of system calls that does not know statx(2), which itself never answers so.
  if (error == std::errc::operation_not_permitted) return errno_code(ENOSYS);
  if (error) return error;
  if ((raw.stx_mask & STATX_MNT_ID) == 0) return errno_code(ENOSYS);
  status.id = {makedev(raw.stx_dev_major, raw.stx_dev_minor), raw.stx_ino};
  status.mount = raw.stx_mnt_id;
  status.links = raw.stx_nlink;
  status.allocated_bytes = raw.stx_blocks * 512;
  status.size = raw.stx_size;
  status.changed = std::max(to_instant(raw.stx_mtime), to_instant(raw.stx_ctime));
  // Some file systems do not know it and say 1970.
  const bool knows_birth = (raw.stx_mask & STATX_BTIME) != 0 && raw.stx_btime.tv_sec > 0;
  status.born = knows_birth ? to_instant(raw.stx_btime) : status.changed;
  status.mode = raw.stx_mode;
  status.owner = raw.stx_uid;
  status.mount_root = (raw.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  status.fixed = (raw.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0;
  return {};
}

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

std::error_code open_at(int parent, const char* name, int flags, Fd& fd) {
  const int opened = retry([&] { return ::openat(parent, name, directory_flags | flags); });
  if (opened < 0) return errno_code(errno);
  fd = Fd(opened);
  return {};
}

// Whether there is openat2(2). Linux before 5.6 does not know it (ENOSYS), and filters of system
// calls that do not either answer EPERM.
std::atomic<bool> has_openat2{true};

// Opens the directory `name` of `parent`, no link. What is mounted there is not touched (EXDEV):
// who answers for it may be gone, and opening it would wait for him. Without openat2(2) the caller
// has to look where he has got to.
std::error_code open_on_mount(int parent, const char* name, int flags, Fd& fd) {
  flags |= O_NOFOLLOW;
  if (!has_openat2) return open_at(parent, name, flags, fd);
  struct open_how how {};
  how.flags = static_cast<unsigned>(directory_flags | flags);
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const auto opened = retry([&] { return ::syscall(SYS_openat2, parent, name, &how, sizeof how); });
  if (opened >= 0) {
    fd = Fd(static_cast<int>(opened));
    return {};
  }
  const auto error = errno_code(errno);
  // EPERM is also what O_NOATIME gives for what belongs to somebody else.
  const bool may_be_missing =
      error == std::errc::function_not_supported ||
      (error == std::errc::operation_not_permitted && (flags & O_NOATIME) == 0);
  if (!may_be_missing) return error;
  const auto otherwise = open_at(parent, name, flags, fd);
  if (!otherwise) has_openat2 = false;
  return otherwise;
}

bool knows_no_links(const std::error_code& error) {
  return error == std::errc::operation_not_permitted ||
         error == std::errc::function_not_supported || error == std::errc::operation_not_supported;
}

// For file systems that know no RENAME_NOREPLACE. A second link to a file fails where its name is
// taken, so nothing is overwritten. A directory has no second link; between the check and the
// rename it could only take the place of an empty directory. A file on a file system without links
// either (s3fs, rclone) could take the place of one that comes between the two: there is nothing
// better, and else what a killed pass has left would stay aside for ever.
std::error_code rename_checked(int from_parent, const char* from, int to_parent, const char* to) {
  Status status;
  if (const auto error = stat_at(from_parent, from, status)) return error;
  if (!status.is_directory()) {
    const auto error = attempt([&] { return ::linkat(from_parent, from, to_parent, to, 0); });
    if (!error) return remove_file(from_parent, from);
    if (!knows_no_links(error)) return error;
  }
  const auto error = stat_at(to_parent, to, status);
  if (!error) return errno_code(EEXIST);
  if (error != std::errc::no_such_file_or_directory) return error;
  const auto refused = attempt([&] { return ::renameat(from_parent, from, to_parent, to); });
  // rename(2): either of them says that a directory with something in it has come there.
  return refused == std::errc::directory_not_empty ? errno_code(EEXIST) : refused;
}

}  // namespace

std::error_code errno_code(int error) { return {error, std::generic_category()}; }

bool is_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

std::error_code open_folder(const char* path, Fd& fd, Status& status) {
  if (const auto error = open_at(AT_FDCWD, path, 0, fd)) return error;
  return stat_at(fd.get(), status);
}

std::error_code open_directory(int parent, const char* name, std::uint64_t mount,
                               AccessTime access_time, Fd& fd, Status& status) {
  Fd opened;
  auto error = errno_code(EPERM);
  if (access_time == AccessTime::keep) {
    error = open_on_mount(parent, name, O_NOATIME, opened);
  }
  if (error == std::errc::operation_not_permitted) {
    error = open_on_mount(parent, name, 0, opened);
  }
  if (error == std::errc::too_many_symbolic_link_levels) return errno_code(ENOTDIR);
  if (error) return error;
  if (const auto unknown = stat_at(opened.get(), status)) return unknown;
  if (status.mount != mount) return errno_code(EXDEV);
  fd = std::move(opened);
  return {};
}

std::error_code stat_at(int parent, const char* name, Status& status) {
  return look_with(parent, name, 0, status);
}

std::error_code stat_at(int fd, Status& status) { return look_with(fd, "", AT_EMPTY_PATH, status); }

std::error_code stat_cached(int parent, const char* name, Status& status) {
  return look_with(parent, name, AT_STATX_DONT_SYNC, status);
}

std::error_code check_access(int directory, int how) {
  const auto error = attempt([&] { return ::faccessat(directory, ".", how, AT_EACCESS); });
  // Also what filters of system calls answer that do not know faccessat2(2). The older call asks
  // for the real user, who mostly is the effective one.
  const bool is_one_user = ::geteuid() == ::getuid() && ::getegid() == ::getgid();
  if (error != std::errc::operation_not_permitted || !is_one_user) return error;
  return attempt([&] { return ::faccessat(directory, ".", how, 0); });
}

std::error_code remove_file(int parent, const char* name) {
  return attempt([&] { return ::unlinkat(parent, name, 0); });
}

std::error_code remove_directory(int parent, const char* name) {
  return attempt([&] { return ::unlinkat(parent, name, AT_REMOVEDIR); });
}

std::error_code rename_new(int from_parent, const char* from, int to_parent, const char* to) {
  const auto error =
      attempt([&] { return ::renameat2(from_parent, from, to_parent, to, RENAME_NOREPLACE); });
  if (error != std::errc::invalid_argument) return error;
  return rename_checked(from_parent, from, to_parent, to);
}

std::error_code lock_directory(int fd) {
  return attempt([&] { return ::flock(fd, LOCK_EX | LOCK_NB); });
}

std::error_code sync_directory(int fd) {
  const auto error = attempt([&] { return ::fsync(fd); });
  const bool is_unknown = error == std::errc::invalid_argument ||
                          error == std::errc::function_not_supported ||
                          error == std::errc::operation_not_supported;
  return is_unknown ? std::error_code{} : error;
}

DirReader::DirReader() : buffer_(std::make_unique_for_overwrite<std::byte[]>(buffer_size)) {}

void DirReader::start(int fd) {
  fd_ = fd;
  filled_ = 0;
  position_ = 0;
  error_.clear();
}

void DirReader::restart(int fd) {
  const auto error = open_at(fd, ".", 0, again_);
  start(error ? fd : again_.get());
  // Whoever may read it, and not search it, can but rewind.
  if (error && ::lseek(fd, 0, SEEK_SET) < 0) error_ = errno_code(errno);
}

const dirent64* DirReader::next() {
  while (!error_) {
    if (position_ == filled_) {
      const auto got = retry([&] { return ::getdents64(fd_, buffer_.get(), buffer_size); });
      if (got < 0) error_ = errno_code(errno);
      if (got <= 0) return nullptr;
      filled_ = static_cast<std::size_t>(got);
      position_ = 0;
    }
    const auto* entry = reinterpret_cast<const dirent64*>(buffer_.get() + position_);
    position_ += entry->d_reclen;
    const std::string_view name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") return entry;
  }
  return nullptr;
}

}  // namespace calib
