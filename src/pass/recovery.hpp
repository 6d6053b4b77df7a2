// What an interrupted pass moved aside goes back to the sessions that are still there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/stop.hpp"
#include "model/report.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

struct Restored {
  std::uint64_t count = 0;  ///< directories that are back
  Failures failures;        ///< of those that are not
};

/// Gives these staged directories back, for an interrupted pass. Where a stop is asked for, the
/// rest is left to the next pass.
Restored restore_entries(const UploadDir& uploads, const std::vector<std::string>& entries,
                         const StopFlag& stop);

/// Sees to it that what was given back is not aside again after a power loss: whoever reads that a
/// session is whole shall find it so. Nothing where that is certain.
std::optional<Failure> sync_restored(const UploadDir& uploads);
/// What there is to say where a sync before has failed with this error.
Failure unsynced_failure(const UploadDir& uploads, const std::error_code& error);

}  // namespace calib
