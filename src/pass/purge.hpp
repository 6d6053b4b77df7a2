// Removing directories of the folder, on several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/stop.hpp"
#include "model/entry.hpp"
#include "model/report.hpp"
#include "model/usage.hpp"
#include "uploads/disk_usage.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

/// What there is to say where the directory `name` cannot be moved aside (see UploadDir::stage), so
/// that `owner` keeps its records.
Failure unmovable_failure(const UploadDir& uploads, const std::string& name,
                          const std::error_code& error, const std::string& owner);

/// The same where it cannot be removed.
Failure unremovable_failure(const PathError& error, ErrorKind kind);

/// How many threads begin to remove, before a rate is known: one for each of two processors, but
/// one alone on Btrfs, where two are slower than one. `file_system` as UploadDir::file_system().
unsigned first_removers(std::uint64_t file_system, unsigned processors);

struct Removal {
  const UploadDir& uploads;
  HardLinks& links;
  const StopFlag& stop;
  Progress& progress;
  Workers& workers;
  ErrorKind kind;  ///< what a failure counts as
  /// Asked right before each, on any thread: whether it is to go after all.
  std::function<bool(std::size_t)> begins = {};
};

/// Removes directories of the folder, on several threads; fastest where neighbours in the list are
/// neighbours on the disk. Adds what is freed and what fails to
/// `report`, and calls `gone` (one call at a time) with the index of each that is gone.
void remove_entries(const std::vector<std::string>& entries, const Removal& removal, Report& report,
                    const std::function<void(std::size_t, const Usage&)>& gone);

}  // namespace calib
