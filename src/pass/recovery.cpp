#include "pass/recovery.hpp"

#include <fmt/format.h>

#include "model/pass_error.hpp"

namespace calib {

void restore_entries(const UploadDir& uploads, const std::vector<std::string>& entries,
                     const StopFlag& stop, Report& report) {
  for (const auto& entry : entries) {
    throw_if_requested(stop);
    const auto errors = uploads.restore_entry(entry);
    if (errors.empty()) ++report.recovery.restored;
    errors.add_to(report.errors, [](const PathError& error) {
      return Failure{error.path,
                     fmt::format("an interrupted pass moved it aside, and it cannot be moved back: "
                                 "{}; move it by hand",
                                 error.error.message()),
                     ErrorKind::directory};
    });
  }
}

void sync_restored(const UploadDir& uploads, Report& report) {
  if (const auto error = uploads.sync()) note_unsynced(uploads, error, report);
}

void note_unsynced(const UploadDir& uploads, const std::error_code& error, Report& report) {
  report.errors.push_back({uploads.path(),
                           fmt::format("directories were moved back, and may be aside again after "
                                       "a power loss: {}; the next pass looks again",
                                       error.message()),
                           ErrorKind::directory});
}

}  // namespace calib
