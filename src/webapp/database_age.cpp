#include "webapp/database_age.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>

namespace calib {

std::optional<Instant> last_change(const DatabaseLocation& location) {
  if (location.kind != DatabaseKind::sqlite) return std::nullopt;
  // The log and the journal stand beside the file itself, wherever links lead.
  std::error_code error;
  auto file = std::filesystem::canonical(location.path, error);
  if (error) file = location.path;
  std::optional<Instant> latest;
  for (const auto* suffix : {"", "-wal", "-journal"}) {
    struct stat status {};
    if (::stat((file.string() + suffix).c_str(), &status) != 0) continue;
    // Whoever merely reads a database in write-ahead mode leaves an empty log.
    if (status.st_size == 0) continue;
    const Instant changed{std::chrono::seconds(status.st_mtim.tv_sec) +
                          std::chrono::microseconds(status.st_mtim.tv_nsec / 1000)};
    latest = std::max(latest.value_or(changed), changed);
  }
  return latest;
}

std::optional<Instant> birth(const DatabaseLocation& location) {
  struct statx status = {};
  if (location.kind != DatabaseKind::sqlite ||
      ::statx(AT_FDCWD, location.path.c_str(), 0, STATX_BTIME, &status) != 0 ||
      (status.stx_mask & STATX_BTIME) == 0 || status.stx_btime.tv_sec <= 0) {
    return std::nullopt;
  }
  return Instant{std::chrono::seconds(status.stx_btime.tv_sec) +
                 std::chrono::microseconds(status.stx_btime.tv_nsec / 1000)};
}

}  // namespace calib
