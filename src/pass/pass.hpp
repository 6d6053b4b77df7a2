// The transactional pass: carries a plan out, or stops at it (dry run).
#pragma once

#include "base/progress.hpp"
#include "base/stop.hpp"
#include "base/timestamp.hpp"
#include "model/options.hpp"
#include "model/report.hpp"

namespace calib {

/// One pass, as `options` want it, at the time `now`. Never throws for what happens to database or
/// files: the report says what was done, what was not and why, and its outcome gives the exit
/// status. Prints nothing.
Report run_pass(const Options& options, Instant now, const StopFlag& stop, Progress& progress);

}  // namespace calib
