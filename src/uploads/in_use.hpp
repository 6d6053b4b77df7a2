// What in the uploads folder the app or the tool itself lives on.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/options.hpp"

namespace calib {

/// Entries of the folder that hold the database, the app, its .env, the file of --config, that of
/// --metrics or this process: whatever is said of them, they stay.
std::vector<std::string> entries_in_use(const Options& options);

/// The entries directly in `folder` at or below which one of `paths` is, wherever links lead.
std::vector<std::string> entries_on_the_way(const std::filesystem::path& folder,
                                            const std::vector<std::filesystem::path>& paths);

}  // namespace calib
