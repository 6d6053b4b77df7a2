// The system calls on directories. All of them are relative to a descriptor, none follows a link in
// the last component, and what they say comes back as a value.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>

#include "base/fd.hpp"
#include "base/timestamp.hpp"

struct dirent64;

namespace calib {

struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileId&, const FileId&) = default;
  friend bool operator<(const FileId& left, const FileId& right) {
    return std::tie(left.device, left.inode) < std::tie(right.device, right.inode);
  }
};

/// What one look at an entry tells.
struct Status {
  FileId id;
  std::uint64_t mount = 0;
  std::uint64_t links = 0;
  std::uint64_t allocated_bytes = 0;
  std::uint64_t size = 0;
  Instant changed;  ///< the later of mtime and ctime
  Instant born;     ///< when it was made; where the file system does not tell, `changed`
  mode_t mode = 0;
  uid_t owner = 0;
  bool mount_root = false;
  bool fixed = false;  ///< its flags (immutable, append-only) keep it and what is in it from going

  [[nodiscard]] bool is_directory() const { return S_ISDIR(mode); }
  /// Whether `size` is a length of content, as it is not for devices and pipes.
  [[nodiscard]] bool has_content() const { return S_ISREG(mode) || S_ISLNK(mode); }
};

std::error_code errno_code(int error);

/// Whether `name` names an entry of a directory and nothing further away.
bool is_component(std::string_view name);

/// Opens the folder itself, the one place where links are followed.
std::error_code open_folder(const char* path, Fd& fd, Status& status);

/// Whether reading a directory may set its access time.
enum class AccessTime { set, keep };

/// Opens the directory `name` of `parent`. Never a link (ENOTDIR), and never on another mount than
/// `mount` (EXDEV). `keep` is a wish: the kernel grants it to the directory's owner only.
std::error_code open_directory(int parent, const char* name, std::uint64_t mount,
                               AccessTime access_time, Fd& fd, Status& status);

/// Looks at `name` in `parent`, or at `fd` itself. ENOSYS where the kernel cannot tell mounts
/// apart.
std::error_code stat_at(int parent, const char* name, Status& status);
std::error_code stat_at(int fd, Status& status);

/// As stat_at(), content with what the kernel has cached: for sizes, not for decisions on identity.
std::error_code stat_cached(int parent, const char* name, Status& status);

/// Whether this process may do `how` (R_OK | W_OK | X_OK) in the open directory.
std::error_code check_access(int directory, int how);

std::error_code remove_file(int parent, const char* name);
std::error_code remove_directory(int parent, const char* name);

/// Renames, never over something (EEXIST), also where the file system has no such rename.
std::error_code rename_new(int from_parent, const char* from, int to_parent, const char* to);

/// Takes the exclusive lock on the open directory; EWOULDBLOCK where another has it.
std::error_code lock_directory(int fd);

/// Writes the entries of the open directory to the disk. No error where the file system has no such
/// call for directories (fsync(2): EINVAL; FUSE and network ones: ENOSYS, EOPNOTSUPP).
std::error_code sync_directory(int fd);

/// Reads directories, one after the other, through one buffer.
class DirReader {
 public:
  DirReader();

  /// Goes on with `fd`, from where its offset stands.
  void start(int fd);
  /// Reads the directory `fd` from its beginning, opened anew: sshfs lists one that is read a
  /// second time by the same descriptor as empty, and remembers that for 20 s.
  void restart(int fd);
  /// The next entry, `.` and `..` left out; null at the end, and where error() tells why not. What
  /// it points to is good until the next call.
  const dirent64* next();
  [[nodiscard]] std::error_code error() const { return error_; }

 private:
  int fd_ = -1;
  Fd again_;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t filled_ = 0;
  std::size_t position_ = 0;
  std::error_code error_;
};

}  // namespace calib
