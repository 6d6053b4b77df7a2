// The uploads folder: listing, measuring, staging, restoring, purging. Everything goes through
// descriptors of the folder, opened once; names are single components, and no link is followed.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/dir_io.hpp"
#include "base/fd.hpp"
#include "base/mounts.hpp"
#include "base/staged_name.hpp"
#include "base/stop.hpp"
#include "model/entry.hpp"
#include "model/usage.hpp"
#include "uploads/disk_usage.hpp"

namespace calib {

/// What is known of a directory that stage() was asked to move.
struct Staged {
  std::uint64_t inode = 0;  ///< where it is aside
  bool left_aside = false;  ///< it is, in spite of an error
};

class UploadDir {
 public:
  /// Opens the folder; links on the way to it are followed, for the user named it. Throws
  /// std::system_error (ENOENT, ENOTDIR, EACCES …), and with ENOSYS where the kernel cannot tell
  /// mounts apart (statx without STATX_MNT_ID, Linux before 5.8); and std::runtime_error where it
  /// does not tell what is mounted in the folder. From here on what is mounted there is not
  /// touched: who answers for it may be gone, and every call would wait for him.
  explicit UploadDir(const std::filesystem::path& path);

  /// The path as it was given, for messages.
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Tells this folder from every other one, whatever its path, also from one that has its inode
  /// number later. Throws std::system_error.
  [[nodiscard]] std::string identity() const;

  /// Which file it is, as long as it is open.
  [[nodiscard]] FileId id() const { return id_; }

  /// Whether the path as it was given still leads here, through whatever links.
  [[nodiscard]] bool is_in_place() const;

  /// Takes the lock that keeps passes apart (flock on the folder, held until this object goes).
  /// False where another has it. Throws std::system_error on anything else.
  [[nodiscard]] bool try_lock();

  /// Whether entries may be renamed and removed here: no error, EACCES or EROFS.
  [[nodiscard]] std::error_code check_writable() const;

  /// Every entry directly in the folder, in no order, `.` and `..` left out. Throws
  /// std::system_error: an unreadable folder is never an empty one.
  [[nodiscard]] std::vector<Entry> list() const;

  /// Names directly in the folder at or below which something is mounted by now, or is mounted
  /// somewhere else. Throws std::runtime_error where the kernel does not tell.
  [[nodiscard]] std::vector<std::string> names_with_mounts() const;

  /// Looks at the directory `name`. ENOTDIR where it is something else.
  [[nodiscard]] std::error_code status_of(const std::string& name, DirectoryStatus& status) const;

  /// The entries of the folder that whoever looks up `name` in it comes through, `name` first: of a
  /// link, wherever it leads, and through whatever it comes back. As entries_on_way() tells them.
  /// Throws std::runtime_error, a sentence, where its way cannot be followed to its end: also where
  /// a file server does not answer within 3 s, or until `stop` is requested.
  [[nodiscard]] std::vector<Entry> way_of(const std::string& name, const StopFlag& stop) const;

  /// The same of an absolute path: those of its entries that lie in this folder. It ends where this
  /// user may not go on.
  [[nodiscard]] std::vector<Entry> entries_through(const std::string& path,
                                                   const StopFlag& stop) const;

  /// Whose the directories are that are moved aside from here on: see base/staged_name.hpp.
  void set_mark(std::string mark) { mark_ = std::move(mark); }

  /// What stage() calls the directory `name` when it is aside.
  [[nodiscard]] std::string staged_entry_of(std::string_view name) const {
    return staged_entry(name, mark_);
  }

  /// Moves the directory `name` aside, to staged_entry_of(name), in place. Errors: ENOENT (it is
  /// not there), ENOTDIR (a link or a file), EXDEV or EBUSY (a mount point), EEXIST (something is
  /// staged under that name already), EACCES (it could not be emptied later), and what rename
  /// gives. What was moved is checked to be the directory that was looked at, and moved back where
  /// it is not; where even that fails, it is left aside.
  [[nodiscard]] std::error_code stage(const std::string& name, Staged* staged = nullptr) const;

  /// Why stage(), and the purge after it, would fail for the directory `name`, as far as looking
  /// tells: no error where it is not there. For who may not write in the folder, and so makes no
  /// pass, permissions do not count.
  [[nodiscard]] std::error_code foresee_stage(const std::string& name) const;

  /// The same for purge() alone, which needs no right in a directory that is empty.
  [[nodiscard]] std::error_code foresee_purge(const std::string& name) const;

  /// Moves the staged directory `entry` back to its name. Where `name` stands again, the staged
  /// entries move in one by one, never overwriting; what has the name of something there stays
  /// staged and is reported with EEXIST. Empty when all is back.
  [[nodiscard]] PathErrors restore_entry(const std::string& entry) const;
  /// The same for what stage(name) has moved.
  [[nodiscard]] PathErrors restore(const std::string& name) const;

  /// What kind of file system it is on.
  [[nodiscard]] FileSystem file_system() const { return file_system_; }

  /// Its type, as mount(8) names it (`fuse.sshfs`); empty where that is not told.
  [[nodiscard]] const std::string& file_system_type() const { return mounts_.type; }
  /// Whether a directory that is put back with its old times shows it (see DirectoryStatus).
  [[nodiscard]] bool tells_changes() const;

  /// How large that is, and how full; nothing where that is not told.
  [[nodiscard]] std::optional<DiskSpace> space() const;

  /// Makes sure that what was renamed directly in the folder is so after a power loss, too.
  [[nodiscard]] std::error_code sync() const;

  /// Walks the directory `name` (a staged name, too) and adds up what it occupies. Changes nothing,
  /// access times included where the kernel lets us.
  [[nodiscard]] TreeResult measure(const std::string& name, Fate fate, HardLinks& links,
                                   const StopFlag& stop) const;

  /// The folder itself and what stands directly in it, without looking into its directories.
  [[nodiscard]] TreeResult measure_top(HardLinks& links, const StopFlag& stop) const;

  /// Removes the directory `name` (a staged name, too) and everything below it. What is gone
  /// already is no error; a mount point is a border (EXDEV), left with what holds it. Links are
  /// removed, never followed, against a swap while it runs, too.
  [[nodiscard]] TreeResult purge(const std::string& name, HardLinks& links,
                                 const StopFlag& stop) const;

 private:
  struct Way {
    std::vector<Entry> entries;
    std::error_code error;
  };
  [[nodiscard]] Way follow(const std::string& path, const StopFlag& stop) const;
  [[nodiscard]] std::runtime_error cannot_follow(const std::string& path,
                                                 const std::error_code& error) const;
  [[nodiscard]] Mounts read_mounts() const;
  [[nodiscard]] std::error_code foresee(const std::string& name, bool is_moved) const;
  [[nodiscard]] std::error_code foresee_there(const std::string& name, bool is_moved) const;

  std::string path_;
  std::string mark_;
  Fd fd_;
  FileId id_;
  std::uint64_t mount_ = 0;
  FileSystem file_system_ = FileSystem::unknown;
  Mounts mounts_;  ///< as it was opened
};

}  // namespace calib
