// What POSIX alone does behind base/system.hpp, for macos.cpp and plain_posix.cpp.
#include "base/posix.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/call.hpp"
#include "base/entry_kind.hpp"
#include "base/stop.hpp"
#include "base/system.hpp"

namespace calib::system {
namespace {

// There are no numbers of mounts: what is mounted is another device.
void take(const struct stat& raw, Status& status) {
  status = {};
  status.id = {static_cast<std::uint64_t>(raw.st_dev), raw.st_ino};
  status.mount = status.id.device;
  status.links = raw.st_nlink;
  status.allocated_bytes = static_cast<std::uint64_t>(raw.st_blocks) * 512;
  status.size = static_cast<std::uint64_t>(raw.st_size);
  status.mode = raw.st_mode;
  status.owner = raw.st_uid;
  add_times_and_flags(raw, status);
}

}  // namespace

std::error_code stat_entry(int parent, const char* name, Freshness /*freshness*/, Status& status) {
  struct stat raw {};
  const auto error = attempt([&] { return ::fstatat(parent, name, &raw, AT_SYMLINK_NOFOLLOW); });
  if (!error) take(raw, status);
  return error;
}

std::error_code stat_open(int fd, Freshness /*freshness*/, Status& status) {
  struct stat raw {};
  const auto error = attempt([&] { return ::fstat(fd, &raw); });
  if (!error) take(raw, status);
  return error;
}

std::error_code stat_path(const char* path, Status& status) {
  struct stat raw {};
  const auto error = attempt([&] { return ::stat(path, &raw); });
  if (!error) take(raw, status);
  return error;
}

std::error_code open_directory(int parent, const char* name, AccessTime /*access_time*/, Fd& fd) {
  return open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd);
}

std::error_code open_to_look_up(int parent, const char* name, Links links, Fd& fd) {
#ifdef O_SEARCH
  constexpr int access = O_SEARCH;
#else
  constexpr int access = O_RDONLY;
#endif
  const int flags = access | O_DIRECTORY | O_CLOEXEC;
  const auto error = open_at(parent, name, links == Links::refuse ? flags | O_NOFOLLOW : flags, fd);
  // The way goes on for who looks up names in it, but not for us.
  const bool is_only_unreadable =
      error == std::errc::permission_denied && ::faccessat(parent, name, X_OK, AT_EACCESS) == 0;
  return is_only_unreadable ? errno_code(EOPNOTSUPP) : error;
}

// It reads a copy of the descriptor, which has the same offset, for closedir(3) closes what it has.
struct DirReader::Position {
  struct Close {
    void operator()(DIR* open) const { ::closedir(open); }
  };
  std::unique_ptr<DIR, Close> stream;
};

const unsigned DirReader::own_descriptors = 1;

DirReader::DirReader() : position_(std::make_unique<Position>()) {}

DirReader::~DirReader() = default;

void DirReader::start(int fd) {
  position_->stream.reset();
  error_.clear();
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (copy) position_->stream.reset(::fdopendir(copy.get()));
  if (!position_->stream) {
    error_ = errno_code(errno);
  } else {
    copy.release();
  }
}

void DirReader::restart(int fd) {
  Fd again;
  if (!open_at(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, again)) return start(again.get());
  // Whoever may read it, and not search it, can but rewind.
  const bool is_rewound = ::lseek(fd, 0, SEEK_SET) == 0;
  start(is_rewound ? fd : -1);
}

const DirEntry* DirReader::next() {
  while (!error_ && position_->stream) {
    errno = 0;
    const auto* raw = ::readdir(position_->stream.get());
    if (raw == nullptr) {
      if (errno != 0) error_ = errno_code(errno);
      position_->stream.reset();
      return nullptr;
    }
    const char* name = static_cast<const char*>(raw->d_name);
    if (std::string_view(name) == "." || std::string_view(name) == "..") continue;
    entry_ = {name, raw->d_ino, kind_of_entry(raw->d_type)};
    return &entry_;
  }
  return nullptr;
}

const char* const lock_list = "the list of locks";

std::error_code read_held_locks(std::vector<HeldLock>& /*locks*/) { return errno_code(ENOSYS); }

std::string lock_holder(std::span<const FileId> /*files*/) { return {}; }

// A thread in sigwait(3) takes what no other one can, and waits for nobody.
int wait_for_signal(const sigset_t& suspending, const sigset_t& stopping) {
  sigset_t waited = suspending;
  for (const int signal : stop_signals) {
    if (sigismember(&stopping, signal) == 1) sigaddset(&waited, signal);
  }
  for (int signal = 0;;) {
    if (::sigwait(&waited, &signal) == 0) return signal;
  }
}

bool means_damage(int error) { return error == EIO || error == EBADMSG; }

void give_memory_back() {}

}  // namespace calib::system
