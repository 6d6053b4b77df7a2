// A session database in a file of its own, and the steps of a pass over it, one by one.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <latch>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/stop.hpp"
#include "store/session_store.hpp"
#include "support/temp_dir.hpp"

namespace calib::test {

inline constexpr const char* old_date = "2020-01-01 00:00:00.000000";

/// The one table that every schema has, with its two neighbours left out.
inline constexpr const char* only_sessions =
    "CREATE TABLE sessions (id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL, "
    "created_at DATETIME, PRIMARY KEY (id));";

/// `0000000a-0000-4000-8000-000000000000` for 10: ids whose order is that of the numbers.
std::string uuid(unsigned number);
std::string stereo(const std::string& left, const std::string& right);
/// 'it''s'.
std::string literal(const std::string& text);

/// Takes longer than a table is read in one go.
void outlast_a_piece();

class SessionDb {
 public:
  /// Makes the file with these statements.
  explicit SessionDb(const std::string& sql);

  [[nodiscard]] std::filesystem::path path() const { return *temp_ / "calibration.db"; }
  void execute(const std::string& sql) const;
  [[nodiscard]] std::int64_t number(const std::string& sql) const;
  [[nodiscard]] std::string text(const std::string& sql) const;
  /// A connection of its own, as the app has one, that waits for no lock.
  [[nodiscard]] SQLite::Database connect() const;

  /// Rows of sessions, old, with their directories in `uploads/<id>`.
  void add(const std::vector<std::string>& ids) const;

  /// Every row of every table, without their rowids. Two equal ones: nothing was changed.
  [[nodiscard]] std::map<std::string, std::vector<std::string>> rows() const;

  /// This object must outlive the store.
  [[nodiscard]] std::unique_ptr<SessionStore> open(Access access = Access::read_write) const;

 private:
  std::unique_ptr<TempDir> temp_ = std::make_unique<TempDir>();
  std::unique_ptr<StopFlag> stop_ = std::make_unique<StopFlag>();
};

/// Somebody who writes on a connection of his own, and waits for locks, once he is told to begin;
/// when this goes, at the latest.
class WaitingWriter {
 public:
  WaitingWriter(const SessionDb& database, std::string sql);
  WaitingWriter(const WaitingWriter&) = delete;
  WaitingWriter& operator=(const WaitingWriter&) = delete;
  WaitingWriter(WaitingWriter&&) = delete;
  WaitingWriter& operator=(WaitingWriter&&) = delete;
  ~WaitingWriter() { begin(); }

  /// May be called again.
  void begin();
  [[nodiscard]] bool is_done() const { return done_; }

 private:
  std::latch told_{1};
  bool has_begun_ = false;
  std::atomic<bool> done_ = false;
  std::jthread thread_;
};

/// Rows for each owner's key and table, those with none left out.
using Counted = std::map<std::string, std::map<std::string, std::uint32_t>>;
/// Why, for each owner's key: `gone`, `changed`, `held by <table.column>`.
using Refused = std::map<std::string, std::string>;

/// A session as it was visited.
struct Visited {
  std::string id;
  bool id_is_text = false;
  std::optional<std::string> created_at;
  std::optional<std::string> images_dir;
  std::string claimed;
  bool has_images_dir = false;
  std::uint64_t fingerprint = 0;
};
Visited copy_of(const SessionRow& row);
std::vector<std::string> ids_of(const std::vector<Visited>& sessions);

/// The store under a pass: what it read, and names instead of numbers for the owners.
class StorePass {
 public:
  explicit StorePass(const SessionDb& database, Access access = Access::read_write);

  /// Reads the sessions, and what goes with those of `doomed` that there are.
  void look(const std::vector<std::string>& doomed, Leaked leaked = Leaked::wanted);

  [[nodiscard]] SessionStore& store() { return *store_; }
  [[nodiscard]] const std::vector<Visited>& sessions() const { return sessions_; }
  [[nodiscard]] const Survey& survey() const { return survey_; }
  [[nodiscard]] const std::vector<std::string>& leaked() const { return survey_.leaked_keys; }

  [[nodiscard]] OwnerIndex owner(const std::string& key) const;
  [[nodiscard]] std::vector<OwnerIndex> owners(const std::vector<std::string>& keys) const;
  /// Those that a pass would try: all but the ones that the survey found changed.
  [[nodiscard]] std::vector<OwnerIndex> all() const;
  [[nodiscard]] Refused named(const std::vector<Refusal>& refusals) const;
  [[nodiscard]] Counted named(const RecordCounts& counts) const;
  [[nodiscard]] Counted surveyed() const { return named(survey_.counts); }
  [[nodiscard]] RecordCounts no_counts() const;
  [[nodiscard]] std::unique_ptr<StoreTransaction> begin();

 private:
  std::unique_ptr<SessionStore> store_;
  std::vector<Visited> sessions_;
  std::vector<std::string> ids_;
  std::vector<DoomedKey> doomed_;
  Survey survey_;
};

struct Deleted {
  Counted surveyed;          ///< what the survey said would go
  Refused surveyed_refused;  ///< and who would not
  Counted rows;              ///< what went
  Refused refused;
  CommitOutcome outcome = CommitOutcome::unknown;
};

/// One slice as a pass makes it: whoever is refused is left out, everybody else goes.
Deleted delete_chosen(StorePass& pass, const std::vector<OwnerIndex>& owners);
Deleted delete_sessions(const SessionDb& database, const std::vector<std::string>& doomed,
                        Leaked leaked = Leaked::wanted);

/// What SQLite's own foreign keys make of deleting these sessions in a copy of the database: the
/// rows that are left; nothing where a constraint forbids it.
std::optional<std::map<std::string, std::vector<std::string>>> rows_after_sqlites_own_cascade(
    const SessionDb& database, const std::vector<std::string>& doomed);

/// The PassError that `work` ends with; nothing where it does not.
template <typename Work>
std::optional<PassError> store_error_of(const Work& work) {
  try {
    static_cast<void>(work());
  } catch (const PassError& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace calib::test
