#include "store/sqlite/own_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/dir_io.hpp"
#include "base/fd.hpp"
#include "base/system.hpp"
#include "model/pass_error.hpp"

namespace calib::sqlite {
namespace {

using Clock = std::chrono::steady_clock;

// Where SQLite has its locks (os.h and os_unix.c of its source): whoever has a database open in
// write-ahead mode holds the first in the database, and has the second in its -shm file.
constexpr off_t shared_first = 0x40000002;
constexpr off_t shared_size = 510;
constexpr off_t in_use_byte = 128;

// Who opens or closes a database has one of the two for a moment.
constexpr std::chrono::milliseconds settling_time{1000};
constexpr std::chrono::milliseconds look_interval{5};

PassError unusable(const std::string& path, const std::string& text) {
  return {PassError::Kind::unusable, path, text};
}

PassError cannot_look(const std::string& path, int error) {
  return unusable(path, fmt::format("whether the database is open under another name cannot be "
                                    "told: {}; see to it that this user may read it, and run again",
                                    std::generic_category().message(error)));
}

/// What cannot be opened by SQLite either, which says so.
bool is_left_to_sqlite(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory ||
         error == std::errc::permission_denied || error == std::errc::too_many_symbolic_link_levels;
}

Fd open_to_look(const std::string& path, int flags) {
  return Fd(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
}

/// Bytes 18 and 19: the versions that may write and read it (https://www.sqlite.org/fileformat2).
bool is_in_write_ahead_mode(const Fd& file, const std::string& path) {
  constexpr off_t versions_at = 18;
  constexpr unsigned char write_ahead = 2;
  std::array<unsigned char, 2> versions{};
  const auto got = ::pread(file.get(), versions.data(), versions.size(), versions_at);
  if (got < 0) throw cannot_look(path, errno);
  return std::find(versions.begin(), versions.end(), write_ahead) != versions.end();
}

/// The kind of lock that another process has there: F_RDLCK, F_WRLCK, or F_UNLCK for none.
short lock_of_others(const Fd& file, const std::string& path, off_t first, off_t size) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = size;
  if (::fcntl(file.get(), F_GETLK, &lock) != 0) throw cannot_look(path, errno);
  return lock.l_type;
}

/// Whether each process that has the database open uses the log beside it, as far as the kernel
/// shows them: those of other containers it does not show.
bool is_log_everybodys(const Fd& database, const Fd& shared, const std::string& path) {
  struct stat of_database {};
  struct stat of_log {};
  if (::fstat(database.get(), &of_database) != 0 || ::fstat(shared.get(), &of_log) != 0) {
    throw cannot_look(path, errno);
  }
  std::vector<HeldLock> locks;
  const auto error = system::read_held_locks(locks);
  if (error == std::errc::function_not_supported) {
    throw unusable(path,
                   "the database is in write-ahead mode and open elsewhere, and this system "
                   "does not tell whether under this name; stop the app and run again");
  }
  if (error) throw cannot_look(system::lock_list, error.value());
  std::erase_if(locks, [](const HeldLock& lock) { return lock.kind != "POSIX"; });
  // By the inode's number alone, for the device is not the same everywhere.
  return std::all_of(locks.begin(), locks.end(), [&](const HeldLock& lock) {
    if (lock.inode != of_database.st_ino || lock.first != shared_first) return true;
    return std::any_of(locks.begin(), locks.end(), [&](const HeldLock& other) {
      return other.process == lock.process && other.inode == of_log.st_ino &&
             other.first == in_use_byte;
    });
  });
}

/// Whether somebody uses the log beside the database, and nobody another one.
bool is_log_in_use(const Fd& database, const std::string& path) {
  const auto shared = path + "-shm";
  const auto file = open_to_look(shared, O_RDONLY);
  if (!file && errno == ENOENT) return false;
  if (!file && errno == EACCES) return true;  // then SQLite says so
  if (!file) throw cannot_look(shared, errno);
  struct stat log {};
  return lock_of_others(file, shared, in_use_byte, 1) != F_UNLCK &&
         ::stat((path + "-wal").c_str(), &log) == 0 && is_log_everybodys(database, file, path);
}

bool is_open_with_another_log(const Fd& file, const std::string& path, const StopFlag& stop) {
  const auto until = Clock::now() + settling_time;
  // Whoever has it to himself lets nobody in, and SQLite waits for him.
  while (lock_of_others(file, path, shared_first, shared_size) == F_RDLCK &&
         !is_log_in_use(file, path)) {
    if (Clock::now() >= until) return true;
    throw_if_requested(stop);
    std::this_thread::sleep_for(look_interval);
  }
  return false;
}

/// Whether the file is a mount point, or is mounted somewhere else, without what stands beside it.
bool is_mounted_alone(const std::filesystem::path& real) {
  const auto folder_path = real.parent_path().string();
  Fd folder;
  auto unseen =
      system::open_to_look_up(AT_FDCWD, folder_path.c_str(), system::Links::refuse, folder);
  Status status;
  if (!unseen) unseen = stat_at(folder.get(), status);
  if (unseen) throw cannot_look(folder_path, unseen.value());
  try {
    const auto names = system::mounts_below(folder.get(), status.mount).entries;
    return std::binary_search(names.begin(), names.end(), real.filename().string());
  } catch (const std::runtime_error& error) {
    throw unusable(folder_path, error.what());
  }
}

}  // namespace

void require_own_log(const std::filesystem::path& database, const StopFlag& stop) {
  std::error_code error;
  const auto real = std::filesystem::canonical(database, error);
  if (is_left_to_sqlite(error)) return;
  if (error) throw cannot_look(database.string(), error.value());
  // Of what is no file, it is said elsewhere that it is no database.
  if (std::filesystem::status(real, error).type() != std::filesystem::file_type::regular &&
      !error) {
    return;
  }
  const auto path = real.string();
  const auto file = open_to_look(path, O_RDONLY);
  if (!file && is_left_to_sqlite(errno_code(errno))) return;
  if (!file) throw cannot_look(path, errno);
  if (!is_in_write_ahead_mode(file, path)) return;
  const auto named = std::filesystem::absolute(database).string();
  if (is_mounted_alone(real)) {
    throw unusable(named,
                   "the database is in write-ahead mode, and its file is mounted alone, there or "
                   "from there: part of it may be in a log beside the other name; mount its whole "
                   "folder instead");
  }
  if (is_open_with_another_log(file, path, stop)) {
    throw unusable(named,
                   "the database is in write-ahead mode, and whoever has it open does not use the "
                   "log beside it: it is open under another name (mount its whole folder there, "
                   "not the file), or its -wal or -shm was removed (restart the app)");
  }
}

}  // namespace calib::sqlite
