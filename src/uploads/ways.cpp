#include "uploads/ways.hpp"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "base/dir_io.hpp"

namespace calib {
namespace {

using system::Links;

// As many as the kernel follows on one way (path_resolution(7)).
constexpr int max_links_followed = 40;

/// Where the link leads; empty where it is none.
std::error_code read_link(int directory, const std::string& name, std::string& target) {
  std::array<char, PATH_MAX> buffer{};
  const auto size = ::readlinkat(directory, name.c_str(), buffer.data(), buffer.size());
  if (size < 0) return errno == EINVAL ? std::error_code{} : errno_code(errno);
  target.assign(buffer.data(), static_cast<std::size_t>(size));
  return {};
}

/// Whether a way ends there whoever goes it.
bool ends_for_all(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory ||
         error == std::errc::too_many_symbolic_link_levels ||
         error == std::errc::filename_too_long ||
         // A name that the file system takes for no text is no entry's.
         error == std::errc::illegal_byte_sequence || error == std::errc::invalid_argument;
}

}  // namespace

EntryKind kind_of(const Status& status) {
  if (status.is_directory()) return EntryKind::directory;
  return S_ISLNK(status.mode) ? EntryKind::link : EntryKind::other;
}

std::vector<Entry> entries_on_way(int folder, int from, const std::string& path,
                                  std::error_code& error) {
  error.clear();
  std::vector<Entry> entries;
  const auto end_here = [&](const std::error_code& why) {
    if (!ends_for_all(why)) error = why;
    return entries;
  };
  // What is cached will do: nobody is to be waited for who does not answer.
  Status status;
  if (const auto unseen = stat_cached(folder, status)) return end_here(unseen);
  const auto folder_id = status.id;
  auto rest = path;
  Fd at;
  const auto go = [&](int parent, const char* name, Links links) {
    Fd next;
    const auto why = system::open_to_look_up(parent, name, links, next);
    at = std::move(next);
    return why;
  };
  const bool is_absolute = rest.starts_with('/');
  auto ended = go(is_absolute ? AT_FDCWD : from, is_absolute ? "/" : ".", Links::follow);
  for (int links = 0;;) {
    if (ended) return end_here(ended);
    rest.erase(0, rest.find_first_not_of('/'));
    const auto name = rest.substr(0, rest.find('/'));
    if (name.empty()) return entries;
    rest.erase(0, name.size());
    if (name == ".") continue;
    if (name == "..") {
      ended = go(at.get(), "..", Links::follow);
      continue;
    }
    if (const auto unseen = stat_cached(at.get(), status)) return end_here(unseen);
    if (status.id == folder_id) {
      const auto unseen = stat_cached(at.get(), name.c_str(), status);
      if (unseen && !ends_for_all(unseen)) return end_here(unseen);
      entries.push_back(unseen ? Entry{name, EntryKind::other, 0}
                               : Entry{name, kind_of(status), status.id.inode});
    }
    std::string target;
    if (const auto unread = read_link(at.get(), name, target)) return end_here(unread);
    if (target.empty()) {
      ended = go(at.get(), name.c_str(), Links::refuse);
    } else {
      if (++links > max_links_followed) return entries;
      if (target.starts_with('/')) ended = go(AT_FDCWD, "/", Links::follow);
      rest.insert(0, target);
    }
  }
}

}  // namespace calib
