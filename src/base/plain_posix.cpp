// What POSIX does not tell, where there is nothing else to ask.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "base/call.hpp"
#include "base/posix.hpp"
#include "base/system.hpp"

namespace calib::system {
namespace {

std::runtime_error untold(const std::error_code& error) {
  return std::runtime_error(fmt::format(
      "mounts cannot be told: {}; see to the disk, or run as the folder's owner", error.message()));
}

}  // namespace

void add_times_and_flags(const struct stat& raw, Status& status) {
  status.set_times({raw.st_mtim.tv_sec, raw.st_mtim.tv_nsec},
                   {raw.st_ctim.tv_sec, raw.st_ctim.tv_nsec}, std::nullopt);
}

std::error_code rename_exclusive(int /*from_parent*/, const char* /*from*/, int /*to_parent*/,
                                 const char* /*to*/) {
  return errno_code(EINVAL);
}

std::error_code sync_to_disk(int fd) {
  return attempt([&] { return ::fsync(fd); });
}

FileSystem file_system_of(int /*fd*/) { return FileSystem::unknown; }

FileSystem file_system_at(const char* /*path*/) { return FileSystem::unknown; }

// Each entry is looked at, for there is no list. What is mounted further below is seen by its
// device when a walk gets there, and no sooner.
Mounts mounts_below(int directory, std::uint64_t mount_id) {
  Status status;
  if (const auto error = stat_open(directory, Freshness::now, status)) throw untold(error);
  if (status.links == 0) {
    throw std::runtime_error("the folder was removed while it was looked at; run again");
  }
  // A descriptor of its own: the offset belongs to the open directory.
  Fd fd;
  if (const auto error = open_directory(directory, ".", AccessTime::keep, fd)) throw untold(error);
  Mounts mounts;
  DirReader reader;
  reader.start(fd.get());
  while (const auto* entry = reader.next()) {
    const auto error = stat_entry(directory, entry->name, Freshness::now, status);
    if (error == std::errc::no_such_file_or_directory) continue;
    if (error) throw untold(error);
    if (status.mount == mount_id) continue;
    mounts.points.emplace_back(entry->name);
    mounts.entries.emplace_back(entry->name);
  }
  if (reader.error()) throw untold(reader.error());
  mounts.sort_out();
  return mounts;
}

std::string device_text(std::uint64_t device) { return fmt::format("{}", device); }

std::vector<std::string> library_names(const std::string& name, int version) {
  return {fmt::format("lib{}.so.{}", name, version)};
}

}  // namespace calib::system
