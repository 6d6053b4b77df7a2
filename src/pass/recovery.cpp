#include "pass/recovery.hpp"

#include <fmt/format.h>

namespace calib {

Restored restore_entries(const UploadDir& uploads, const std::vector<std::string>& entries,
                         const StopFlag& stop) {
  Restored restored;
  for (const auto& entry : entries) {
    if (stop.requested()) break;
    const auto errors = uploads.restore_entry(entry);
    if (errors.empty()) ++restored.count;
    errors.add_to(restored.failures, [](const PathError& error) {
      return Failure{error.path,
                     fmt::format("an interrupted pass moved it aside, and it cannot be moved back: "
                                 "{}; move it by hand",
                                 error.error.message()),
                     ErrorKind::directory};
    });
  }
  return restored;
}

std::optional<Failure> sync_restored(const UploadDir& uploads) {
  const auto error = uploads.sync();
  if (!error) return std::nullopt;
  return unsynced_failure(uploads, error);
}

Failure unsynced_failure(const UploadDir& uploads, const std::error_code& error) {
  return {uploads.path(),
          fmt::format("directories were moved back, and may be aside again after "
                      "a power loss: {}; the next pass looks again",
                      error.message()),
          ErrorKind::directory};
}

}  // namespace calib
