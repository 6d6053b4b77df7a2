// From argv, the environment and a configuration file to Options.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/settings.hpp"
#include "model/database.hpp"
#include "model/options.hpp"

namespace calib {

/// --help or --version was asked for: print this on stdout and end with status 0.
struct InformationText {
  std::string text;
};

/// A shell asks what may follow --session: print the ids in this database.
struct SessionIdsRequest {
  DatabaseLocation database;
};

/// Reads the command line, then `environment` (`CALIB_CLEANUP_<OPTION>`, `DATABASE_URL`), then the
/// file of --config, each only where the one before is silent; then finds the database as the app
/// would. Throws UsageError (status 2). Opens nothing but the --config file and the app's `.env`.
std::variant<Options, InformationText, SessionIdsRequest> parse_options(
    const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace calib
