// Walks directories to say what they occupy: for a dry run, and for what stays after a pass.
#pragma once

#include <vector>

#include "base/progress.hpp"
#include "model/report.hpp"
#include "pass/agenda.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

/// The directories in `listing` that are not hidden.
std::uint64_t count_directories(const std::vector<Entry>& listing);

/// Allocated bytes of the whole folder. What cannot be read becomes a warning.
std::uint64_t measure_folder(const UploadDir& uploads, const std::vector<Entry>& listing,
                             unsigned jobs, const StopFlag& stop, Progress& progress,
                             Report& report);

/// Fills `report` with what would go, what would be freed and what would stay. Moves the orphans
/// from the agenda into the report, and lets the listing go.
void measure_preview(Agenda& agenda, const UploadDir& uploads, unsigned jobs, const StopFlag& stop,
                     Progress& progress, Report& report);

}  // namespace calib
