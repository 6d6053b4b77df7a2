// Walks directories to say what they occupy: for a dry run, and for what stays after a pass.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/report.hpp"
#include "pass/agenda.hpp"
#include "pass/app_data.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

/// The directories in `listing` that are not hidden.
std::uint64_t count_directories(const std::vector<Entry>& listing);

struct FolderUsage {
  std::uint64_t allocated_bytes = 0;
  Warnings warnings;  ///< of what cannot be measured
};
/// Of the whole folder, on `jobs` threads.
FolderUsage measure_folder(const UploadDir& uploads, const std::vector<Entry>& listing,
                           unsigned jobs, const Monitor& monitor);

/// The directories in `listing` that are aside.
std::vector<std::string> staged_in(const std::vector<Entry>& listing);

/// Of these alone, where it takes no longer than `time`: what is told in passing keeps nobody
/// waiting.
Directories measure_within(std::chrono::milliseconds time, const UploadDir& uploads,
                           const std::vector<std::string>& names);

/// What a pass would do.
struct Preview {
  std::vector<SessionLine> sessions;
  std::vector<OrphanLine> orphans;
  std::map<std::string, std::uint64_t> orphaned_records;  ///< table -> leaked rows
  std::uint64_t halved_pairs = 0;                         ///< see Report
  Kept kept;
  std::vector<KeptSession> kept_sessions;
  Usage leftovers;
  Usage unclaimed_kept;  ///< directories that are no session's, and stay
  std::uint64_t unclaimed_kept_count = 0;
  Directories staged;
  std::vector<OrphanLine> spared;
  std::uint64_t freed_bytes = 0;
  std::uint64_t total_bytes = 0;  ///< of the whole folder
  Warnings warnings;              ///< of what cannot be measured
};
/// The views in it show texts of the agenda's plan. Throws PassError (stopped).
Preview preview(Agenda agenda, const UploadDir& uploads, unsigned jobs, const Monitor& monitor);

}  // namespace calib
