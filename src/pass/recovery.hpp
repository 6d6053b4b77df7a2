// What an interrupted pass moved aside goes back to the sessions that are still there.
#pragma once

#include <string>
#include <system_error>
#include <vector>

#include "base/stop.hpp"
#include "model/report.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

/// Gives these staged directories back, for an interrupted pass; what cannot be moved is in
/// `report`.
void restore_entries(const UploadDir& uploads, const std::vector<std::string>& entries,
                     const StopFlag& stop, Report& report);

/// Sees to it that what was given back is not aside again after a power loss: whoever reads that a
/// session is whole shall find it so. An error is in `report`.
void sync_restored(const UploadDir& uploads, Report& report);
/// The same for an error that a sync gave before.
void note_unsynced(const UploadDir& uploads, const std::error_code& error, Report& report);

}  // namespace calib
