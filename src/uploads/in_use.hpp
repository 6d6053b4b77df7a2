// What in the uploads folder the app or the tool itself lives on.
#pragma once

#include <string>
#include <vector>

#include "model/options.hpp"

namespace calib {

/// Entries of the folder that hold the database, the app, its .env, the file of --config, that of
/// --metrics or this process: whatever is said of them, they stay.
std::vector<std::string> entries_in_use(const Options& options);

}  // namespace calib
