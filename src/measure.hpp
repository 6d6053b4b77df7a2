// Walks directories to say what they occupy: for a dry run, and for what stays after a pass.
#pragma once

#include <vector>

#include "plan.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "units.hpp"
#include "upload_dir.hpp"

namespace calib {

/// The directories in `listing` that are not hidden.
std::uint64_t count_directories(const std::vector<Entry>& listing);

/// Allocated bytes of the whole folder. What cannot be read becomes a warning.
std::uint64_t measure_folder(const UploadDir& uploads, const std::vector<Entry>& listing,
                             unsigned jobs, const StopFlag& stop, Progress& progress,
                             Report& report);

/// What a pass would do with this plan, measured.
class Preview {
 public:
  Preview(const Plan& plan, const std::vector<Unit>& units, const Survey& survey,
          const std::vector<Entry>& listing, std::vector<OrphanLine>& orphans);

  /// Fills `report` with what would go, what would be freed and what would stay.
  void measure(const UploadDir& uploads, unsigned jobs, const StopFlag& stop, Progress& progress,
               Report& report);

 private:
  const Plan& plan_;
  const std::vector<Unit>& units_;
  const Survey& survey_;
  const std::vector<Entry>& listing_;
  std::vector<OrphanLine>& orphans_;
};

}  // namespace calib
