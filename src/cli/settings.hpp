// What the environment and the configuration file say, checked against the table of options.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/option_values.hpp"
#include "webapp/database_location.hpp"

namespace calib {

/// The environment, as `execve` hands it over: `NAME=value` each.
using Environment = std::vector<std::string>;

/// What one layer says, by option name. Values are not empty and hold no NUL; no more is checked.
using Settings = std::map<std::string, std::vector<Setting>, std::less<>>;

struct EnvironmentSettings {
  Settings settings;
  AppVariables app;       ///< the app's own
  bool no_color = false;  ///< NO_COLOR is there and not empty
};

/// Throws UsageError for a CALIB_CLEANUP_… variable that is unknown, empty or there twice.
EnvironmentSettings environment_settings(const Environment& environment);

/// The settings in a --config file. Throws UsageError where it cannot be read or understood, and
/// for keys that are no options and values of the wrong type.
Settings file_settings(const std::filesystem::path& file);

}  // namespace calib
