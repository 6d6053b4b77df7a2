// Opening the uploads folder for a pass, and keeping others out of it meanwhile.
#pragma once

#include <chrono>

#include "base/progress.hpp"
#include "base/stop.hpp"
#include "model/options.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

/// Opens the uploads folder. Throws PassError (unusable) with what to do.
UploadDir open_uploads(const Options& options);

/// Throws PassError (unusable) where entries cannot be removed from the folder: its file system is
/// read-only by now, say. A pass has nothing to do there then.
void require_writable(const UploadDir& uploads);

/// Makes sure that entries can be removed, then takes the lock that keeps passes apart. Throws
/// PassError: unusable, busy where another pass has it for longer than `wait`, stopped.
void lock_folder(UploadDir& uploads, std::chrono::milliseconds wait, const StopFlag& stop,
                 Progress& progress);

}  // namespace calib
