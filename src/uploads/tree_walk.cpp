#include "uploads/tree_walk.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/dir_io.hpp"
#include "uploads/disk_usage.hpp"

namespace calib {

namespace {

// A writer may add files as fast as they go. What one reading of a directory takes, how often a
// directory is read again, and how deep a tree may be, have an end so that the walk has one.
constexpr int max_readings = 16;
constexpr std::size_t max_entries = std::size_t{1} << 22U;
constexpr std::size_t max_levels = std::size_t{1} << 18U;

// After so many entries a purge looks whether what it empties is still where it was, so many levels
// up and in the folder: whoever moves a directory away to save it loses no more than these.
constexpr int entries_between_looks = 128;
constexpr std::size_t levels_looked_at = 32;

// Paths in messages: from this length on, which no call takes, all but the last levels are left
// out. A tree that is deep, and full of what cannot go, would fill the memory with its errors.
constexpr std::size_t max_whole_path = 4096;
constexpr std::size_t levels_always_shown = 4;

/// What an open file is called once it is removed, by libfuse (hide_node() in fuse.c) and by the
/// NFS client (nfs_sillyrename() in fs/nfs/dir.c).
bool is_hidden_file(std::string_view name) {
  return name.starts_with(".fuse_hidden") || name.starts_with(".nfs");
}

bool is_gone(const std::error_code& error) { return error == std::errc::no_such_file_or_directory; }

enum class Errand { measure, purge };

// Depth first. Of the directories on the way down only the last two are open: a leaf is left by the
// descriptor of its parent, which needs no permission in the leaf, and further up `..` leads, where
// it is still the directory that the walk came from.
class Walk {
 public:
  Walk(const Folder& folder, Errand mode, Fate fate, HardLinks& links, const StopFlag& stop)
      : folder_(folder), mode_(mode), stop_(stop), account_(result_, links, fate) {}

  TreeResult run(const std::string& name) {
    has_mounts_ = folder_.mounts.any_in(name);
    enter(name);
    while (!levels_.empty() && !result_.stopped && !lost_) {
      auto& pending = levels_.back().pending;
      if (is_read_only(levels_.back())) pending.clear();
      if (pending.empty()) {
        leave();
      } else {
        const auto child = std::move(pending.back());
        pending.pop_back();
        enter(child);
      }
    }
    return std::move(result_);
  }

 private:
  struct Level {
    std::string name;
    FileId id;
    std::uint64_t allocated_bytes = 0;
    Fd fd;
    std::vector<std::string> pending = {};  // directories to go into
    std::set<std::string> stuck = {};       // what cannot go: said once, not tried again
    std::map<FileId, Status> removed = {};  // files, where they may come back
    int readings = 0;
    bool progress = false;    // the last reading removed something
    bool incomplete = false;  // why it will not become empty has been said
  };

  std::string current_path() const { return path_of_level(levels_.size()); }

  // Of the last of the first `count` levels.
  std::string path_of_level(std::size_t count) const {
    auto path = folder_.path;
    for (std::size_t i = 0; i < count; ++i) {
      if (path.size() > max_whole_path && i + levels_always_shown < count) {
        path = path_below(path, "...");
        i = count - levels_always_shown;
      }
      path = path_below(path, levels_[i].name);
    }
    return path;
  }

  void report(const std::string& path, const std::error_code& error) {
    result_.errors.push_back({path, error});
    if (!levels_.empty()) levels_.back().incomplete = true;
  }

  // `name` in the current directory cannot be dealt with.
  void fail(const std::string& name, const std::error_code& error) {
    report(path_below(current_path(), name), error);
    if (!levels_.empty()) levels_.back().stuck.insert(name);
  }

  // Whether something is mounted at `name` in the current directory. Even a look at it may wait for
  // a server that is gone.
  bool is_mount_point(const std::string& name) const {
    if (!has_mounts_) return false;
    std::string path;
    for (const auto& level : levels_) path += level.name + '/';
    return folder_.mounts.is_point(path + name);
  }

  // Of a read-only file system (a snapshot within this one, or all of it since the disk failed)
  // nothing goes: that is said once, of the outermost directory of it, and the rest of it is left.
  bool is_read_only(const Level& level) const { return read_only_ == level.id.device; }

  void fail_read_only(const std::error_code& error) {
    const auto device = levels_.back().id.device;
    read_only_ = device;
    auto count = levels_.size();
    while (count > 1 && levels_[count - 2].id.device == device) --count;
    result_.errors.push_back({path_of_level(count), error});
    levels_.back().incomplete = true;
  }

  void enter(const std::string& name) {
    if (stop_.requested()) {
      result_.stopped = true;
      return;
    }
    const int parent = levels_.empty() ? folder_.fd : levels_.back().fd.get();
    if (levels_.size() == max_levels) return fail(name, errno_code(ELOOP));
    if (is_mount_point(name)) return fail(name, errno_code(EXDEV));
    Fd fd;
    Status status;
    const auto access_time = mode_ == Errand::measure ? AccessTime::keep : AccessTime::set;
    const auto error = open_directory(parent, name.c_str(), folder_.mount, access_time, fd, status);
    if (is_gone(error)) return;
    if (error == std::errc::not_a_directory && !levels_.empty()) return visit_swapped(name);
    if (error) return fail(name, error);
    if (levels_.size() > 1) levels_[levels_.size() - 2].fd.reset();
    levels_.push_back({.name = name,
                       .id = status.id,
                       .allocated_bytes = status.allocated_bytes,
                       .fd = std::move(fd)});
    if (mode_ == Errand::measure) account_.add_directory(status.allocated_bytes);
    reader_.start(levels_.back().fd.get());
    read();
  }

  // One reading of the current directory: files are dealt with, directories noted.
  void read() {
    auto& level = levels_.back();
    ++level.readings;
    level.progress = false;
    for (std::size_t count = 0; mode_ == Errand::measure || count < max_entries; ++count) {
      const auto* entry = reader_.next();
      if (entry == nullptr) break;
      if (stop_.requested()) {
        result_.stopped = true;
        return;
      }
      if (mode_ == Errand::purge && (is_lost() || is_read_only(level))) return;
      const char* name = entry->name;
      if (!level.stuck.empty() && level.stuck.contains(name)) continue;
      if (entry->kind == DirEntry::Kind::directory) {
        level.pending.emplace_back(name);
      } else {
        visit(name);
      }
    }
    if (reader_.error() && !is_gone(reader_.error())) {
      report(current_path(), reader_.error());
      level.readings = max_readings;
    }
  }

  // `name` is no directory, as far as is known.
  void visit(const char* name) {
    auto& level = levels_.back();
    if (is_mount_point(name)) return fail(name, errno_code(EXDEV));
    Status status;
    const auto unseen = folder_.is_served ? stat_at(level.fd.get(), name, status)
                                          : stat_cached(level.fd.get(), name, status);
    if (unseen) {
      if (!is_gone(unseen)) fail(name, unseen);
      return;
    }
    if (status.is_directory()) {
      level.pending.emplace_back(name);
      return;
    }
    if (status.mount != folder_.mount) return fail(name, errno_code(EXDEV));
    if (mode_ == Errand::purge) {
      if (const auto removed = level.removed.find(status.id);
          removed != level.removed.end() && is_hidden_file(name)) {
        account_.take_back(removed->second);
        return fail(name, errno_code(ETXTBSY));
      }
      const auto error = remove_file(level.fd.get(), name);
      if (is_gone(error)) return;
      if (error == std::errc::is_a_directory) {
        level.pending.emplace_back(name);
        return;
      }
      if (error == std::errc::read_only_file_system) return fail_read_only(error);
      if (error) return fail(name, error);
      level.progress = true;
      if (folder_.is_served) level.removed.emplace(status.id, status);
    }
    account_.add_file(status);
  }

  // What was a directory when it was read is none any more. It is followed up once: somebody could
  // go on changing it as often as it is looked at.
  void visit_swapped(const std::string& name) {
    auto& pending = levels_.back().pending;
    const auto before = pending.size();
    visit(name.c_str());
    if (pending.size() == before) return;
    pending.pop_back();
    fail(name, errno_code(ESTALE));
  }

  // Whether somebody has moved the current directory, or one above it, out of its place. Every so
  // often it is looked at, and said.
  bool is_lost() {
    if (++since_look_ < entries_between_looks) return false;
    since_look_ = 0;
    Status status;
    const int current = levels_.back().fd.get();
    auto error = stat_at(folder_.fd, levels_.front().name.c_str(), status);
    lost_ = is_gone(error) || (!error && status.id != levels_.front().id);
    std::string up = "..";
    const auto highest = levels_.size() - std::min(levels_.size(), levels_looked_at + 1);
    for (auto level = levels_.size() - 1; level > highest && !lost_; --level, up += "/..") {
      error = stat_at(current, up.c_str(), status);
      lost_ = !error && status.id != levels_[level - 1].id;
    }
    // What is removed altogether is no loss: another cleaner was faster.
    if (lost_ && !stat_at(current, status) && status.links == 0) lost_ = false;
    if (lost_) report(current_path(), errno_code(ESTALE));
    return lost_;
  }

  // Opens the parent of the current directory again, where it is closed.
  std::error_code reopen_parent() {
    if (levels_.size() == 1) return {};
    auto& parent = levels_[levels_.size() - 2];
    if (parent.fd) return {};
    Fd fd;
    Status status;
    if (const auto error = open_directory(levels_.back().fd.get(), "..", folder_.mount,
                                          AccessTime::set, fd, status)) {
      return error;
    }
    if (status.id != parent.id) return errno_code(ESTALE);
    parent.fd = std::move(fd);
    return {};
  }

  void leave() {
    if (const auto error = reopen_parent()) {
      // Somebody moves directories about. Names mean nothing any more, so nothing else is touched.
      report(current_path(), error);
      levels_.clear();
    } else if (mode_ == Errand::measure || remove_current()) {
      levels_.pop_back();
    }
  }

  // False where the current directory has to be gone through again.
  bool remove_current() {
    auto& level = levels_.back();
    auto* parent = levels_.size() == 1 ? nullptr : &levels_[levels_.size() - 2];
    const auto leave_it = [&] {
      if (parent != nullptr) {
        parent->incomplete = true;
        parent->stuck.insert(level.name);
      }
      return true;
    };
    if (is_read_only(level)) return leave_it();
    const auto error =
        remove_directory(parent == nullptr ? folder_.fd : parent->fd.get(), level.name.c_str());
    if (!error) {
      account_.add_directory(level.allocated_bytes);
      if (parent != nullptr) parent->progress = true;
      return true;
    }
    if (is_gone(error)) return true;
    const bool not_empty =
        error == std::errc::directory_not_empty || error == std::errc::file_exists;
    // Some file systems skip entries while others are removed, and the app may have added one.
    if (not_empty && (level.progress || level.readings == 1) && level.readings < max_readings) {
      reader_.restart(level.fd.get());
      read();
      return false;
    }
    if (error == std::errc::read_only_file_system && parent != nullptr &&
        parent->id.device == level.id.device) {
      levels_.pop_back();
      fail_read_only(error);
      return false;
    }
    const bool said = not_empty && level.incomplete;
    if (!said) report(current_path(), error);
    return leave_it();
  }

  Folder folder_;
  Errand mode_;
  const StopFlag& stop_;
  TreeResult result_;
  TreeAccount account_;
  DirReader reader_;
  std::optional<std::uint64_t> read_only_;  // the device of it
  bool has_mounts_ = false;                 // somewhere in this tree
  int since_look_ = 0;
  bool lost_ = false;
  std::vector<Level> levels_;  // from the outermost directory to the current one
};

}  // namespace

std::string path_below(const std::string& path, const std::string& name) {
  return path.ends_with('/') ? path + name : path + '/' + name;
}

TreeResult measure_tree(const Folder& folder, const std::string& name, Fate fate, HardLinks& links,
                        const StopFlag& stop) {
  return Walk(folder, Errand::measure, fate, links, stop).run(name);
}

TreeResult purge_tree(const Folder& folder, const std::string& name, HardLinks& links,
                      const StopFlag& stop) {
  return Walk(folder, Errand::purge, Fate::goes, links, stop).run(name);
}

}  // namespace calib
