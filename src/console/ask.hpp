// The question before a pass that nobody has said enough of.
#pragma once

#include <optional>

#include "base/stop.hpp"
#include "model/options.hpp"
#include "model/report.hpp"

namespace calib {

/// A pass, or a dry run, with its progress on the terminal.
Report watched_pass(const Options& options, const StopFlag& stop);

/// Whether nothing says what goes, and somebody sits there who can be asked.
bool is_to_be_asked(const Options& options);

/// Shows what would go, and asks. Where no pass is to follow, the status to end with; where one is,
/// `options` has what was confirmed.
std::optional<int> ask(Options& options, const StopFlag& stop);

}  // namespace calib
