// What the web app keeps, as one pass has it open, and what the steps of a pass judge by.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "base/progress.hpp"
#include "base/stop.hpp"
#include "base/timestamp.hpp"
#include "model/options.hpp"
#include "store/session_store.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

struct AppData {
  UploadDir uploads;
  std::unique_ptr<SessionStore> store = {};  ///< null until the folder is locked
};

/// Whom the steps of a pass tell how far they are, and ask whether to go on.
struct Monitor {
  const StopFlag& stop;
  Progress& progress;
};

/// The times that a pass judges by. They are taken once.
struct PassTimes {
  PassTimes(const Options& options, Instant time);

  /// Takes those of the database: with the folder locked, and before this pass opens it.
  void look_at(const DatabaseLocation& database);

  /// What time it is by now.
  [[nodiscard]] Instant current() const;

  Instant now;                                  ///< when the pass began
  std::chrono::steady_clock::time_point began;  ///< the same moment
  std::optional<Instant> cutoff;                ///< mode expired: what is older goes
  /// When the database was changed last, and when it was made; where that is told.
  std::optional<Instant> database_changed;
  std::optional<Instant> database_born;
};

}  // namespace calib
