// What a pass did, or would do: values only.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limited_list.hpp"
#include "base/text_pool.hpp"
#include "base/timestamp.hpp"
#include "model/options.hpp"
#include "model/session.hpp"
#include "model/usage.hpp"

namespace calib {

/// What went wrong, as monitoring wants to count it.
enum class ErrorKind {
  session,
  directory,
  orphan,
  records,
  database,
  uploads,
  busy,
  limit,
  output,
  interrupted
};

/// One thing that should have gone, or been done, and was not.
struct Failure {
  std::string path;   ///< what it is about: a path, a session's id, a table; raw bytes
  std::string error;  ///< what happened and what to do, one sentence, raw bytes
  ErrorKind kind = ErrorKind::directory;
};

/// Of one kind are those that name different things in the same words.
std::string kind_of_failure(const Failure& failure);
std::string kind_of_warning(const std::string& warning);
using Failures = LimitedList<Failure, kind_of_failure, 1000>;
using Warnings = LimitedList<std::string, kind_of_warning, 1000>;

/// What a step of a pass has to tell, beside what it did.
struct Notes {
  Warnings warnings;
  Failures errors;

  void add(const Notes& others) {
    warnings.add(others.warnings);
    errors.add(others.errors);
  }
};

/// A session that went, or would go. There may be a million of them, so the texts are views.
struct SessionLine {
  std::string_view id;
  std::string_view created_at;     ///< as the database has it; empty where it is NULL
  std::optional<Instant> created;  ///< where created_at could be read
  std::string_view directory;      ///< its name in the uploads folder
  Usage usage;
  std::vector<std::uint32_t> records;  ///< rows, in the order of Report::tables
};

/// A directory without a session that went, or would go.
struct OrphanLine {
  std::string name;
  std::optional<Instant> changed;
  Usage usage;
};

/// What an interrupted pass had left behind.
struct Recovery {
  std::uint64_t restored = 0;  ///< staged directories given back to sessions that are still there
  std::uint64_t purged = 0;    ///< staged directories of sessions that are gone
};

/// Nothing where nobody has counted.
struct Kept {
  std::optional<std::uint64_t> sessions;
  std::optional<std::uint64_t> directories;  ///< those that are not hidden
  /// Bytes in the uploads folder that stay, all files counted; where they were measured.
  std::optional<std::uint64_t> allocated_bytes;
};

/// So many of them, and what they occupy where there was the time to measure that.
struct Directories {
  std::uint64_t count = 0;
  std::optional<std::uint64_t> allocated_bytes;
};

/// How it ended. Orders as the exit status does not: see exit_status().
enum class Outcome {
  done,        ///< 0 where errors is empty, else 1
  failed,      ///< 3: it could not run; nothing was changed
  busy,        ///< 4: another pass or a lock; nothing was changed
  interrupted  ///< 128 + signal
};

struct Report {
  DryRun dry_run = DryRun::no;
  Mode mode = Mode::expired;
  double hours = 24;              ///< meant only where mode is expired
  std::optional<Instant> cutoff;  ///< where mode is expired
  /// In a dry run: --max-delete, where more than that is listed: a pass would delete none of it.
  std::optional<std::uint64_t> over_limit;
  std::uint64_t asked_for = 0;     ///< where mode is named: so many ids
  std::uint64_t kept_by_name = 0;  ///< sessions that --keep names, and that are there
  Instant started;
  /// Stands for this database and this folder, where the one is proven to be the other's, so that
  /// a pass right after this one knows it, too; else empty.
  std::string proof;
  /// What would go, each as a hash of what it is, in order; and which database and folder that is.
  std::vector<std::uint64_t> items;
  std::string place;
  std::string database;  ///< printable form, no password
  std::string uploads;

  std::vector<std::string> tables;                        ///< names for SessionLine::records
  std::vector<TextPool> texts;                            ///< what views in `sessions` show
  std::vector<SessionLine> sessions;                      ///< deleted, or would be
  std::vector<OrphanLine> orphans;                        ///< removed, or would be
  std::map<std::string, std::uint64_t> orphaned_records;  ///< table -> leaked rows deleted
  /// Rows of stereo pairs that went with one of their two sessions, while the other one stays.
  std::uint64_t halved_pairs = 0;
  Recovery recovery;
  Kept kept;
  /// In a dry run: of what an interrupted pass has left; and of directories that are no session's
  /// and stay, and how many these are.
  Usage leftovers;
  Usage unclaimed_kept;
  std::uint64_t unclaimed_kept_count = 0;
  /// Directories that are aside at the end: the next pass settles them. In a dry run: now.
  std::optional<Directories> staged;
  /// Directories without a session that stay for now, for they changed within --orphan-grace.
  std::optional<Directories> spared;
  std::vector<OrphanLine> spared_orphans;  ///< in a dry run: these
  std::chrono::microseconds orphan_grace{0};
  std::vector<KeptSession> kept_sessions;            ///< in a dry run
  std::optional<std::uint64_t> database_bytes;       ///< in a dry run; where it is told
  std::optional<std::uint64_t> database_free_bytes;  ///< what --vacuum can give back; where told
  std::optional<DiskSpace> disk;                     ///< in a dry run; where it is told
  std::uint64_t freed_bytes = 0;                     ///< allocated, hard links settled
  std::optional<std::uint64_t> total_bytes;          ///< the whole uploads folder, where measured
  std::optional<std::uint64_t> vacuumed_bytes;       ///< given back by --vacuum (dry run: would be)
  std::chrono::microseconds duration{0};
  Warnings warnings;
  Failures errors;
  Outcome outcome = Outcome::done;
  int signal = 0;  ///< where outcome is interrupted
};

}  // namespace calib
