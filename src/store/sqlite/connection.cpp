#include "store/sqlite/connection.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "base/call.hpp"
#include "base/fd.hpp"
#include "base/system.hpp"

namespace calib::sqlite {
namespace {

using Kind = PassError::Kind;

// Virtual-machine steps between two looks at the stop flag: some hundred microseconds.
constexpr int steps_between_looks = 20'000;

constexpr std::chrono::milliseconds poll_interval{5};
// What a progress line is told of a wait is read five times a second.
constexpr int polls_between_words = 20;

constexpr const char* replaced =
    "the database was replaced or moved away while the pass ran (its path leads to another file "
    "by now, or to none); run again";

constexpr const char* read_only_mount =
    "the database is on a file system that is mounted read-only; mount it writable";

/// The file that a path leads to.
std::optional<FileId> file_at(const char* path) {
  struct stat status {};
  if (::stat(path, &status) != 0) return std::nullopt;
  return FileId{static_cast<std::uint64_t>(status.st_dev), status.st_ino};
}

/// A FIFO would hang open(), a directory or a device is no database; this looks without opening.
std::string checked(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    throw PassError(Kind::unusable, path.string(),
                    "there is no database; is this the app's root folder? Name that with "
                    "--app-dir, or the database with --database");
  }
  if (error) {
    throw PassError(Kind::unusable, path.string(),
                    fmt::format("the database cannot be looked at: {}; run as the app's user",
                                error.message()));
  }
  if (status.type() != std::filesystem::file_type::regular) {
    throw PassError(Kind::unusable, path.string(),
                    "this is no database file; name the right one with --database");
  }
  // SQLite would open these, and wait for ever at a FIFO; beside the file itself, where `path` is a
  // link.
  const auto real = std::filesystem::canonical(path, error);
  if (error) {
    throw PassError(Kind::unusable, path.string(),
                    fmt::format("the way to the database cannot be followed: {}; run as the app's "
                                "user",
                                error.message()));
  }
  // Whoever writes by another name keeps the journal beside that one
  // (https://www.sqlite.org/howtocorrupt.html, "Multiple links to the same file").
  if (std::filesystem::hard_link_count(real, error) > 1 && !error) {
    throw PassError(Kind::unusable, path.string(),
                    "the database file has other names, too (hard links), and part of it may be "
                    "in a journal beside one of them; remove them or make them copies");
  }
  for (const auto* suffix : {"-journal", "-wal", "-shm"}) {
    const auto beside = real.string() + suffix;
    const auto kind = std::filesystem::status(beside, error).type();
    if (kind != std::filesystem::file_type::not_found &&
        kind != std::filesystem::file_type::regular) {
      throw PassError(Kind::unusable, beside,
                      "this is no file, and stands where SQLite keeps one; remove it");
    }
  }
  // Absolute, so that SQLite never takes it for a `file:` URI.
  return std::filesystem::absolute(path).string();
}

SQLite::Database open_file(const std::string& path, Access access) {
  // One thread uses a connection, and each look at a column would take a mutex.
  const int flags = SQLite::OPEN_NOMUTEX |
                    (access == Access::read_only ? SQLite::OPEN_READONLY : SQLite::OPEN_READWRITE);
  try {
    return {path, flags};
  } catch (const SQLite::Exception& error) {
    throw PassError(
        Kind::unusable, path,
        fmt::format("the database cannot be opened: {}; run as the app's user", error.what()));
  }
}

PassError no_room(const std::string& path, const std::string& why) {
  return {Kind::full, path, "there is no room on the disk (" + why + "); free some and run again"};
}

bool means_no_room(int error) { return error == ENOSPC || error == EDQUOT; }

/// Whether the folder takes no file more, or nothing in one. What cannot be tried counts as room.
/// The file has a name, as a journal has: a full disk may still take one without (XFS), and others
/// never do (FUSE).
bool lacks_room(const std::filesystem::path& folder) {
  constexpr mode_t owner_only = S_IRUSR | S_IWUSR;
  constexpr std::array<char, 4096> page{};
  const auto path = folder / fmt::format(".calib-cleanup.room.{}", ::getpid());
  const Fd fd(
      ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, owner_only));
  if (!fd) return means_no_room(errno);
  ::unlink(path.c_str());
  const auto put = ::write(fd.get(), page.data(), page.size());
  return put < 0 ? means_no_room(errno) : static_cast<std::size_t>(put) < page.size();
}

/// Where nobody may write, whoever it is.
bool is_mounted_read_only(const char* path) {
  struct statvfs status {};
  return ::statvfs(path, &status) == 0 && (status.f_flag & ST_RDONLY) != 0;
}

/// Whether the schema holds what this SQLite does not understand, as one of a later version writes
/// it. What is damaged in it is told in other words (corruptSchema() in SQLite's prepare.c).
bool has_unknown_sql(std::string_view why) {
  if (why == "unsupported file format") return true;
  constexpr std::array<std::string_view, 3> damaged{"invalid rootpage", "orphan index",
                                                    "already exists"};
  return why.starts_with("malformed database schema (") &&
         why.find(") - ") != std::string_view::npos &&
         std::none_of(damaged.begin(), damaged.end(), [&](std::string_view words) {
           return why.find(words) != std::string_view::npos;
         });
}

// Affects this connection only.
constexpr const char* keeping_mode = "PRAGMA main.journal_mode=PERSIST";

/// Syncs a file or directory, where it is there.
void sync(const std::string& path) {
  const Fd fd(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
  const auto error = fd ? system::sync_to_disk(fd.get()) : errno_code(errno);
  if (!error || (!fd && error == std::errc::no_such_file_or_directory)) return;
  throw PassError(PassError::Kind::unusable, path,
                  fmt::format("it cannot be synced, and what the database says may be lost with "
                              "the power: {}; see to it that this user may read it and the disk "
                              "is well, and run again",
                              error.message()));
}

}  // namespace

Connection::Connection(const std::filesystem::path& path, Access access,
                       std::chrono::milliseconds wait, const StopFlag& stop, Progress* progress)
    : path_(checked(path)),
      access_(access),
      policy_{.wait = wait, .stop = &stop, .progress = progress},
      database_(open_file(path_, access)) {
  translated([this] { set_up(); });
}

void Connection::set_up() {
  auto* handle = database_.getHandle();
  sqlite3_busy_handler(handle, &Connection::on_busy, &policy_);
  sqlite3_progress_handler(handle, steps_between_looks, &Connection::on_progress, &policy_);

  // Triggers are off: a pass deletes what the contract lists and nothing that a trigger adds.
  constexpr std::array<std::pair<int, int>, 2> settings{{
      {SQLITE_DBCONFIG_DEFENSIVE, 1},
      {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
  }};
  for (const auto& [setting, value] : settings) {
    database_.check(sqlite3_db_config(handle, setting, value, nullptr));
  }
  // Which limits any row that is rewritten, too.
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, max_value_bytes);
  // What is synced is to be on the disk, and not in its own memory: macOS makes a difference there.
  for (const auto* pragma :
       {"PRAGMA fullfsync=ON", "PRAGMA checkpoint_fullfsync=ON", "PRAGMA trusted_schema=OFF",
        "PRAGMA foreign_keys=OFF", "PRAGMA cell_size_check=ON", "PRAGMA temp_store=MEMORY"}) {
    database_.exec(pragma);
  }
  file_ = file_at(sqlite3_db_filename(handle, "main"));
  if (file_) policy_.files.push_back(*file_);
  require_in_place();
  // A log without content goes at the end, whoever made it.
  struct stat log {};
  if (::stat(sqlite3_filename_wal(sqlite3_db_filename(handle, "main")), &log) == 0 &&
      log.st_size > 0) {
    keep_log_at_close(true);
  }
  // From here on the file is read: it may be locked, hot, or no database at all.
  is_wal_ = database_.execAndGet("PRAGMA main.journal_mode").getString() == "wal";
  // The locks of a write-ahead log are there.
  const auto shared_memory =
      file_at((std::string(sqlite3_db_filename(handle, "main")) + "-shm").c_str());
  if (is_wal_ && shared_memory) policy_.files.push_back(*shared_memory);
  if (access_ == Access::read_write) {
    if (sqlite3_db_readonly(handle, "main") == 1) {
      if (is_on_read_only_mount()) throw PassError(Kind::unusable, path_, read_only_mount);
      throw PassError(Kind::unusable, path_,
                      "the database may only be read; run as the app's user");
    }
    database_.exec("PRAGMA main.synchronous=EXTRA");
    // A spilled cache takes the exclusive lock long before the commit.
    database_.exec("PRAGMA cache_spill=OFF");
  }
}

void Connection::keep_log_at_close(bool keep) noexcept {
  sqlite3_db_config(database_.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep ? 1 : 0, nullptr);
}

void Connection::write_log_back_at_close() noexcept { keep_log_at_close(false); }

bool Connection::is_on_read_only_mount() const {
  return is_mounted_read_only(sqlite3_db_filename(database_.getHandle(), "main")) ||
         is_mounted_read_only(folder().c_str());
}

bool Connection::is_in_place() const noexcept {
  int moved = 0;
  const int result =
      sqlite3_file_control(database_.getHandle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return result == SQLITE_OK && moved == 0;
}

void Connection::require_in_place() const {
  const bool leads_here = file_ && file_at(path_.c_str()) == file_;
  if (!leads_here || !is_in_place()) throw PassError(Kind::unusable, path_, replaced);
}

int Connection::on_busy(void* policy, int count) {
  auto& waiting = *static_cast<WaitPolicy*>(policy);
  const auto now = std::chrono::steady_clock::now();
  if (count == 0) waiting.since = now;
  waiting.waited = now - waiting.since;
  if (waiting.stop->requested() || waiting.waited >= waiting.wait) return 0;
  if (waiting.progress != nullptr && count % polls_between_words == polls_between_words - 1) {
    waiting.progress->waits(
        {"waiting for the database", waiting.since, waiting.wait, waiting.files, {}});
  }
  std::this_thread::sleep_for(
      std::min<std::chrono::nanoseconds>(poll_interval, waiting.since + waiting.wait - now));
  return 1;
}

int Connection::on_progress(void* policy) {
  return static_cast<WaitPolicy*>(policy)->stop->requested() ? 1 : 0;
}

bool Connection::has_hot_journal() const {
  // A writer that rolls back may remove its journal between two of SQLite's looks at it. SQLite
  // then takes it for hot (pager.c, hasHotJournal), and leaves it to a playback to find out, which
  // a reader cannot have. What a crash left is still there when it is looked at again.
  constexpr int looks = 3;
  auto* handle = database_.getHandle();
  for (int look = 0; look < looks; ++look) {
    sqlite3_exec(handle, "SELECT 1 FROM sqlite_schema", nullptr, nullptr, nullptr);
    if (sqlite3_extended_errcode(handle) != SQLITE_READONLY_ROLLBACK) return false;
  }
  return true;
}

PassError Connection::store_error(const SQLite::Exception& error) const {
  const auto says = [&](Kind kind, const std::string& text) {
    return PassError(kind, path_, text);
  };
  const std::string why = error.what();
  if (policy_.stop->requested() &&
      (error.getErrorCode() == SQLITE_INTERRUPT || error.getErrorCode() == SQLITE_BUSY)) {
    return says(Kind::stopped, "stopped");
  }
  switch (error.getExtendedErrorCode()) {
    case SQLITE_READONLY_ROLLBACK:
      if (!has_hot_journal()) {
        return says(Kind::disturbed, "a writer rolled back while it was read; try again");
      }
      return says(Kind::unusable,
                  "a crash left a hot journal beside the database; start the app or run a real "
                  "pass first");
    case SQLITE_READONLY_RECOVERY:
    case SQLITE_READONLY_CANTINIT:
    case SQLITE_READONLY_CANTLOCK:
      return says(Kind::unusable,
                  "the database is in WAL mode, and its -shm file cannot be used by this user; "
                  "start the app, or run as the app's user");
    case SQLITE_READONLY_DBMOVED:
      return says(Kind::unusable, replaced);
    default:
      break;
  }
  if (error.getErrorCode() == SQLITE_CANTOPEN || error.getErrorCode() == SQLITE_IOERR) {
    // A journal or a -shm file for which there is no room, or no inode. What SQLite cannot make it
    // tries to open (unixOpen() in its os_unix.c), and says only that it is not there.
    const int number = sqlite3_system_errno(database_.getHandle());
    if (means_no_room(number) || (number == ENOENT && lacks_room(folder()))) {
      return no_room(path_, why);
    }
    if (number == EFBIG) {
      return says(Kind::full,
                  "a file may not grow as large as this takes; raise the limit for files (ulimit "
                  "-f), or move the database to a file system that takes larger ones");
    }
    if (is_on_read_only_mount()) return says(Kind::unusable, read_only_mount);
  }
  if (has_unknown_sql(why)) {
    return says(Kind::unusable,
                fmt::format("SQLite {} cannot read the database's schema ({}): a later version may "
                            "have written it; run with a newer libsqlite3, or drop there what it "
                            "names (its \"pragma integrity_check\" tells whether all is well)",
                            sqlite3_libversion(), why));
  }
  switch (error.getErrorCode()) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return still_locked(path_, policy_.waited, system::lock_holder(policy_.files));
    case SQLITE_FULL:
      return no_room(path_, why);
    case SQLITE_TOOBIG:
      return says(
          Kind::refused,
          fmt::format("an id, an images_dir, a created_at, a reference to a session or a row "
                      "that has to be changed is larger than {} MiB; shorten it or delete "
                      "its row",
                      max_value_bytes >> 20U));
    case SQLITE_CONSTRAINT:
      return says(Kind::refused, "the database would not have the change: " + why);
    case SQLITE_NOTADB:
      return says(Kind::unusable,
                  "this is not an SQLite database; name the right one with "
                  "--database");
    case SQLITE_CORRUPT:
      if (error.getExtendedErrorCode() == SQLITE_CORRUPT_INDEX) {
        return says(Kind::unusable, "an index of the database is damaged (" + why +
                                        "); stop the app, have the indexes made anew ('sqlite3 … "
                                        "REINDEX'), and run again");
      }
      return says(Kind::unusable, "the database is damaged (" + why +
                                      "); look at it with 'sqlite3 … \"pragma integrity_check\"' "
                                      "and restore a backup");
    case SQLITE_IOERR:
      return says(Kind::unusable,
                  "the database failed: " + why + "; see to the disk that it is on, and run again");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      if (is_on_read_only_mount()) return says(Kind::unusable, read_only_mount);
      return says(Kind::unusable,
                  "the database cannot be used (" + why + "); run as the app's user");
    default:
      return says(Kind::unusable, "the database failed: " + why);
  }
}

void Connection::keep_journal() {
  if (has_journal_mode("delete") && is_shareable()) database_.exec(keeping_mode);
}

void Connection::remove_journal() noexcept {
  if (access_ == Access::read_only) return;
  if (has_journal_mode("delete") && has_journal())
    static_cast<void>(database_.tryExec(keeping_mode));
  // Not one of another database that stands there now, whose locks are not ours; and where somebody
  // has gone over to a write-ahead log, that stays. What SQLite cannot remove, since somebody else
  // uses it, does no harm: its header is zeros, and the next writer removes it.
  if (has_journal_mode("persist") && is_in_place()) {
    static_cast<void>(database_.tryExec("PRAGMA main.journal_mode=DELETE"));
  }
}

bool Connection::has_journal() const noexcept {
  struct stat status {};
  return ::lstat(journal(), &status) == 0;
}

const char* Connection::journal() const noexcept {
  return sqlite3_filename_journal(sqlite3_db_filename(database_.getHandle(), "main"));
}

std::filesystem::path Connection::folder() const {
  return std::filesystem::path(sqlite3_db_filename(database_.getHandle(), "main")).parent_path();
}

bool Connection::is_shareable() const {
  // SQLite gives a journal the mode of the database, and its owner only where root asks.
  if (::geteuid() == 0) return true;
  struct stat status {};
  struct stat around {};
  if (::stat(sqlite3_db_filename(database_.getHandle(), "main"), &status) != 0) return false;
  if (::stat(folder().c_str(), &around) != 0) return false;
  const auto group = (around.st_mode & S_ISGID) != 0 ? around.st_gid : ::getegid();
  const bool same_group = status.st_gid == group || (status.st_mode & S_IRWXG) == 0;
  return status.st_uid == ::geteuid() && same_group;
}

bool Connection::has_journal_mode(std::string_view mode) const noexcept {
  std::pair<std::string_view, bool> wanted{mode, false};
  const auto compare = [](void* to, int, char** values, char**) {
    auto& [name, same] = *static_cast<decltype(wanted)*>(to);
    same = name == *values;
    return 0;
  };
  sqlite3_exec(database_.getHandle(), "PRAGMA main.journal_mode", compare, &wanted, nullptr);
  return wanted.second;
}

void Connection::make_durable() const {
  // Whoever commits has synced the database itself before its journal goes, and a checkpoint before
  // a log is used again. The log, the journal and the folder are not in SQLite's locks, unlike the
  // database.
  sync(sqlite3_filename_wal(sqlite3_db_filename(database_.getHandle(), "main")));
  sync(journal());
  sync(folder().string());
}

}  // namespace calib::sqlite
