// What the user asked for, wherever they said it: command line, environment, configuration file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "webapp/database_location.hpp"

namespace calib {

enum class DryRun { no, yes };
enum class Verbosity { quiet, normal, verbose };
enum class When { automatic, always, never };
enum class Format { text, json };
enum class Vacuum { no, yes };

/// Which sessions go. The three exclude each other.
enum class Mode {
  expired,       ///< --hours: by age, orphans too
  orphans_only,  ///< --orphans-only: what has no session
  named,         ///< --session: these, whatever their age; no orphans
};

struct Options {
  Mode mode = Mode::expired;
  double hours = 24;                  ///< finite, not negative
  std::vector<std::string> sessions;  ///< ids of --session, no id twice
  DryRun dry_run = DryRun::no;
  std::filesystem::path app_dir = ".";
  DatabaseLocation database;  ///< resolved as the app resolves it
  /// Why `database` cannot be served, where it cannot: the pass fails with it (status 3), so that
  /// JSON and metrics tell of it too.
  std::optional<std::string> database_error;
  std::filesystem::path uploads;
  bool uploads_named = false;  ///< by --uploads, wherever that was said: it is the right folder
  std::chrono::microseconds orphan_grace{0};
  std::optional<std::uint64_t> max_delete;
  std::chrono::milliseconds lock_wait{30'000};
  unsigned jobs = 0;  ///< 0: as many as the rate says, see Workers
  Vacuum vacuum = Vacuum::no;
  Format format = Format::text;
  std::optional<std::filesystem::path> metrics;
  Verbosity verbosity = Verbosity::normal;
  When progress = When::automatic;
  When color = When::automatic;
};

/// Wrong usage: status 2. The message is one line that names what is wrong and says what to do.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// --help or --version was asked for: print this on stdout and end with status 0.
struct InformationText {
  std::string text;
};

/// A shell asks what may follow --session: print the ids in this database.
struct SessionIdsRequest {
  DatabaseLocation database;
};

/// The environment, as `execve` hands it over: `NAME=value` each.
using Environment = std::vector<std::string>;

/// Reads the command line, then `environment` (`CALIB_CLEANUP_<OPTION>`, `DATABASE_URL`), then the
/// file of --config, each only where the one before is silent; then finds the database as the app
/// would. Throws UsageError (status 2). Opens nothing but the --config file and the app's `.env`.
std::variant<Options, InformationText, SessionIdsRequest> parse_options(
    const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace calib
