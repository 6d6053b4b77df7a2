// All that differs between systems. Nothing else in src/ knows what it runs on: linux.cpp and
// linux_proc.cpp have these functions for Linux; macos.cpp, and plain_posix.cpp where there is no
// more than POSIX, have them together with posix.cpp. CALIB_CLEANUP_SYSTEM of the build chooses.
//
// The promises are the same everywhere. Where a system cannot keep one it says so, and whoever asks
// takes what he is not told for the worst.
#pragma once

#include <csignal>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "base/fd.hpp"
#include "base/mounts.hpp"
#include "base/status.hpp"

namespace calib {

/// Whether reading a directory may set its access time.
enum class AccessTime { set, keep };

/// Whether a look may be content with what the system has cached: for sizes and names, not for
/// decisions on identity. Nobody is waited for then who does not answer.
enum class Freshness { now, cached };

/// What kind of file system it is, as far as it matters to anybody.
enum class FileSystem {
  unknown,  ///< the system does not tell
  local,    ///< on a disk or in the memory of this machine: nobody else changes what is in it
  btrfs,    ///< local
  overlay,  ///< local
  fat,      ///< local; a file gets another number when it is met again
  fuse,
  smb,    ///< or 9P: a file gets another number as well
  other,  ///< NFS, or nobody here has heard of it
};

/// Whether it is on this machine. False where the kind is not known: then others may change what is
/// in it, what the system has cached may be old, and an answer may take its time.
constexpr bool is_local(FileSystem kind) {
  return kind == FileSystem::local || kind == FileSystem::btrfs || kind == FileSystem::overlay ||
         kind == FileSystem::fat;
}

/// A lock that somebody has on a file.
struct HeldLock {
  std::string kind;    ///< `POSIX`, `FLOCK`, `OFDLCK` …
  std::string access;  ///< `READ` or `WRITE`
  long process = 0;    ///< not above 0 where it is nobody's alone
  std::string file;    ///< device and inode, as the system writes them
  std::uint64_t inode = 0;
  std::int64_t first = 0;  ///< the first byte
};

}  // namespace calib

namespace calib::system {

/// Looks at `name` in the directory `parent`, never through a link. ENOSYS where the system cannot
/// tell mounts apart.
std::error_code stat_entry(int parent, const char* name, Freshness freshness, Status& status);
/// Looks at what is open.
std::error_code stat_open(int fd, Freshness freshness, Status& status);
/// Looks at what stands at the end of the path, wherever links lead.
std::error_code stat_path(const char* path, Status& status);

/// Opens the directory `name` of `parent` to read it, never a link (ELOOP or ENOTDIR). What is
/// mounted there is not touched (EXDEV) where the system can open so; else the caller has to look
/// where he has got to. `keep` is a wish: Linux grants it to the directory's owner only.
std::error_code open_directory(int parent, const char* name, AccessTime access_time, Fd& fd);

/// Whether a link as the last component is followed.
enum class Links { follow, refuse };

/// Opens the directory only to look up names in it, for which nobody needs the right to read it.
/// EOPNOTSUPP where the system cannot open it without that right, and the user lacks it.
std::error_code open_to_look_up(int parent, const char* name, Links links, Fd& fd);

/// Renames, never over something (EEXIST). EINVAL where system or file system cannot do that.
std::error_code rename_exclusive(int from_parent, const char* from, int to_parent, const char* to);

/// Has what was written to the open file or directory on the disk when it returns, and not only in
/// the disk's own memory.
std::error_code sync_to_disk(int fd);

/// An entry, as reading its directory tells it.
struct DirEntry {
  const char* name = "";
  std::uint64_t inode = 0;
  enum class Kind { unknown, directory, link, other } kind = Kind::unknown;
};

/// Reads directories, one after the other.
class DirReader {
 public:
  DirReader();
  ~DirReader();
  DirReader(const DirReader&) = delete;
  DirReader& operator=(const DirReader&) = delete;
  DirReader(DirReader&&) = delete;
  DirReader& operator=(DirReader&&) = delete;

  /// Goes on with `fd`, from where its offset stands.
  void start(int fd);
  /// Reads the directory `fd` from its beginning, opened anew: sshfs lists one that is read a
  /// second time by the same descriptor as empty, and remembers that for 20 s.
  void restart(int fd);
  /// The next entry, `.` and `..` left out; null at the end, and where error() tells why not. What
  /// it points to is good until the next call.
  const DirEntry* next();
  [[nodiscard]] std::error_code error() const { return error_; }

  /// How many descriptors one takes that has been started, beside the directory's own.
  static const unsigned own_descriptors;

 private:
  struct Position;
  std::unique_ptr<Position> position_;
  DirEntry entry_;
  std::error_code error_;
};

/// What kind of file system the open file is on, or the one at the end of the path.
FileSystem file_system_of(int fd);
FileSystem file_system_at(const char* path);

/// Reads what is mounted in the open directory; none of it is touched where the system has a list.
/// `mount_id`: the directory's own (Status::mount). Throws std::runtime_error, a sentence that says
/// what to do, where the system does not tell all of them.
Mounts mounts_below(int directory, std::uint64_t mount_id);

/// All locks, without those that are only waited for. The processes of other containers are not
/// shown. ENOSYS where the system has no list of them.
std::error_code read_held_locks(std::vector<HeldLock>& locks);
/// Where that list is; for messages.
extern const char* const lock_list;

/// Who has one of these files locked, a writer before a reader: `uvicorn (process 812)`. Empty
/// where nobody has, or the system does not tell.
std::string lock_holder(std::span<const FileId> files);

/// The device as people and the system's own lists write it: `8:1`.
std::string device_text(std::uint64_t device);

/// Waits until one of `suspending` comes, or one of `stopping` that no other thread can take: all
/// of them may wait for a file server. Takes it, and returns its number. This thread blocks all of
/// them, and every thread blocks the suspending ones.
int wait_for_signal(const sigset_t& suspending, const sigset_t& stopping);

/// Whether an error says that the disk, or what stands on it, is damaged.
bool means_damage(int error);

/// Lists of a million sessions go back to the system when they are let go.
void give_memory_back();

/// What a shared library may be called here, in the order in which to try (dlopen(3)).
std::vector<std::string> library_names(const std::string& name, int version);

}  // namespace calib::system
