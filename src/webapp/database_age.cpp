#include "webapp/database_age.hpp"

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

}  // namespace calib
