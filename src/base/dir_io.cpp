#include "base/dir_io.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace calib {

namespace {

bool knows_no_links(const std::error_code& error) {
  return error == std::errc::operation_not_permitted ||
         error == std::errc::function_not_supported || error == std::errc::operation_not_supported;
}

// For file systems that know no RENAME_NOREPLACE. A second link to a file fails where its name is
// taken, so nothing is overwritten. A directory has no second link; between the check and the
// rename it could only take the place of an empty directory. A file on a file system without links
// either (s3fs, rclone) could take the place of one that comes between the two: there is nothing
// better, and else what a killed pass has left would stay aside for ever.
std::error_code rename_checked(int from_parent, const char* from, int to_parent, const char* to) {
  Status status;
  if (const auto error = stat_at(from_parent, from, status)) return error;
  if (!status.is_directory()) {
    const auto error = attempt([&] { return ::linkat(from_parent, from, to_parent, to, 0); });
    if (!error) return remove_file(from_parent, from);
    if (!knows_no_links(error)) return error;
  }
  const auto error = stat_at(to_parent, to, status);
  if (!error) return errno_code(EEXIST);
  if (error != std::errc::no_such_file_or_directory) return error;
  const auto refused = attempt([&] { return ::renameat(from_parent, from, to_parent, to); });
  // rename(2): either of them says that a directory with something in it has come there.
  return refused == std::errc::directory_not_empty ? errno_code(EEXIST) : refused;
}

}  // namespace

bool is_component(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

std::error_code open_folder(const char* path, Fd& fd, Status& status) {
  if (const auto error = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, fd)) {
    return error;
  }
  return stat_at(fd.get(), status);
}

std::error_code open_directory(int parent, const char* name, std::uint64_t mount,
                               AccessTime access_time, Fd& fd, Status& status) {
  Fd opened;
  const auto error = system::open_directory(parent, name, access_time, opened);
  if (error == std::errc::too_many_symbolic_link_levels) return errno_code(ENOTDIR);
  if (error) return error;
  if (const auto unknown = stat_at(opened.get(), status)) return unknown;
  if (status.mount != mount) return errno_code(EXDEV);
  fd = std::move(opened);
  return {};
}

std::error_code stat_at(int parent, const char* name, Status& status) {
  return system::stat_entry(parent, name, Freshness::now, status);
}

std::error_code stat_at(int fd, Status& status) {
  return system::stat_open(fd, Freshness::now, status);
}

std::error_code stat_cached(int parent, const char* name, Status& status) {
  return system::stat_entry(parent, name, Freshness::cached, status);
}

std::error_code stat_cached(int fd, Status& status) {
  return system::stat_open(fd, Freshness::cached, status);
}

std::error_code check_access(int directory, int how) {
  const auto error = attempt([&] { return ::faccessat(directory, ".", how, AT_EACCESS); });
  // Also what filters of system calls answer that do not know faccessat2(2). The older call asks
  // for the real user, who mostly is the effective one.
  const bool is_one_user = ::geteuid() == ::getuid() && ::getegid() == ::getgid();
  if (error != std::errc::operation_not_permitted || !is_one_user) return error;
  return attempt([&] { return ::faccessat(directory, ".", how, 0); });
}

std::error_code remove_file(int parent, const char* name) {
  return attempt([&] { return ::unlinkat(parent, name, 0); });
}

std::error_code remove_directory(int parent, const char* name) {
  return attempt([&] { return ::unlinkat(parent, name, AT_REMOVEDIR); });
}

std::error_code rename_new(int from_parent, const char* from, int to_parent, const char* to) {
  const auto error = system::rename_exclusive(from_parent, from, to_parent, to);
  if (error != std::errc::invalid_argument) return error;
  return rename_checked(from_parent, from, to_parent, to);
}

std::error_code lock_directory(int fd) {
  return attempt([&] { return ::flock(fd, LOCK_EX | LOCK_NB); });
}

std::error_code sync_directory(int fd) {
  const auto error = system::sync_to_disk(fd);
  const bool is_unknown = error == std::errc::invalid_argument ||
                          error == std::errc::function_not_supported ||
                          error == std::errc::operation_not_supported;
  return is_unknown ? std::error_code{} : error;
}

}  // namespace calib
