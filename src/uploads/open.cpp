#include "uploads/open.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "model/pass_error.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds lock_poll{50};

// As many as the kernel follows on one way (path_resolution(7)).
constexpr int max_links = 40;

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
  for (int links = 0; links < max_links; ++links) {
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
    throw PassError(PassError::Kind::unusable, path.string(),
                    fmt::format("the uploads folder cannot be opened: {}; {}",
                                error.code().message(), remedy_for(path, error.code())));
  }
}

void require_writable(const UploadDir& uploads) {
  const auto error = uploads.check_writable();
  if (!error) return;
  throw PassError(PassError::Kind::unusable, uploads.path(),
                  fmt::format("nothing can be removed from the uploads folder: {}; {}",
                              error.message(), remedy_for_writing(error)));
}

void lock_folder(UploadDir& uploads, std::chrono::milliseconds wait, const StopFlag& stop) {
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
  auto deadline = Clock::now() + wait;
  SuspensionWatch watch;
  while (!try_lock()) {
    throw_if_requested(stop);
    if (watch.was_suspended()) deadline = Clock::now() + wait;
    if (Clock::now() >= deadline) {
      throw PassError(PassError::Kind::busy, uploads.path(),
                      "another pass is at work in this folder; try again when it is done, or wait "
                      "longer with --lock-wait");
    }
    std::this_thread::sleep_for(lock_poll);
  }
}

}  // namespace calib
