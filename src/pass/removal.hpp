// The folder as a whole: opening and locking it for a pass, giving back and removing entries.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

#include "base/progress.hpp"
#include "base/stop.hpp"
#include "base/workers.hpp"
#include "model/report.hpp"
#include "uploads/upload_dir.hpp"
#include "uploads/usage.hpp"

namespace calib {

/// Opens the uploads folder. Throws StoreError (unusable) with what to do.
UploadDir open_uploads(const std::filesystem::path& path);

/// The entries directly in `folder` at or below which one of `paths` is, wherever links lead.
std::vector<std::string> entries_on_the_way(const std::filesystem::path& folder,
                                            const std::vector<std::filesystem::path>& paths);

/// Throws StoreError (unusable) where entries cannot be removed from the folder: its file system is
/// read-only by now, say. A pass has nothing to do there then.
void require_writable(const UploadDir& uploads);

/// What there is to say where the directory `name` cannot be moved aside (see UploadDir::stage), so
/// that `owner` keeps its records.
Failure unmovable_failure(const UploadDir& uploads, const std::string& name,
                          const std::error_code& error, const std::string& owner);

/// The same where it cannot be removed.
Failure unremovable_failure(const PathError& error, ErrorKind kind);

/// Makes sure that entries can be removed, then takes the lock that keeps passes apart. Throws
/// StoreError: unusable, busy where another pass has it for longer than `wait`, stopped.
void lock_folder(UploadDir& uploads, std::chrono::milliseconds wait, const StopFlag& stop);

/// Gives these staged directories back, for an interrupted pass; what cannot be moved is in
/// `report`.
void restore_entries(const UploadDir& uploads, const std::vector<std::string>& entries,
                     const StopFlag& stop, Report& report);

/// Sees to it that what was given back is not aside again after a power loss: whoever reads that a
/// session is whole shall find it so. An error is in `report`.
void sync_restored(const UploadDir& uploads, Report& report);
/// The same for an error that a sync gave before.
void note_unsynced(const UploadDir& uploads, const std::error_code& error, Report& report);

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
