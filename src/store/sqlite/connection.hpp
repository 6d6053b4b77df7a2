// A connection to the session database, set up for a tool that deletes: how it opens, what it
// refuses, how it waits, and what SQLite's errors mean to a pass.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/dir_io.hpp"
#include "base/stop.hpp"
#include "model/pass_error.hpp"
#include "store/session_store.hpp"

namespace calib::sqlite {

class Connection {
 public:
  /// Opens an existing regular file; never creates one, and never lets anything but SQLite open
  /// it: closing another descriptor on the file would drop SQLite's locks. Throws PassError.
  Connection(const std::filesystem::path& path, Access access, std::chrono::milliseconds wait,
             const StopFlag& stop, Progress* progress = nullptr);
  ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  SQLite::Database& database() { return database_; }
  const std::string& path() const { return path_; }
  bool is_wal() const { return is_wal_; }

  /// How long a lock is waited for from now on, in each call. The stop flag ends any wait.
  void wait_at_most(std::chrono::milliseconds wait) {
    policy_.wait = wait;
    policy_.waited = {};
  }

  /// Syncs what says which commits hold: the write-ahead log or the rollback journal, where there
  /// is one, and the folder in which a journal was removed. Throws PassError.
  void make_durable() const;

  /// With the write lock held. From here on a rollback journal is overwritten, and not made anew
  /// for each transaction, which takes a fifth of the time that the lock is held where there are
  /// many of them. A commit then holds once the journal's header is zeros and synced
  /// (zeroJournalHdr() in SQLite's pager.c). Not where the journal would be another's than the
  /// database is: who cannot read it could not use the database while it stands there.
  void keep_journal();

  /// Once something is committed: whoever closes a database in write-ahead mode last writes its log
  /// into its file. Before that, what others have left in the log stays there: the file's time says
  /// when the app last changed it.
  void write_log_back_at_close() noexcept;

  /// Undoes keep_journal(), and removes what a pass has left that was killed: only where the
  /// database is known to be the app's.
  void remove_journal() noexcept;

  /// Whether a rollback journal stands there, in use or not.
  bool has_journal() const noexcept;
  const char* journal() const noexcept;

  /// Where the database is, behind any link to it.
  std::filesystem::path folder() const;

  /// Throws PassError where the database is not the file any more that its path leads to, through
  /// whatever links: what is read and written is then somebody's past.
  void require_in_place() const;

  /// Runs `work`, and turns what SQLite throws into PassError. Each statement is a transaction, so
  /// nobody suspends the process meanwhile.
  template <typename Work>
  auto translated(Work&& work) -> decltype(work()) {
    const DefersSuspension until_the_end;
    try {
      return work();
    } catch (const SQLite::Exception& error) {
      throw store_error(error);
    }
  }

  /// What `error` means to a pass: one line that names the database and says what to do.
  PassError store_error(const SQLite::Exception& error) const;

 private:
  struct WaitPolicy {
    std::chrono::milliseconds wait{0};
    std::chrono::steady_clock::time_point since = {};
    std::chrono::steady_clock::duration waited{};  ///< in vain
    const StopFlag* stop = nullptr;
    Progress* progress = nullptr;
    std::vector<FileId> files = {};  ///< whoever is waited for has one of these locked
  };
  static int on_busy(void* policy, int count);
  static int on_progress(void* stop);
  void set_up();
  /// False where that cannot be told.
  bool has_journal_mode(std::string_view mode) const noexcept;
  /// Whether the file is where SQLite found it, behind any link.
  bool is_in_place() const noexcept;
  bool is_on_read_only_mount() const;
  /// Whether closing it writes what others have left in the log into the file, or not.
  void keep_log_at_close(bool keep) noexcept;
  /// Whether everybody who may use the database may use a journal that this process makes.
  bool is_shareable() const;
  /// Whether a reader still finds a hot journal.
  bool has_hot_journal() const;

  std::string path_;
  Access access_;
  WaitPolicy policy_;
  SQLite::Database database_;
  std::optional<FileId> file_;  ///< that database_ has open
  bool is_wal_ = false;
};

}  // namespace calib::sqlite
