#include "uploads/upload_dir.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/dir_io.hpp"
#include "base/run_within.hpp"
#include "base/text.hpp"
#include "uploads/disk_usage.hpp"
#include "uploads/file_system.hpp"
#include "uploads/tree_walk.hpp"
#include "uploads/ways.hpp"

namespace calib {

namespace {

// How often a directory is gone through again while entries keep coming.
constexpr int max_rounds = 16;

// How long a file server to which a link leads may take. The database may be locked meanwhile.
constexpr std::chrono::seconds max_look{3};

EntryKind kind_of(DirEntry::Kind kind) {
  if (kind == DirEntry::Kind::directory) return EntryKind::directory;
  return kind == DirEntry::Kind::link ? EntryKind::link : EntryKind::other;
}

const char* remedy_for_way(const std::error_code& error) {
  if (error == std::errc::permission_denied) return "run as the app's user, or mend the link";
  if (error == std::errc::timed_out) return "see to the file server, or take the link away";
  return "mend the link, or try again";
}

/// Every name in the open directory; an error where they are not all there are.
std::error_code read_names(int directory, std::vector<std::string>& names) {
  DirReader reader;
  reader.restart(directory);
  names.clear();
  while (const auto* entry = reader.next()) {
    names.emplace_back(entry->name);
  }
  return reader.error();
}

/// Moves `name` from one directory to another, where nothing has that name.
std::error_code move_entry(int from, int to, const std::string& name) {
  const auto error = rename_new(from, name.c_str(), to, name.c_str());
  if (error != std::errc::file_exists) return error;
  // A crash between the two steps of a move by linking leaves one file under both names.
  Status staged;
  Status standing;
  if (stat_at(from, name.c_str(), staged) || stat_at(to, name.c_str(), standing)) return error;
  if (staged.is_directory() || staged.id != standing.id) return error;
  return remove_file(from, name.c_str());
}

/// Moves everything in `from`, which is the directory `staged` of `folder`, to `to`, and removes
/// `staged` when it is empty.
PathErrors merge(int folder, const std::string& staged, const std::string& staged_path, int from,
                 int to) {
  std::error_code left;
  PathErrors errors;
  std::vector<std::string> names;
  for (int round = 0; round < max_rounds; ++round) {
    errors.clear();
    if (const auto unread = read_names(from, names)) return {{staged_path, unread}};
    bool progress = false;
    for (const auto& name : names) {
      const auto error = move_entry(from, to, name);
      if (!error) {
        progress = true;
      } else if (error != std::errc::no_such_file_or_directory) {
        errors.push_back({path_below(staged_path, name), error});
      }
    }
    left = remove_directory(folder, staged.c_str());
    if (!left || left == std::errc::no_such_file_or_directory) return {};
    if (!progress && round > 0) break;
  }
  if (errors.empty()) errors.push_back({staged_path, left});
  return errors;
}

TreeResult refused(const std::string& path) {
  TreeResult result;
  result.errors.push_back({path, errno_code(EINVAL)});
  return result;
}

}  // namespace

UploadDir::UploadDir(const std::filesystem::path& path) : path_(path.string()) {
  Status status;
  const auto error = path_.find('\0') == std::string::npos ? open_folder(path_.c_str(), fd_, status)
                                                           : errno_code(EINVAL);
  if (error) throw std::system_error(error, path_);
  id_ = status.id;
  mount_ = status.mount;
  mounts_ = read_mounts();
  file_system_ = system::file_system_of(fd_.get());
}

Mounts UploadDir::read_mounts() const {
  try {
    return system::mounts_below(fd_.get(), mount_);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path_ + ": " + error.what());
  }
}

std::string UploadDir::identity() const {
  Status status;
  if (const auto error = stat_at(fd_.get(), status)) throw std::system_error(error, path_);
  const auto birth = status.birth.value_or(FileTime{});
  return fmt::format("{} {} {}.{} {}", system::device_text(status.id.device), status.id.inode,
                     birth.seconds, birth.nanoseconds, mount_);
}

bool UploadDir::is_in_place() const {
  struct stat open {};
  struct stat given {};
  return ::fstat(fd_.get(), &open) == 0 && ::stat(path_.c_str(), &given) == 0 &&
         open.st_dev == given.st_dev && open.st_ino == given.st_ino;
}

bool UploadDir::try_lock() {
  const auto error = lock_directory(fd_.get());
  if (error && error != std::errc::operation_would_block) throw std::system_error(error, path_);
  return !error;
}

std::error_code UploadDir::check_writable() const { return check_access(fd_.get(), W_OK | X_OK); }

std::vector<Entry> UploadDir::list() const {
  // A descriptor of its own: the offset belongs to the open file, and other threads list, too.
  Fd fd;
  Status status;
  if (const auto error = open_directory(fd_.get(), ".", mount_, AccessTime::keep, fd, status)) {
    throw std::system_error(error, path_);
  }
  std::vector<Entry> entries;
  DirReader reader;
  reader.start(fd.get());
  while (const auto* entry = reader.next()) {
    const char* name = entry->name;
    auto kind = kind_of(entry->kind);
    if (entry->kind == DirEntry::Kind::unknown && mounts_.is_point(name)) {
      kind = EntryKind::directory;  // most are
    } else if (entry->kind == DirEntry::Kind::unknown) {
      const auto error = stat_at(fd.get(), name, status);
      if (error == std::errc::no_such_file_or_directory) continue;
      if (error) throw std::system_error(error, path_below(path_, name));
      kind = kind_of(status);
    }
    entries.push_back({name, kind, entry->inode});
  }
  if (reader.error()) throw std::system_error(reader.error(), path_);
  return entries;
}

std::vector<std::string> UploadDir::names_with_mounts() const { return read_mounts().entries; }

std::error_code UploadDir::status_of(const std::string& name, DirectoryStatus& status) const {
  if (!is_component(name)) return errno_code(EINVAL);
  if (mounts_.is_point(name)) return errno_code(EXDEV);
  Status seen;
  if (const auto error = stat_at(fd_.get(), name.c_str(), seen)) return error;
  if (!seen.is_directory()) return errno_code(ENOTDIR);
  // On SMB a restore that keeps the times shows in nothing but the birth.
  status = {std::max(seen.changed, seen.born), seen.born, seen.id.inode};
  return {};
}

std::vector<Entry> UploadDir::way_of(const std::string& name, const StopFlag& stop) const {
  if (!is_component(name)) return {};
  Status status;
  const auto unseen = stat_at(fd_.get(), name.c_str(), status);
  if (unseen == std::errc::no_such_file_or_directory) return {{name, EntryKind::other, 0}};
  if (!unseen && !S_ISLNK(status.mode)) return {{name, kind_of(status), status.id.inode}};
  auto way = follow(name, stop);
  if (way.error) throw cannot_follow(name, way.error);
  return std::move(way.entries);
}

std::vector<Entry> UploadDir::entries_through(const std::string& path, const StopFlag& stop) const {
  auto way = follow(path, stop);
  // Where the app's user may not go, it does not come back from, either.
  const bool is_told = way.error && way.error != std::errc::permission_denied;
  if (is_told) throw cannot_follow(path, way.error);
  return std::move(way.entries);
}

UploadDir::Way UploadDir::follow(const std::string& path, const StopFlag& stop) const {
  // Not a copy of the descriptor, which would hold the folder's lock for as long as it is open.
  Fd folder;
  if (const auto error = system::open_to_look_up(fd_.get(), ".", system::Links::refuse, folder)) {
    return {{}, error};
  }
  auto way = run_within(max_look, stop, [path, folder = std::move(folder)] {
    Way found;
    found.entries = entries_on_way(folder.get(), folder.get(), path, found.error);
    return found;
  });
  if (!way) return {{}, std::make_error_code(std::errc::timed_out)};
  return std::move(*way);
}

std::runtime_error UploadDir::cannot_follow(const std::string& path,
                                            const std::error_code& error) const {
  return std::runtime_error(
      fmt::format("{}: where {} leads cannot be told, and a session claims what is there: {}; {}",
                  path_, printable(path), error.message(), remedy_for_way(error)));
}

std::error_code UploadDir::stage(const std::string& name, Staged* staged) const {
  if (!is_component(name)) return errno_code(EINVAL);
  if (mounts_.is_point(name)) return errno_code(EXDEV);
  Status seen;
  if (const auto error = stat_at(fd_.get(), name.c_str(), seen)) {
    // What is aside already, and could not be moved back, is not gone.
    Status status;
    const bool is_aside = error == std::errc::no_such_file_or_directory &&
                          !stat_at(fd_.get(), staged_entry_of(name).c_str(), status);
    return is_aside ? errno_code(EEXIST) : error;
  }
  if (!seen.is_directory()) return errno_code(ENOTDIR);
  if (seen.mount != mount_ || seen.mount_root) return errno_code(EXDEV);

  // Open until the end: while it is, no other directory can get its inode number.
  Fd fd;
  if (const auto error =
          open_directory(fd_.get(), name.c_str(), mount_, AccessTime::keep, fd, seen)) {
    return error;
  }
  if (const auto error = check_access(fd.get(), R_OK | W_OK | X_OK)) return error;

  const auto aside = staged_entry_of(name);
  if (const auto error = rename_new(fd_.get(), name.c_str(), fd_.get(), aside.c_str())) {
    return error;
  }
  Status moved;
  auto error = stat_at(fd_.get(), aside.c_str(), moved);
  // Where a directory is numbered by its path (mergerfs), the open one has another number now, too.
  if (!error && moved.id != seen.id) error = stat_at(fd.get(), seen);
  if (staged != nullptr) staged->inode = seen.id.inode;
  if (!error && moved.id == seen.id && moved.is_directory()) return {};
  if (!error) error = errno_code(moved.is_directory() ? ESTALE : ENOTDIR);
  const auto stays = rename_new(fd_.get(), aside.c_str(), fd_.get(), name.c_str());
  const bool gone = stays == std::errc::no_such_file_or_directory;
  if (staged != nullptr) staged->left_aside = stays && !gone;
  return error;
}

std::error_code UploadDir::foresee_stage(const std::string& name) const {
  return foresee(name, true);
}

std::error_code UploadDir::foresee_purge(const std::string& name) const {
  return foresee(name, false);
}

std::error_code UploadDir::foresee(const std::string& name, bool is_moved) const {
  if (!is_component(name)) return errno_code(EINVAL);
  const auto error = foresee_there(name, is_moved);
  // A pass may take it away at any moment.
  return error == std::errc::no_such_file_or_directory ? std::error_code{} : error;
}

std::error_code UploadDir::foresee_there(const std::string& name, bool is_moved) const {
  if (mounts_.is_point(name)) return errno_code(EXDEV);
  Status folder;
  if (const auto error = stat_at(fd_.get(), folder)) return error;
  Status seen;
  if (const auto error = stat_at(fd_.get(), name.c_str(), seen)) return error;
  if (!seen.is_directory()) return errno_code(ENOTDIR);
  if (seen.mount != mount_ || seen.mount_root) return errno_code(EXDEV);
  if (folder.fixed || seen.fixed) return errno_code(EPERM);
  if (check_writable()) return {};
  // unlink(2): from a sticky folder goes only what is one's own, or all where the folder is.
  const auto user = ::geteuid();
  if ((folder.mode & S_ISVTX) != 0 && user != 0 && user != folder.owner && user != seen.owner) {
    return errno_code(EPERM);
  }
  Fd fd;
  if (const auto error =
          open_directory(fd_.get(), name.c_str(), mount_, AccessTime::keep, fd, seen)) {
    return error;
  }
  const auto error = check_access(fd.get(), R_OK | W_OK | X_OK);
  if (!error || is_moved) return error;
  DirReader reader;
  reader.start(fd.get());
  return reader.next() == nullptr && !reader.error() ? std::error_code{} : error;
}

PathErrors UploadDir::restore(const std::string& name) const {
  if (!is_component(name)) return {{path_below(path_, name), errno_code(EINVAL)}};
  return restore_entry(staged_entry_of(name));
}

PathErrors UploadDir::restore_entry(const std::string& staged) const {
  const auto staged_path = path_below(path_, staged);
  const auto parsed = parse_staged(staged);
  const std::string name(parsed ? parsed->name : "");
  if (!is_component(name) || !is_component(staged)) return {{staged_path, errno_code(EINVAL)}};
  const auto path = path_below(path_, name);

  if (mounts_.is_point(staged)) return {{staged_path, errno_code(EXDEV)}};
  Status status;
  auto error = stat_at(fd_.get(), staged.c_str(), status);
  if (error == std::errc::no_such_file_or_directory && !stat_at(fd_.get(), name.c_str(), status)) {
    return {};
  }
  if (!error && !status.is_directory()) error = errno_code(ENOTDIR);
  if (!error && status.mount != mount_) error = errno_code(EXDEV);
  if (error) return {{staged_path, error}};
  error = rename_new(fd_.get(), staged.c_str(), fd_.get(), name.c_str());
  if (!error) return {};
  if (error != std::errc::file_exists) return {{staged_path, error}};

  // The app has made the directory anew.
  Fd from;
  Fd to;
  error = open_directory(fd_.get(), staged.c_str(), mount_, AccessTime::set, from, status);
  if (error) return {{staged_path, error}};
  error = open_directory(fd_.get(), name.c_str(), mount_, AccessTime::set, to, status);
  if (error) return {{path, error}};

  return merge(fd_.get(), staged, staged_path, from.get(), to.get());
}

bool UploadDir::tells_changes() const { return calib::tells_changes(file_system_, mounts_.type); }

std::optional<DiskSpace> UploadDir::space() const {
  struct statvfs status {};
  if (::fstatvfs(fd_.get(), &status) != 0) return std::nullopt;
  const std::uint64_t block = status.f_frsize;
  return DiskSpace{status.f_blocks * block, (status.f_blocks - status.f_bfree) * block,
                   status.f_bavail * block};
}

std::error_code UploadDir::sync() const { return sync_directory(fd_.get()); }

TreeResult UploadDir::measure(const std::string& name, Fate fate, HardLinks& links,
                              const StopFlag& stop) const {
  if (!is_component(name)) return refused(path_below(path_, name));
  return measure_tree({fd_.get(), mount_, path_, mounts_, !is_local(file_system_)}, name, fate,
                      links, stop);
}

TreeResult UploadDir::measure_top(HardLinks& links, const StopFlag& stop) const {
  TreeResult result;
  Fd fd;
  Status status;
  if (const auto error = open_directory(fd_.get(), ".", mount_, AccessTime::keep, fd, status)) {
    result.errors.push_back({path_, error});
    return result;
  }
  TreeAccount account(result, links, Fate::stays);
  account.add_directory(status.allocated_bytes);
  DirReader reader;
  reader.start(fd.get());
  while (const auto* entry = reader.next()) {
    if (stop.requested()) {
      result.stopped = true;
      return result;
    }
    if (entry->kind == DirEntry::Kind::directory) continue;
    const char* name = entry->name;
    if (mounts_.is_point(name)) continue;
    const auto error = stat_cached(fd.get(), name, status);
    // What is mounted over a file occupies nothing here.
    if (!error && !status.is_directory() && status.mount == mount_) account.add_file(status);
    if (error && error != std::errc::no_such_file_or_directory) {
      result.errors.push_back({path_below(path_, name), error});
    }
  }
  if (reader.error()) result.errors.push_back({path_, reader.error()});
  return result;
}

TreeResult UploadDir::purge(const std::string& name, HardLinks& links, const StopFlag& stop) const {
  if (!is_component(name)) return refused(path_below(path_, name));
  return purge_tree({fd_.get(), mount_, path_, mounts_, !is_local(file_system_)}, name, links,
                    stop);
}

}  // namespace calib
