// What says which commits hold: the rollback journal, and how that comes to the disk.
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/fd.hpp"
#include "store/sqlite/connection.hpp"

namespace calib::sqlite {
namespace {

// Affects this connection only.
constexpr const char* keep = "PRAGMA main.journal_mode=PERSIST";

/// Syncs a file or directory, where it is there.
void sync(const std::string& path) {
  const auto attempt = [](auto&& call) {
    int result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
  };
  const Fd fd(attempt([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
  if (!fd && errno == ENOENT) return;
  if (fd && attempt([&] { return ::fsync(fd.get()); }) == 0) return;
  throw StoreError(StoreError::Kind::unusable, path,
                   fmt::format("it cannot be synced, and what the database says may be lost with "
                               "the power: {}; see to it that this user may read it and the disk "
                               "is well, and run again",
                               std::generic_category().message(errno)));
}

}  // namespace

void Connection::keep_journal() {
  if (has_journal_mode("delete") && is_shareable()) database_.exec(keep);
}

void Connection::remove_journal() noexcept {
  if (access_ == Access::read_only) return;
  if (has_journal_mode("delete") && has_journal()) static_cast<void>(database_.tryExec(keep));
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
