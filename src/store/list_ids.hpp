// What the shell offers after --session: the ids in the database.
#pragma once

#include <string>

#include "base/stop.hpp"
#include "model/database.hpp"

namespace calib {

/// The ids of all sessions, sorted, a line each; opens the database as a dry run does. Only those
/// that a shell takes as they stand, for they come from the database and are typed into a command
/// line: letters, digits, `.`, `_` and `-`, not first. Throws PassError.
std::string session_ids(const DatabaseLocation& database, const StopFlag& stop);

}  // namespace calib
