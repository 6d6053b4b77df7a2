#include "uploads/open.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/links.hpp"
#include "base/system.hpp"
#include "model/pass_error.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds lock_poll{50};

constexpr const char* name_it = "name it with --uploads, or the app's root folder with --app-dir";

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

/// What a relative path would have been in the app's folder, where that is there.
std::optional<std::filesystem::path> meant(const Options& options) {
  std::error_code error;
  const auto here = std::filesystem::current_path(error);
  if (error || !options.uploads_named) return std::nullopt;
  auto path = options.app_dir / options.uploads.lexically_relative(here);
  return path != options.uploads && is_there(path) ? std::optional(path) : std::nullopt;
}

/// What to do where there is no folder, and no link that leads to one.
std::string remedy_for_none(const Options& options) {
  if (options.app_dir.is_relative()) {
    return "the working directory has been removed; go to the app's root folder (cd), or name that "
           "with --app-dir";
  }
  if (const auto other = meant(options)) {
    return fmt::format("a relative path starts at the working directory; did you mean {}?",
                       other->string());
  }
  if (!is_there(options.app_dir)) {
    return fmt::format("there is no {} at all; name the app's root folder with --app-dir",
                       options.app_dir.string());
  }
  if (!options.uploads_named && !is_there(options.app_dir / "backend")) {
    return fmt::format(
        "{} is no app's root folder, for there is no backend in it either; name that "
        "with --app-dir",
        options.app_dir.string());
  }
  return name_it;
}

/// What to do where the folder cannot be opened.
std::string remedy_for(const Options& options, const std::error_code& error) {
  const auto& path = options.uploads;
  switch (error.value()) {
    case ENOENT: {
      const auto end = behind_links(path);
      if (end == path.lexically_normal()) return remedy_for_none(options);
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
    case ENOTCONN:
    case ESTALE:
    case ETIMEDOUT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ECONNABORTED:
    case ECONNREFUSED:
      return "see to its file server, and mount it anew";
    default:
      return system::means_damage(error.value()) ? "see to the disk (dmesg)" : name_it;
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

UploadDir open_uploads(const Options& options) {
  const auto& path = options.uploads;
  try {
    return UploadDir(path);
  } catch (const std::system_error& error) {
    throw PassError(PassError::Kind::unusable, path.string(),
                    fmt::format("the uploads folder cannot be opened: {}; {}",
                                error.code().message(), remedy_for(options, error.code())));
  }
}

void require_writable(const UploadDir& uploads) {
  const auto error = uploads.check_writable();
  if (!error) return;
  throw PassError(PassError::Kind::unusable, uploads.path(),
                  fmt::format("nothing can be removed from the uploads folder: {}; {}",
                              error.message(), remedy_for_writing(error)));
}

void lock_folder(UploadDir& uploads, std::chrono::milliseconds wait, const StopFlag& stop,
                 Progress& progress) {
  require_writable(uploads);
  const auto try_lock = [&] {
    try {
      return uploads.try_lock();
    } catch (const std::system_error& error) {
      throw PassError(PassError::Kind::unusable, uploads.path(),
                      fmt::format("the uploads folder cannot be locked: {}; {}",
                                  error.code().message(), remedy_for_locking(error.code())));
    }
  };
  auto since = Clock::now();
  const std::vector<FileId> folder{uploads.id()};
  SuspensionWatch watch;
  while (!try_lock()) {
    throw_if_requested(stop);
    if (watch.was_suspended()) since = Clock::now();
    if (Clock::now() - since >= wait) {
      const auto holder = system::lock_holder(folder);
      throw PassError(PassError::Kind::busy, uploads.path(),
                      fmt::format("another pass is at work in this folder{}; try again when it is "
                                  "done, or wait longer with --lock-wait",
                                  holder.empty() ? "" : ": " + holder));
    }
    progress.waits({"waiting for another pass", since, wait, folder, {}});
    std::this_thread::sleep_for(lock_poll);
  }
}

}  // namespace calib
