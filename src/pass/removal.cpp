#include "pass/removal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>

#include <cerrno>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/fd.hpp"
#include "model/pass_error.hpp"
#include "uploads/ways.hpp"

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

/// Where the links on the way to `path` lead in the end.
std::filesystem::path behind_links(std::filesystem::path path) {
  for (int links = 0; links < most_links; ++links) {
    const auto next = after_first_link(path);
    if (!next) break;
    path = *next;
  }
  return path.lexically_normal();
}

/// What to do where the folder cannot be opened.
std::string remedy_for(const std::filesystem::path& path, const std::error_code& error) {
  std::string name_it = "name it with --uploads, or the app's root folder with --app-dir";
  switch (error.value()) {
    case ENOENT: {
      const auto end = behind_links(path);
      if (end == path.lexically_normal()) return name_it;
      return fmt::format("it leads to {}, which is not there; mount or make that, or {}",
                         end.string(), name_it);
    }
    case EACCES:
    case EPERM:
      return "run as the app's user";
    case ELOOP:
      return "the links on the way to it lead round in a circle; mend them";
    case ENOSYS:
      return "the kernel does not tell mounts apart (that takes statx(2) of Linux 5.8), or a "
             "filter "
             "of system calls (seccomp) is in the way; run it on a newer kernel, or allow statx";
    case EMFILE:
    case ENFILE:
      return "too many files are open; close some, or raise the limit (ulimit -n)";
    case ENOMEM:
      return "free some memory and run again";
    case EIO:
    case EUCLEAN:
    case EBADMSG:
      return "see to the disk (dmesg)";
    case ENOTCONN:
    case ESTALE:
    case ETIMEDOUT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ECONNABORTED:
    case ECONNREFUSED:
      return "see to its file server, and mount it anew";
    default:
      return name_it;
  }
}

/// What to do where nothing can be removed from the folder.
const char* remedy_for_writing(const std::error_code& error) {
  if (error == std::errc::read_only_file_system) return "mount it writable";
  if (error == std::errc::operation_not_permitted) return "take its flag off (chattr -i -a)";
  return "run as its owner";
}

/// What to do where the folder cannot be locked.
const char* remedy_for_locking(const std::error_code& error) {
  switch (error.value()) {
    case ENOLCK:
    case EOPNOTSUPP:
    case ENOSYS:
    case EINVAL:
      return "its file system takes no lock, which keeps passes apart; mount it with locks, or run "
             "where the disk is";
    default:
      return "see to its disk or file server";
  }
}

}  // namespace

UploadDir open_uploads(const std::filesystem::path& path) {
  try {
    return UploadDir(path);
  } catch (const std::system_error& error) {
    throw StoreError(StoreError::Kind::unusable, path.string(),
                     fmt::format("the uploads folder cannot be opened: {}; {}",
                                 error.code().message(), remedy_for(path, error.code())));
  }
}

void require_writable(const UploadDir& uploads) {
  const auto error = uploads.check_writable();
  if (!error) return;
  throw StoreError(StoreError::Kind::unusable, uploads.path(),
                   fmt::format("nothing can be removed from the uploads folder: {}; {}",
                               error.message(), remedy_for_writing(error)));
}

Failure unmovable_failure(const UploadDir& uploads, const std::string& name,
                          const std::error_code& error, const std::string& owner) {
  const bool is_taken = error == std::errc::file_exists;
  std::string why = is_taken ? "something is staged under its name already, look into it"
                             : "it cannot be moved aside";
  std::string remedy;
  if (error == std::errc::cross_device_link && uploads.file_system() == OVERLAYFS_SUPER_MAGIC) {
    remedy =
        " (it stems from a lower layer of an overlay, an image say, and stays for ever; remove it "
        "with rm -rf, then the next pass deletes the records)";
  }
  return {uploads.path() + "/" + (is_taken ? uploads.staged_entry_of(name) : name),
          fmt::format("{}: {}{}; {} is left whole", why, error.message(), remedy, owner),
          ErrorKind::directory};
}

Failure unremovable_failure(const PathError& error, ErrorKind kind) {
  const bool is_read_only = error.error == std::errc::read_only_file_system;
  return {error.path,
          fmt::format("it could not be removed: {}; {}", error.error.message(),
                      is_read_only ? "where it is a snapshot, remove that, else mount it writable"
                                   : "the next pass tries again"),
          kind};
}

std::vector<std::string> entries_on_the_way(const std::filesystem::path& folder,
                                            const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> entries;
  const Fd opened(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const auto& path : paths) {
    // From the root, so that the folders in which the working directory lies are on the way, too.
    std::error_code error;
    const auto whole = std::filesystem::absolute(path, error);
    // A way that ends before the folder does not lead through it for us, who have it open.
    std::error_code ends;
    for (auto& entry : entries_on_way(opened.get(), AT_FDCWD, whole.string(), ends)) {
      entries.push_back(std::move(entry.name));
    }
  }
  return entries;
}

void lock_folder(UploadDir& uploads, std::chrono::milliseconds wait, const StopFlag& stop) {
  require_writable(uploads);
  const auto try_lock = [&] {
    try {
      return uploads.try_lock();
    } catch (const std::system_error& error) {
      throw StoreError(StoreError::Kind::unusable, uploads.path(),
                       fmt::format("the uploads folder cannot be locked: {}; {}",
                                   error.code().message(), remedy_for_locking(error.code())));
    }
  };
  auto deadline = Clock::now() + wait;
  SuspensionWatch watch;
  while (!try_lock()) {
    if (stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
    if (watch.was_suspended()) deadline = Clock::now() + wait;
    if (Clock::now() >= deadline) {
      throw StoreError(StoreError::Kind::busy, uploads.path(),
                       "another pass is at work in this folder; try again when it is done, or wait "
                       "longer with --lock-wait");
    }
    std::this_thread::sleep_for(lock_poll);
  }
}

void restore_entries(const UploadDir& uploads, const std::vector<std::string>& entries,
                     const StopFlag& stop, Report& report) {
  for (const auto& entry : entries) {
    if (stop.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
    const auto errors = uploads.restore_entry(entry);
    if (errors.empty()) ++report.recovery.restored;
    errors.add_to(report.errors, [](const PathError& error) {
      return Failure{error.path,
                     fmt::format("an interrupted pass moved it aside, and it cannot be moved back: "
                                 "{}; move it by hand",
                                 error.error.message()),
                     ErrorKind::directory};
    });
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

unsigned first_removers(std::uint64_t file_system, unsigned processors) {
  return file_system != BTRFS_SUPER_MAGIC && processors > 1 ? 2 : 1;
}

void remove_entries(const std::vector<std::string>& entries, const Removal& removal, Report& report,
                    const std::function<void(std::size_t, const Usage&)>& gone) {
  std::mutex mutex;
  removal.workers.run(entries.size(), [&](std::size_t i) -> std::uint64_t {
    if (removal.begins && !removal.begins(i)) return 0;
    const auto result = removal.uploads.purge(entries[i], removal.links, removal.stop);
    removal.progress.advance();
    const std::lock_guard lock(mutex);
    report.freed_bytes += result.exclusive_bytes;
    const auto is_read_only = [](const PathError& error) {
      return error.error == std::errc::read_only_file_system;
    };
    if (result.errors.count_if(is_read_only) > 0) require_writable(removal.uploads);
    result.errors.add_to(report.errors, [&](const PathError& error) {
      return unremovable_failure(error, removal.kind);
    });
    if (result.errors.empty() && !result.stopped) gone(i, result.usage);
    return result.usage.files + 1;
  });
}

}  // namespace calib
