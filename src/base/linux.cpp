// Linux's own calls behind base/system.hpp.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>

#include "base/call.hpp"
#include "base/entry_kind.hpp"
#include "base/stop.hpp"
#include "base/system.hpp"

namespace calib::system {
namespace {

constexpr unsigned status_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_INO |
                                 STATX_SIZE | STATX_BLOCKS | STATX_MTIME | STATX_CTIME |
                                 STATX_BTIME | STATX_MNT_ID;

FileTime to_time(const statx_timestamp& time) { return {time.tv_sec, time.tv_nsec}; }

std::error_code look_with(int parent, const char* name, int flags, Status& status) {
  struct statx raw = {};
  const auto error = attempt([&] { return ::statx(parent, name, flags, status_mask, &raw); });
  // A filter of system calls that does not know statx(2), which itself never answers so.
  if (error == std::errc::operation_not_permitted) return errno_code(ENOSYS);
  if (error) return error;
  if ((raw.stx_mask & STATX_MNT_ID) == 0) return errno_code(ENOSYS);
  status.id = {makedev(raw.stx_dev_major, raw.stx_dev_minor), raw.stx_ino};
  status.mount = raw.stx_mnt_id;
  status.links = raw.stx_nlink;
  status.allocated_bytes = raw.stx_blocks * 512;
  status.size = raw.stx_size;
  const bool knows_birth = (raw.stx_mask & STATX_BTIME) != 0;
  status.set_times(to_time(raw.stx_mtime), to_time(raw.stx_ctime),
                   knows_birth ? std::optional(to_time(raw.stx_btime)) : std::nullopt);
  status.mode = raw.stx_mode;
  status.owner = raw.stx_uid;
  status.mount_root = (raw.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  status.fixed = (raw.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0;
  return {};
}

int flags_of(Freshness freshness) {
  return AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT |
         (freshness == Freshness::cached ? AT_STATX_DONT_SYNC : AT_STATX_SYNC_AS_STAT);
}

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// Whether there is openat2(2). Linux before 5.6 does not know it (ENOSYS), and filters of system
// calls that do not either answer EPERM.
std::atomic<bool> has_openat2{true};

// What is mounted there is not touched (EXDEV): who answers for it may be gone, and opening it
// would wait for him.
std::error_code open_on_mount(int parent, const char* name, int flags, Fd& fd) {
  flags |= directory_flags;
  if (!has_openat2) return open_at(parent, name, flags, fd);
  struct open_how how {};
  how.flags = static_cast<unsigned>(flags);
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

// Of these linux/magic.h has no name, or not in Debian 12 yet.
constexpr std::uint64_t bcachefs = 0xca451a4e;
constexpr std::uint64_t cifs = 0xff534d42;
constexpr std::uint64_t fuse = 0x65735546;
constexpr std::uint64_t jfs = 0x3153464a;
constexpr std::uint64_t smb2 = 0xfe534d42;
constexpr std::uint64_t zfs = 0x2fc12fc1;

FileSystem kind_of(std::uint64_t magic) {
  switch (magic & 0xffffffffU) {
    case BTRFS_SUPER_MAGIC:
      return FileSystem::btrfs;
    case OVERLAYFS_SUPER_MAGIC:
      return FileSystem::overlay;
    case EXFAT_SUPER_MAGIC:
    case MSDOS_SUPER_MAGIC:
      return FileSystem::fat;
    case EXT4_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case NILFS_SUPER_MAGIC:
    case RAMFS_MAGIC:
    case REISERFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case XFS_SUPER_MAGIC:
    case bcachefs:
    case jfs:
    case zfs:
      return FileSystem::local;
    case fuse:
      return FileSystem::fuse;
    case V9FS_MAGIC:
    case SMB_SUPER_MAGIC:
    case cifs:
    case smb2:
      return FileSystem::smb;
    default:
      return FileSystem::other;
  }
}

/// The one of `stopping` that is pending at two looks in a row, for nobody else takes it; 0 for
/// none. `before`: the one of the last look.
int taken_from_pending(const sigset_t& stopping, int& before) {
  const int waiting = std::exchange(before, 0);
  sigset_t pending;
  if (::sigpending(&pending) != 0) return 0;
  for (const int signal : stop_signals) {
    if (::sigismember(&pending, signal) != 1 || ::sigismember(&stopping, signal) != 1) continue;
    if (signal != waiting) {
      before = signal;
      return 0;
    }
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, signal);
    constexpr timespec at_once{0, 0};
    return ::sigtimedwait(&one, nullptr, &at_once) == signal ? signal : 0;
  }
  return 0;
}

}  // namespace

std::error_code stat_entry(int parent, const char* name, Freshness freshness, Status& status) {
  return look_with(parent, name, flags_of(freshness), status);
}

std::error_code stat_open(int fd, Freshness freshness, Status& status) {
  return look_with(fd, "", AT_EMPTY_PATH | flags_of(freshness), status);
}

std::error_code stat_path(const char* path, Status& status) {
  return look_with(AT_FDCWD, path, 0, status);
}

std::error_code open_directory(int parent, const char* name, AccessTime access_time, Fd& fd) {
  auto error = errno_code(EPERM);
  if (access_time == AccessTime::keep) error = open_on_mount(parent, name, O_NOATIME, fd);
  if (error == std::errc::operation_not_permitted) error = open_on_mount(parent, name, 0, fd);
  return error;
}

std::error_code open_to_look_up(int parent, const char* name, Links links, Fd& fd) {
  const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  return open_at(parent, name, links == Links::refuse ? flags | O_NOFOLLOW : flags, fd);
}

std::error_code rename_exclusive(int from_parent, const char* from, int to_parent, const char* to) {
  return attempt([&] { return ::renameat2(from_parent, from, to_parent, to, RENAME_NOREPLACE); });
}

std::error_code sync_to_disk(int fd) {
  return attempt([&] { return ::fsync(fd); });
}

// All that one call gets stays in the buffer until it has been handed out.
struct DirReader::Position {
  // Large enough for some two thousand names at a time, small enough for one in each thread.
  static constexpr std::size_t size = 64UL * 1024;
  std::unique_ptr<std::byte[]> buffer = std::make_unique_for_overwrite<std::byte[]>(size);
  int fd = -1;
  std::size_t filled = 0;
  std::size_t at = 0;
  Fd again;
};

const unsigned DirReader::own_descriptors = 0;

DirReader::DirReader() : position_(std::make_unique<Position>()) {}

DirReader::~DirReader() = default;

void DirReader::start(int fd) {
  position_->fd = fd;
  position_->filled = 0;
  position_->at = 0;
  error_.clear();
}

void DirReader::restart(int fd) {
  auto& again = position_->again;
  const auto error = open_at(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, again);
  start(error ? fd : again.get());
  // Whoever may read it, and not search it, can but rewind.
  if (error && ::lseek(fd, 0, SEEK_SET) < 0) error_ = errno_code(errno);
}

const DirEntry* DirReader::next() {
  auto& position = *position_;
  auto* const buffer = position.buffer.get();
  while (!error_) {
    if (position.at == position.filled) {
      const auto got = retry([&] { return ::getdents64(position.fd, buffer, Position::size); });
      if (got < 0) error_ = errno_code(errno);
      if (got <= 0) return nullptr;
      position.filled = static_cast<std::size_t>(got);
      position.at = 0;
    }
    const auto* raw = reinterpret_cast<const dirent64*>(buffer + position.at);
    position.at += raw->d_reclen;
    const char* name = static_cast<const char*>(raw->d_name);
    if (std::string_view(name) == "." || std::string_view(name) == "..") continue;
    entry_ = {name, raw->d_ino, kind_of_entry(raw->d_type)};
    return &entry_;
  }
  return nullptr;
}

FileSystem file_system_of(int fd) {
  struct statfs status {};
  if (::fstatfs(fd, &status) != 0) return FileSystem::unknown;
  return kind_of(static_cast<std::uint64_t>(status.f_type));
}

FileSystem file_system_at(const char* path) {
  struct statfs status {};
  if (::statfs(path, &status) != 0) return FileSystem::unknown;
  return kind_of(static_cast<std::uint64_t>(status.f_type));
}

std::string device_text(std::uint64_t device) {
  return fmt::format("{}:{}", major(device), minor(device));
}

// Where every thread that could run a handler waits for a file server, a signal stays pending, and
// one of the same number that follows would be lost.
int wait_for_signal(const sigset_t& suspending, const sigset_t& stopping) {
  constexpr timespec between_looks{0, 100'000'000};
  for (int pending = 0;;) {
    const int signal = ::sigtimedwait(&suspending, nullptr, &between_looks);
    if (signal > 0) return signal;
    if (errno != EAGAIN) continue;
    if (const int taken = taken_from_pending(stopping, pending)) return taken;
  }
}

bool means_damage(int error) { return error == EIO || error == EUCLEAN || error == EBADMSG; }

// By default the GNU C library sees large blocks come and go, and keeps larger ones from then on.
void give_memory_back() {
#ifdef __GLIBC__
  constexpr int max_kept = 1 << 20;
  static_cast<void>(::mallopt(M_MMAP_THRESHOLD, max_kept));
  // A threshold that is set is no longer raised by itself, so that what each slice takes for
  // SQLite's pages would go back and come anew, page by page.
  constexpr int max_unused = 8 << 20;
  static_cast<void>(::mallopt(M_TRIM_THRESHOLD, max_unused));
#endif
}

std::vector<std::string> library_names(const std::string& name, int version) {
  return {fmt::format("lib{}.so.{}", name, version)};
}

}  // namespace calib::system
