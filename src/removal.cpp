#include "removal.hpp"

#include <fmt/format.h>
#include <linux/magic.h>

#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "session_store.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds lock_poll{50};

// As many as the kernel follows on one way (path_resolution(7)).
constexpr int most_links = 40;

/// Where the first link on the way leads, with the rest of the way; nothing where there is no link.
std::optional<std::filesystem::path> after_first_link(const std::filesystem::path& path) {
  std::filesystem::path way;
  for (auto part = path.begin(); part != path.end(); ++part) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(way / *part, error);
    if (error) {
      way /= *part;
      continue;
    }
    way /= target;  // which takes its place where it is absolute
    for (++part; part != path.end(); ++part) way /= *part;
    return way;
  }
  return std::nullopt;
}

}  // namespace

UploadDir open_uploads(const std::filesystem::path& path) {
  try {
    return UploadDir(path);
  } catch (const std::system_error& error) {
    throw StoreError(StoreError::Kind::unusable, path.string(),
                     fmt::format("the uploads folder cannot be opened: {}; name it with --uploads, "
                                 "or the app's root folder with --app-dir",
                                 error.code().message()));
  }
}

std::vector<std::string> entries_on_the_way(const std::filesystem::path& folder,
                                            const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> entries;
  std::error_code error;
  std::set<std::filesystem::path> seen;
  const auto add = [&](std::filesystem::path path) {
    // By device and inode, so that a bind mount of the folder is the folder. All ways begin alike.
    for (; path.has_relative_path() && seen.insert(path).second; path = path.parent_path()) {
      if (std::filesystem::equivalent(path.parent_path(), folder, error)) {
        entries.push_back(path.filename().string());
      }
    }
  };
  for (const auto& path : paths) {
    std::optional<std::filesystem::path> at = std::filesystem::absolute(path, error);
    const auto real = std::filesystem::weakly_canonical(*at, error);
    if (!error) add(real);
    // Where the links themselves stand: without them nobody gets there.
    for (int links = 0; at && links <= most_links; ++links) {
      add(at->lexically_normal());
      at = after_first_link(*at);
    }
  }
  return entries;
}

void lock_folder(UploadDir& uploads, std::chrono::milliseconds wait, const StopFlag& stop) {
  if (const auto error = uploads.check_writable()) {
    const bool is_read_only = error == std::errc::read_only_file_system;
    throw StoreError(
        StoreError::Kind::unusable, uploads.path(),
        fmt::format("nothing can be removed from the uploads folder: {}; {}", error.message(),
                    is_read_only ? "mount it writable" : "run as its owner"));
  }
  const auto deadline = Clock::now() + wait;
  while (!uploads.try_lock()) {
    if (stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
    if (Clock::now() >= deadline) {
      throw StoreError(StoreError::Kind::busy, uploads.path(),
                       "another pass is at work in this folder; try again when it is done, or wait "
                       "longer with --lock-wait");
    }
    std::this_thread::sleep_for(lock_poll);
  }
}

void restore_entries(const UploadDir& uploads, const std::vector<std::string>& names,
                     const StopFlag& stop, Report& report) {
  for (const auto& name : names) {
    if (stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
    const auto errors = uploads.restore(name);
    if (errors.empty()) ++report.recovery.restored;
    for (const auto& error : errors) {
      report.errors.push_back({error.path,
                               fmt::format("an interrupted pass moved it aside, and it cannot be "
                                           "moved back: {}; move it by hand",
                                           error.error.message()),
                               ErrorKind::directory});
    }
  }
}

void sync_restored(const UploadDir& uploads, Report& report) {
  if (const auto error = uploads.sync()) note_unsynced(uploads, error, report);
}

void note_unsynced(const UploadDir& uploads, const std::error_code& error, Report& report) {
  report.errors.push_back({uploads.path(),
                           fmt::format("directories were moved back, and may be aside again after "
                                       "a power loss: {}; the next pass looks again",
                                       error.message()),
                           ErrorKind::directory});
}

void drop_changed_orphans(const UploadDir& uploads, std::chrono::microseconds grace,
                          std::vector<OrphanLine>& orphans, Report& report) {
  if (grace.count() == 0) return;
  std::erase_if(orphans, [&](const OrphanLine& orphan) {
    DirectoryStatus status;
    const auto error = uploads.status_of(orphan.name, status);
    if (error == std::errc::no_such_file_or_directory) return true;
    if (error) {
      report.errors.push_back(
          {uploads.path() + "/" + orphan.name,
           fmt::format("it could not be looked at again: {}; it is left for the next pass",
                       error.message()),
           ErrorKind::orphan});
    }
    return error || status.changed != orphan.changed;
  });
}

unsigned first_removers(std::uint64_t file_system, unsigned processors) {
  return file_system != BTRFS_SUPER_MAGIC && processors > 1 ? 2 : 1;
}

void remove_entries(const std::vector<std::string>& entries, const Removal& removal, Report& report,
                    const std::function<void(std::size_t, const Usage&)>& gone) {
  std::mutex mutex;
  removal.workers.run(entries.size(), [&](std::size_t i) {
    const auto result = removal.uploads.purge(entries[i], removal.links, removal.stop);
    removal.progress.advance();
    const std::lock_guard lock(mutex);
    report.freed_bytes += result.exclusive_bytes;
    for (const auto& error : result.errors) {
      report.errors.push_back({error.path,
                               fmt::format("it could not be removed: {}; the next pass tries again",
                                           error.error.message()),
                               removal.kind});
    }
    if (result.errors.empty() && !result.stopped) gone(i, result.usage);
    return result.usage.files + 1;
  });
}

}  // namespace calib
