// The folder's side of a slice: staging, restoring, purging.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "pass/removal.hpp"
#include "pass/slices.hpp"

namespace calib {
namespace {

// Of fewer directories there is little to write, and the commit may as well do it.
constexpr std::size_t fewest_to_sync = 64;

/// A commit syncs its journal, and on many file systems waits there for all that the purge before
/// it has changed, with the lock held. So that is synced beside the last part of the purge.
class EarlySync {
 public:
  /// `count` directories will go; 0: no commit follows.
  EarlySync(const UploadDir& uploads, std::size_t count, const StopFlag& stop)
      : uploads_(uploads), stop_(stop), left_(count < fewest_to_sync ? 0 : count * 4 / 5) {}

  EarlySync(const EarlySync&) = delete;
  EarlySync& operator=(const EarlySync&) = delete;
  EarlySync(EarlySync&&) = delete;
  EarlySync& operator=(EarlySync&&) = delete;
  ~EarlySync() = default;

  /// One at a time.
  void removed_one() {
    if (left_ == 0 || --left_ > 0 || stop_.requested()) return;
    try {
      thread_ = std::jthread([this] { error_ = uploads_.sync(); });
    } catch (const std::system_error&) {
      // The system gives no more threads: the commit does it, if with the lock held.
    }
  }

  /// Why the folder could not be synced.
  std::error_code finish() {
    if (thread_.joinable()) thread_.join();
    return error_;
  }

 private:
  const UploadDir& uploads_;
  const StopFlag& stop_;
  std::size_t left_;  ///< to go until it begins
  std::error_code error_;
  std::jthread thread_;
};

}  // namespace

std::string Slices::in_folder(const std::string& name) const {
  return c_.uploads.path() + "/" + name;
}

void Slices::stage(StoreTransaction& transaction, Slice& slice, std::size_t first) {
  for (auto unit = first; unit < slice.taken; ++unit) {
    if (c_.stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
    if (slice.dropped[unit]) continue;
    const auto staging = stage_unit(slice, unit);
    if (staging == Staging::done) continue;
    drop(transaction, slice, unit);
    const auto& owners = slice.units[unit].owners;
    auto& failures = staging == Staging::no_room ? slice.held_failures : slice.failures;
    for (const auto owner : owners) {
      if (owners.size() > 1) failures.push_back(goes_along_failure(name_of(owner)));
    }
    // Those that do go make room.
    if (staging == Staging::no_room) slice.held.push_back(slice.units[unit]);
  }
}

/// Where a directory cannot be moved the unit keeps everything.
Slices::Staging Slices::stage_unit(Slice& slice, std::size_t unit) {
  // No sync of the folder is needed before the commit: a rename that is lost with the power leaves
  // the directory of a session that is gone, which the next pass takes for the orphan that it is.
  for (const auto owner : slice.units[unit].owners) {
    if (!is_session(owner)) continue;
    const std::string name(c_.sessions[owner].directory);
    if (slice.staged[unit].contains(name)) continue;
    Staged staged;
    const auto error = c_.uploads.stage(name, &staged);
    if (!error || staged.left_aside) slice.staged[unit].emplace(name, staged.inode);
    if (error && error != std::errc::no_such_file_or_directory) {
      if (error == std::errc::read_only_file_system) require_writable(c_.uploads);
      const bool no_room = error == std::errc::no_space_on_device || error.value() == EDQUOT;
      (no_room ? slice.held_failures : slice.failures)
          .push_back(unmovable_failure(c_.uploads, name, error, name_of(owner)));
      return no_room ? Staging::no_room : Staging::refused;
    }
  }
  return Staging::done;
}

void Slices::restore_unit(Slice& slice, std::size_t unit) {
  for (const auto& [name, inode] : slice.staged[unit]) {
    c_.restored = true;
    const auto errors = c_.uploads.restore(name);
    if (!errors.empty()) c_.changed = true;
    errors.add_to(c_.report.errors, [](const PathError& error) {
      return Failure{error.path,
                     fmt::format("it could not be moved back: {}; the next pass tries again",
                                 error.error.message()),
                     ErrorKind::directory};
    });
  }
  slice.staged[unit].clear();
}

void Slices::restore_all(Slice& slice) {
  for (std::size_t unit = 0; unit < slice.taken; ++unit) {
    restore_unit(slice, unit);
    for (const auto owner : slice.units[unit].owners) counts_.clear(owner);
  }
}

void Slices::purge(const Slice& slice) {
  std::map<std::string, Usage> usages;
  try {
    remove_staged(slice, usages);
  } catch (...) {
    // The sessions are gone, whatever becomes of their files: that must be told.
    add_lines(slice, usages);
    throw;
  }
  add_lines(slice, usages);
}

void Slices::remove_staged(const Slice& slice, std::map<std::string, Usage>& usages) {
  std::vector<std::pair<std::uint64_t, std::string>> staged;
  for (const auto& of_unit : slice.staged) {
    for (const auto& [name, inode] : of_unit) staged.emplace_back(inode, name);
  }
  std::sort(staged.begin(), staged.end());
  std::vector<std::string> entries;
  entries.reserve(staged.size());
  for (const auto& [inode, name] : staged) entries.push_back(c_.uploads.staged_entry_of(name));
  const bool another_follows = slice.after > 0 || slice.taken < slice.units.size();
  EarlySync sync(c_.uploads, another_follows ? entries.size() : 0, c_.stop);
  remove_entries(entries,
                 {c_.uploads, c_.links, c_.stop, c_.progress, c_.workers, ErrorKind::directory},
                 c_.report, [&](std::size_t i, const Usage& usage) {
                   usages.emplace(staged[i].second, usage);
                   sync.removed_one();
                 });
  if (const auto error = sync.finish()) {
    // The disk says it once, so whoever syncs at the end will not hear of it.
    if (c_.restored) note_unsynced(c_.uploads, error, c_.report);
    if (!std::exchange(told_unsynced_, true)) {
      c_.report.warnings.push_back(fmt::format("{}: it could not be synced: {}; see to the disk",
                                               c_.uploads.path(), error.message()));
    }
  }
}

void Slices::add_lines(const Slice& slice, std::map<std::string, Usage>& usages) {
  const auto tables = c_.survey.tables.size();
  for (const auto& [owner, unit] : slice.unit_of) {
    if (slice.dropped[unit]) continue;
    if (!is_session(owner)) {
      for (std::size_t table = 0; table < tables; ++table) {
        if (const auto rows = counts_.at(owner, table); rows > 0) {
          c_.report.orphaned_records[c_.survey.tables[table]] += rows;
        }
      }
      continue;
    }
    const auto& session = c_.sessions[owner];
    auto line = line_of(session);
    // Where sessions share a directory, the first one has its size.
    if (const auto usage = usages.find(std::string(session.directory)); usage != usages.end()) {
      line.usage = std::exchange(usage->second, {});
    }
    for (std::size_t table = 0; table < tables; ++table) {
      line.records.push_back(counts_.at(owner, table));
    }
    c_.report.sessions.push_back(std::move(line));
  }
}

}  // namespace calib
