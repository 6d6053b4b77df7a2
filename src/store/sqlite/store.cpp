// The session database in SQLite. This folder is the only one that sees SQLiteCpp.
#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <numeric>

#include "base/links.hpp"
#include "base/text.hpp"
#include "model/pass_error.hpp"
#include "store/session_keys.hpp"
#include "store/sqlite/closure.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/knowledge.hpp"
#include "store/sqlite/mark.hpp"
#include "store/sqlite/own_log.hpp"
#include "store/sqlite/pieces.hpp"
#include "store/sqlite/scan.hpp"
#include "store/sqlite/schema.hpp"
#include "store/sqlite/transaction.hpp"
#include "store/sqlite/unplaced.hpp"

namespace calib::sqlite {

namespace {

/// While one lives, SQLite has its temporary files in this folder, where the room for them was
/// looked for: /var/tmp may be small, or in memory. Not where the environment names another one.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& folder) {
    if (std::getenv("SQLITE_TMPDIR") == nullptr) {
      sqlite3_temp_directory = sqlite3_mprintf("%s", folder.c_str());
    }
  }
  ~TemporaryFolder() {
    sqlite3_free(sqlite3_temp_directory);
    sqlite3_temp_directory = nullptr;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  TemporaryFolder(TemporaryFolder&&) = delete;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
};

/// As long as one lives, locks are waited for no longer than this.
class ShorterWait {
 public:
  ShorterWait(Connection& connection, std::chrono::milliseconds wait,
              std::chrono::milliseconds usual)
      : connection_(connection), usual_(usual) {
    connection_.wait_at_most(wait);
  }
  ~ShorterWait() { connection_.wait_at_most(usual_); }
  ShorterWait(const ShorterWait&) = delete;
  ShorterWait& operator=(const ShorterWait&) = delete;
  ShorterWait(ShorterWait&&) = delete;
  ShorterWait& operator=(ShorterWait&&) = delete;

 private:
  Connection& connection_;
  std::chrono::milliseconds usual_;
};

// VACUUM and the checkpoint after it wait for readers with a lock that keeps all others out.
constexpr std::chrono::milliseconds max_vacuum_wait{1000};

class SqliteStore : public SessionStore {
 public:
  SqliteStore(const std::filesystem::path& path, Access access, std::chrono::milliseconds wait,
              const StopFlag& stop, Progress* progress)
      : path_(path), wait_(wait), stop_(stop), connection_(path, access, wait, stop, progress) {
    connection_.translated([&] {
      SQLite::Database& database = connection_.database();
      // One read transaction: the version is that of the schema.
      database.exec("BEGIN");
      knowledge_.schema_version = read_schema_version(connection_);
      try {
        knowledge_.schema = read_schema(database);
      } catch (const PassError& error) {
        throw PassError(error.kind(), connection_.path(), error.text());
      }
      database.exec("COMMIT");
    });
    knowledge_.direct = direct_tables(knowledge_.schema);
    closure_ = std::make_unique<Closure>(connection_, knowledge_.schema, knowledge_.direct);
    for (std::size_t table = 0; table < knowledge_.schema.tables.size(); ++table) {
      const bool is_direct =
          std::any_of(knowledge_.direct.begin(), knowledge_.direct.end(),
                      [&](const DirectTable& direct) { return direct.table == table; });
      if (is_direct || closure_->covers(table)) knowledge_.counted_tables.push_back(table);
    }
  }

  ~SqliteStore() override {
    connection_.wait_at_most(std::chrono::milliseconds{0});
    connection_.remove_journal();
  }
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  SqliteStore(SqliteStore&&) = delete;
  SqliteStore& operator=(SqliteStore&&) = delete;

  void visit_sessions(const SessionVisitor& visit) override {
    keys_ = {};
    read_sessions([&](const SessionRow& row) {
      keys_.add(row.id);
      visit(row);
    });
    keys_.settle();
  }

  std::uint64_t count_sessions() override {
    std::uint64_t count = 0;
    connection_.translated([&] {
      const auto& schema = knowledge_.schema;
      read_in_pieces(
          connection_, schema.tables[schema.sessions], "NULL",
          [&](const SQLite::Statement&) { ++count; }, [] {});
    });
    return count;
  }

  void reread_sessions(const SessionVisitor& visit) override {
    // A transaction reads a few by itself, and tells of some more whether they are as they were.
    if (!knowledge_.has_many_sessions()) return;
    if (!knowledge_.has_very_many_sessions() && !knowledge_.sessions_changed) return;
    connection_.translated([&] {
      if (read_data_version(connection_) == knowledge_.data_version) return;
      require_same_schema(connection_, knowledge_);
      read_sessions(visit);
    });
  }

  Survey survey(std::span<const DoomedKey> doomed, Leaked leaked) override {
    return connection_.translated([&] {
      knowledge_.doomed = doomed;
      keys_.set_doomed(doomed);
      Survey survey;
      for (const auto table : knowledge_.counted_tables) {
        survey.tables.push_back(knowledge_.schema.tables[table].name);
      }
      survey.counts = RecordCounts(doomed.size(), survey.tables.size());
      take_anchors();
      LeakedKeys found(doomed.size());
      for (auto& direct : knowledge_.direct) {
        require_same_schema(connection_, knowledge_);
        scan_table(connection_, knowledge_.schema, keys_, direct,
                   leaked == Leaked::wanted ? &found : nullptr, survey,
                   knowledge_.column_of(direct.table));
      }
      require_same_schema(connection_, knowledge_);
      survey.leaked_keys = found.take();
      knowledge_.leaked_keys = survey.leaked_keys;
      LeakCheck check(connection_);
      // The sessions were read before these rows, so an upload may have come in between.
      for (std::size_t i = 0; i < survey.leaked_keys.size(); ++i) {
        if (check.is_leaked(survey.leaked_keys[i])) continue;
        survey.refused.push_back(
            {static_cast<OwnerIndex>(doomed.size() + i), Refusal::Reason::changed, {}});
      }
      add_deeper_rows(survey);
      for (const auto& unplaced : knowledge_.schema.unplaced) {
        auto rows = look_at_unplaced(connection_, unplaced, keys_, doomed.size());
        if (rows) survey.unplaced.push_back(std::move(*rows));
      }
      return survey;
    });
  }

  std::unique_ptr<StoreTransaction> begin(std::chrono::milliseconds wait) override {
    connection_.translated([&] { closure_->make_tables(); });
    return std::make_unique<Transaction>(connection_, knowledge_, *closure_, wait, wait_);
  }

  std::vector<bool> present(std::span<const OwnerIndex> owners) override {
    // A connection of its own: the other's idea of the database may be what is wrong. It may have
    // to roll a hot journal back, so it is no read-only one.
    Connection fresh(path_, Access::read_write, wait_, stop_);
    connection_.require_in_place();
    auto result = fresh.translated([&] {
      SQLite::Statement look(fresh.database(), "SELECT 1 FROM main.sessions WHERE id = ?1");
      std::vector<bool> found;
      for (const auto owner : owners) {
        look.bind(1, std::string(knowledge_.key_of(owner)));
        found.push_back(look.executeStep());
        look.reset();
      }
      return found;
    });
    const bool none = std::find(result.begin(), result.end(), true) == result.end();
    if (none && !result.empty() && !fresh.is_wal()) {
      fresh.translated([&] { require_no_journal(fresh); });
    }
    return result;
  }

  void make_durable() override { connection_.make_durable(); }

  std::optional<std::uint64_t> size_bytes() override { return bytes_of("PRAGMA main.page_count"); }

  std::optional<std::uint64_t> free_bytes() override {
    return bytes_of("PRAGMA main.freelist_count");
  }

  std::uint64_t vacuum() override {
    connection_.require_in_place();
    return connection_.translated([&] {
      const auto given_back = free_bytes().value_or(0);
      auto& database = connection_.database();
      // The copy, and the journal of what it replaces, may each grow to the size of the database.
      const auto needed = 2U * bytes_of("PRAGMA main.page_count");
      std::error_code error;
      const auto space = std::filesystem::space(connection_.folder(), error);
      if (error || space.available < needed) {
        throw PassError(PassError::Kind::full, connection_.path(),
                        fmt::format("that takes {} of free disk space", size_text(needed)));
      }
      // Its copy belongs on the disk; in memory, where our own tables are, it may not fit.
      closure_.reset();
      database.exec("PRAGMA temp_store=FILE");
      const TemporaryFolder folder(connection_.folder());
      // All of it goes through the cache: what that may not spill has to fit into the memory.
      database.exec("PRAGMA cache_spill=ON");
      // As large as the database, its journal is nothing to keep.
      connection_.remove_journal();
      // While SQLite waits for readers nobody else gets in.
      const ShorterWait shorter(connection_, std::min(wait_, max_vacuum_wait), wait_);
      run_vacuum();
      if (connection_.is_wal()) {
        // The file shrinks when the log goes into it, for which nobody may still read the old
        // state.
        SQLite::Statement checkpoint(database, "PRAGMA main.wal_checkpoint(TRUNCATE)");
        if (checkpoint.executeStep() && checkpoint.getColumn(0).getInt() != 0) {
          throw PassError(PassError::Kind::disturbed, connection_.path(),
                          "it is vacuumed, but its file keeps its size until nobody reads what was "
                          "before; where that lasts, restart the app");
        }
      }
      return given_back;
    });
  }

  std::string mark() override { return mark_of_file(path_); }

  [[nodiscard]] std::vector<std::string> remarks() const override {
    if (knowledge_.schema.triggers.empty()) return {};
    return {fmt::format(
        "{}: the database has {} on tables of sessions ({}, …); a pass does not "
        "run them",
        connection_.path(), count_text(knowledge_.schema.triggers.size(), "trigger", "triggers"),
        knowledge_.schema.triggers.front())};
  }

 private:
  /// `count` asks for a number of pages.
  std::uint64_t bytes_of(const char* count) {
    return connection_.translated([&] {
      auto& database = connection_.database();
      const auto pages = database.execAndGet(count).getInt64();
      const auto size = database.execAndGet("PRAGMA main.page_size").getInt64();
      return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size);
    });
  }

  /// The rest of the pass needs no function, collation or module of the app's; to build all indexes
  /// anew does.
  void run_vacuum() {
    auto& database = connection_.database();
    // A row that the tool would not read is none of its business here.
    sqlite3_limit(database.getHandle(), SQLITE_LIMIT_LENGTH, std::numeric_limits<int>::max());
    const int result = database.tryExec("VACUUM main");
    if (result == SQLITE_OK) return;
    const SQLite::Exception error(database.getHandle(), result);
    switch (error.getErrorCode()) {
      case SQLITE_ERROR:
      case SQLITE_CONSTRAINT:
      case SQLITE_TOOBIG:
        throw PassError(
            PassError::Kind::refused, connection_.path(),
            fmt::format("{}; leave --vacuum out, or vacuum with the app", error.what()));
      case SQLITE_NOMEM:
        throw PassError(
            PassError::Kind::refused, connection_.path(),
            fmt::format("{}; leave --vacuum out, or give it more memory", error.what()));
      case SQLITE_BUSY:
        throw_if_requested(stop_);
        throw PassError(PassError::Kind::busy, connection_.path(),
                        "others have it open for reading or writing; try again when they are done");
      default:
        throw SQLite::Exception(error);
    }
  }

  /// After a sync that failed the next one may succeed without anything reaching the disk
  /// (fsync(2)), so a journal that says "committed" may say otherwise after a power loss. While the
  /// lock is ours nobody else has one.
  static void require_no_journal(Connection& connection) {
    connection.database().exec("BEGIN IMMEDIATE");
    connection.remove_journal();
    const bool is_left = connection.has_journal();
    connection.database().exec("ROLLBACK");
    if (is_left) {
      throw PassError(PassError::Kind::unusable, connection.journal(),
                      "it is still there, and may undo that commit after a power loss");
    }
  }

  void read_sessions(const SessionVisitor& visit) {
    connection_.translated([&] {
      const auto& schema = knowledge_.schema;
      const auto& table = schema.tables[schema.sessions];
      const int first = static_cast<int>(table.identity.size());
      SeenSessions seen;
      const auto version = read_data_version(connection_);
      read_in_pieces(
          connection_, table, session_columns(schema),
          [&](SQLite::Statement& statement) {
            const auto row = session_row(statement, first, schema);
            seen.add(row.fingerprint, rowid_of(statement, table));
            visit(row);
          },
          [&] { require_same_schema(connection_, knowledge_); });
      knowledge_.sessions = seen;
      knowledge_.sessions_changed = false;
      knowledge_.data_version = version;
    });
  }

  /// Before any of these tables is read.
  void take_anchors() {
    const auto& schema = knowledge_.schema;
    knowledge_.anchors.assign(schema.tables.size(), std::nullopt);
    knowledge_.deeper.assign(schema.tables.size(), {});
    knowledge_.rows.assign(schema.tables.size(), 0);
    knowledge_.surveyed_version = read_data_version(connection_);
    for (std::size_t table = 0; table < schema.tables.size(); ++table) {
      std::vector<std::string> columns;
      for (const auto& key : schema.keys) {
        if (key.child == table) columns.insert(columns.end(), key.from.begin(), key.from.end());
      }
      if (columns.empty() || !schema.tables[table].has_rowid) continue;
      knowledge_.anchors[table].emplace(schema.tables[table], columns).take(connection_);
    }
  }

  /// Rows of the tables that runs do not tell all about, and who may not go for their sake.
  void add_deeper_rows(Survey& survey) {
    std::vector<Closure::Owner> owners(knowledge_.doomed.size() + knowledge_.leaked_keys.size());
    for (std::size_t i = 0; i < owners.size(); ++i) {
      const auto owner = static_cast<OwnerIndex>(i);
      owners[i] = {owner, knowledge_.key_of(owner), knowledge_.is_session(owner)};
    }
    const bool simple = std::all_of(
        knowledge_.schema.keys.begin(), knowledge_.schema.keys.end(), [&](const ForeignKey& key) {
          return key.role == Role::hangs && !closure_->covers(key.child);
        });
    if (simple || owners.empty()) return;
    closure_->make_tables();
    closure_->start(owners, closure_->all_rows(), Closure::Lookup::in_ranges);
    for (const auto& direct : knowledge_.direct) {
      if (direct.plain || !knowledge_.schema.tables[direct.table].has_rowid) continue;
      for (std::size_t position = 0; position < direct.keys.size(); ++position) {
        RunStatement seed(connection_, knowledge_, closure_->seed_statement(direct, position));
        for (const auto& run : direct.runs[position]) seed.execute(run);
      }
    }
    closure_->spread();
    knowledge_.deeper = closure_->rows_concerned();
    for (std::size_t table = 0; table < knowledge_.rows.size(); ++table) {
      knowledge_.rows[table] = closure_->rows_met(table);
    }
    closure_->look_at([this](std::size_t table, const RangeVisitor& visit) {
      for (const auto& run : knowledge_.deeper[table]) visit(run.first, run.last);
    });
    const auto held = take_held_out(*closure_);
    survey.refused.insert(survey.refused.end(), held.begin(), held.end());
    closure_->count(survey.counts, [&](std::size_t table) { return knowledge_.column_of(table); });
    survey.unplaced = closure_->unplaced(knowledge_.doomed.size());
  }

  std::filesystem::path path_;
  std::chrono::milliseconds wait_;
  const StopFlag& stop_;
  Connection connection_;
  Knowledge knowledge_;
  SessionKeys keys_;
  std::unique_ptr<Closure> closure_;
};

/// Throws where nothing is there, and tells who has said so.
void require_there(const DatabaseLocation& location) {
  std::error_code error;
  const auto kind = std::filesystem::status(location.path, error).type();
  if (kind != std::filesystem::file_type::not_found || location.said_by.empty()) return;
  const auto refuse = [&](const std::string& text) {
    throw PassError(PassError::Kind::unusable, location.path.string(), text);
  };
  const auto end = behind_links(location.path);
  if (end != location.path.lexically_normal()) {
    refuse(
        fmt::format("it leads to {}, which is not there; mount or make that, or name another "
                    "database with --database",
                    end.string()));
  }
  if (!location.maybe_meant.empty()) {
    refuse(
        fmt::format("there is no database; a relative path starts at the working directory: did "
                    "you mean {}?",
                    location.maybe_meant.string()));
  }
  refuse(fmt::format(
      "there is no database, but {} names it; correct that{}", location.said_by,
      location.named == Named::on_command_line ? "" : ", or name another with --database"));
}

}  // namespace
}  // namespace calib::sqlite

namespace calib {

std::unique_ptr<SessionStore> open_sqlite_store(const DatabaseLocation& location, Access access,
                                                std::chrono::milliseconds wait,
                                                const StopFlag& stop, Progress* progress) {
  sqlite::require_there(location);
  sqlite::require_own_log(location.path, stop);
  return std::make_unique<sqlite::SqliteStore>(location.path, access, wait, stop, progress);
}

}  // namespace calib
