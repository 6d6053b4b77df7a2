// Removing directories of the folder, on several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "base/parallel.hpp"
#include "model/entry.hpp"
#include "model/report.hpp"
#include "model/usage.hpp"
#include "pass/app_data.hpp"
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
/// one alone on Btrfs, where two are slower than one, and many where each waits for an answer from
/// another machine.
unsigned first_removers(FileSystem file_system, unsigned processors);

/// What became of directories that were to be removed.
struct Purged {
  std::vector<std::optional<Usage>> gone;  ///< for each of them: what it occupied; where it is gone
  std::uint64_t freed_bytes = 0;           ///< but for inodes with several names
  Failures failures;
  std::exception_ptr ended;  ///< why the rest was not tried; null where all were
};

/// Removes directories of one folder. What one list teaches about the disk serves the next.
class Purger {
 public:
  /// `jobs` threads; 0: as many as the rate says. `uploads` must outlive this.
  Purger(const UploadDir& uploads, unsigned jobs, const Monitor& monitor);

  /// Asked right before each, by its index, on any thread: whether it is to go after all.
  using MayGo = std::function<bool(std::size_t)>;

  /// Fastest where neighbours in the list are neighbours on the disk. What cannot be removed
  /// counts as `kind`. Where a stop is asked for, the rest is left.
  [[nodiscard]] Purged purge(const std::vector<std::string>& entries, ErrorKind kind,
                             const MayGo& may_go = {});

  /// Bytes of the inodes with several names whose every name went.
  [[nodiscard]] std::uint64_t freed_with_last_link() const { return links_.freed_bytes(); }

 private:
  const UploadDir& uploads_;
  Monitor monitor_;
  Workers workers_;
  HardLinks links_;
};

}  // namespace calib
