#include "uploads/ways.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/dir_io.hpp"

namespace calib {
namespace {

// As many as the kernel follows on one way (path_resolution(7)).
constexpr int max_links_followed = 40;

std::optional<Entry> entry_at(int directory, const char* name, int flags, FileId& id) {
  struct statx raw = {};
  // What is cached will do: nobody is to be waited for who does not answer.
  flags |= AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  if (::statx(directory, name, flags, STATX_TYPE | STATX_INO, &raw) != 0) return std::nullopt;
  id = {makedev(raw.stx_dev_major, raw.stx_dev_minor), raw.stx_ino};
  const auto kind = S_ISDIR(raw.stx_mode)   ? EntryKind::directory
                    : S_ISLNK(raw.stx_mode) ? EntryKind::link
                                            : EntryKind::other;
  return Entry{name, kind, raw.stx_ino};
}

std::optional<FileId> id_of(int directory) {
  FileId id;
  if (!entry_at(directory, "", AT_EMPTY_PATH, id)) return std::nullopt;
  return id;
}

/// Only to look up names in it: for that nobody needs the right to read it.
Fd open_way(int parent, const char* name, int flags) {
  return Fd(::openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC | flags));
}

/// Where the link leads; empty where it is none. False where that cannot be told.
bool read_link(int directory, const std::string& name, std::string& target) {
  std::array<char, PATH_MAX> buffer{};
  const auto size = ::readlinkat(directory, name.c_str(), buffer.data(), buffer.size());
  if (size < 0) return errno == EINVAL;  // it is no link
  target.assign(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

/// Whether a way ends there whoever goes it.
bool ends_for_all(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG;
}

}  // namespace

std::vector<Entry> entries_on_way(int folder, int from, const std::string& path,
                                  std::error_code& error) {
  error.clear();
  std::vector<Entry> entries;
  const auto end_here = [&] {
    if (!ends_for_all(errno)) error = errno_code(errno);
    return entries;
  };
  const auto folder_id = id_of(folder);
  if (!folder_id) return end_here();
  auto rest = path;
  Fd at = open_way(rest.starts_with('/') ? AT_FDCWD : from, rest.starts_with('/') ? "/" : ".", 0);
  for (int links = 0;;) {
    if (!at) return end_here();
    rest.erase(0, rest.find_first_not_of('/'));
    const auto name = rest.substr(0, rest.find('/'));
    if (name.empty()) return entries;
    rest.erase(0, name.size());
    if (name == ".") continue;
    if (name == "..") {
      at = open_way(at.get(), "..", 0);
      continue;
    }
    const auto here = id_of(at.get());
    if (!here) return end_here();
    if (here == folder_id) {
      FileId id;
      auto entry = entry_at(at.get(), name.c_str(), 0, id);
      if (!entry && !ends_for_all(errno)) return end_here();
      entries.push_back(std::move(entry).value_or(Entry{name, EntryKind::other, 0}));
    }
    std::string target;
    if (!read_link(at.get(), name, target)) return end_here();
    if (target.empty()) {
      at = open_way(at.get(), name.c_str(), O_NOFOLLOW);
    } else {
      if (++links > max_links_followed) return entries;
      if (target.starts_with('/')) at = open_way(AT_FDCWD, "/", 0);
      rest.insert(0, target);
    }
  }
}

}  // namespace calib
