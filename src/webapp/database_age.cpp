#include "webapp/database_age.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/system.hpp"

namespace calib {
namespace {

Instant cut_to_microseconds(const FileTime& time) {
  return Instant{std::chrono::seconds(time.seconds) +
                 std::chrono::microseconds(time.nanoseconds / 1000)};
}

}  // namespace

std::optional<Instant> last_change(const DatabaseLocation& location) {
  if (location.kind != DatabaseKind::sqlite) return std::nullopt;
  // The log and the journal stand beside the file itself, wherever links lead.
  std::error_code error;
  auto file = std::filesystem::canonical(location.path, error);
  if (error) file = location.path;
  std::optional<Instant> latest;
  for (const auto* suffix : {"", "-wal", "-journal"}) {
    Status status;
    if (system::stat_path((file.string() + suffix).c_str(), status)) continue;
    // Whoever merely reads a database in write-ahead mode leaves an empty log.
    if (status.size == 0) continue;
    const auto changed = cut_to_microseconds(status.modified);
    latest = std::max(latest.value_or(changed), changed);
  }
  return latest;
}

std::optional<Instant> birth(const DatabaseLocation& location) {
  Status status;
  if (location.kind != DatabaseKind::sqlite || system::stat_path(location.path.c_str(), status) ||
      !status.birth || status.birth->seconds <= 0) {
    return std::nullopt;
  }
  return cut_to_microseconds(*status.birth);
}

}  // namespace calib
