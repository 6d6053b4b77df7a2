// What the user asked for, wherever they said it: command line, environment, configuration file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/database.hpp"

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
  std::vector<std::string> keep;  ///< ids of --keep in lower case, none twice: they do not expire
  /// Nobody has said what goes, nor that he does not want to be asked: whoever sits at a terminal
  /// may not know.
  bool may_ask = false;
  DryRun dry_run = DryRun::no;
  std::filesystem::path app_dir = ".";
  DatabaseLocation database;  ///< resolved as the app resolves it
  /// Why `database` cannot be served, where it cannot: the pass fails with it (status 3), so that
  /// JSON and metrics tell of it too.
  std::optional<std::string> database_error;
  std::filesystem::path uploads;
  /// What a pass told that found its folder proven (Report::proof); empty: none.
  std::string proof;
  bool uploads_named = false;  ///< by --uploads, wherever that was said: it is the right folder
  std::chrono::microseconds orphan_grace{0};
  std::optional<std::uint64_t> max_delete;
  /// What somebody was shown and has said yes to. Nothing else goes.
  struct Confirmed {
    std::vector<std::uint64_t> items;  ///< Report::items of what was shown
    std::string place;                 ///< the same of Report::place
  };
  std::optional<Confirmed> confirmed;
  std::chrono::milliseconds lock_wait{30'000};
  unsigned jobs = 0;  ///< 0: as many as the rate says, see Workers
  Vacuum vacuum = Vacuum::no;
  Format format = Format::text;
  std::optional<std::filesystem::path> metrics;
  std::optional<std::filesystem::path> config;  ///< the file that some of this was read from
  Verbosity verbosity = Verbosity::normal;
  When progress = When::automatic;
  When color = When::automatic;
};

/// Wrong usage: status 2. The message is one line that names what is wrong and says what to do.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace calib
