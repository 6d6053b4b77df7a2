#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "support/app_database.hpp"
#include "support/app_schemas.hpp"

namespace calib::test {
namespace {

namespace fs = std::filesystem;

/// A process of its own: a test that reads the database's file would lose the locks of its own
/// connections.
class Process : public DatabaseUser {
 public:
  Process(const fs::path& database, const std::string& sql) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe2");
    }
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ == 0) {
      try {
        SQLite::Database opened(database.string(), SQLite::OPEN_READWRITE);
        opened.setBusyTimeout(60'000);
        opened.exec(sql);
        if (::write(pipe[1], "", 1) == 1) {
          for (;;) ::pause();
        }
      } catch (const std::exception&) {  // the parent learns it by the end of the pipe
      }
      ::_exit(1);
    }
    ::close(pipe[1]);
    char ready = 0;
    const auto got = ::read(pipe[0], &ready, 1);
    ::close(pipe[0]);
    if (got == 1) return;
    end();
    throw std::runtime_error(sql);
  }
  ~Process() override { end(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  Process(Process&&) = delete;
  Process& operator=(Process&&) = delete;

 private:
  void end() const {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid_ = -1;
};

class SqliteDatabase : public AppDatabase {
 public:
  explicit SqliteDatabase(fs::path file, int wait_ms = 10'000)
      : file_(std::move(file)), wait_ms_(wait_ms) {}

  [[nodiscard]] std::string option() const override { return file_.string(); }
  [[nodiscard]] std::string url() const override { return "sqlite:///" + file_.string(); }
  [[nodiscard]] std::string shown() const override { return file_.string(); }

  void execute(const std::string& sql) override { open().exec(sql); }

  std::vector<Row> query(const std::string& sql) override {
    auto database = open();
    SQLite::Statement statement(database, sql);
    std::vector<Row> rows;
    while (statement.executeStep()) {
      auto& row = rows.emplace_back();
      for (int i = 0; i < statement.getColumnCount(); ++i) {
        row.push_back(statement.getColumn(i).getString());
      }
    }
    return rows;
  }

  std::vector<std::string> tables() override {
    return names(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
  }

  std::vector<std::string> tables_with_session_id() override {
    return names(
        "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c "
        "WHERE m.type = 'table' AND c.name = 'session_id'");
  }

  bool is_sound() override { return query("PRAGMA integrity_check").at(0).at(0) == "ok"; }
  std::string fingerprint() override { return {}; }

  void become(AppDatabase& other) override {
    fs::copy_file(other.option(), file_, fs::copy_options::overwrite_existing);
  }
  void vanish() override { fs::remove(file_); }
  void empty() override { fs::remove(file_); }

  std::unique_ptr<Connection> connection_of_the_app() override {
    // sqlite3.connect() of Python hands this to the same busy handler.
    return std::make_unique<SqliteDatabase>(file_, 5000);
  }
  [[nodiscard]] std::string begin_alone() const override { return "BEGIN IMMEDIATE"; }

  std::unique_ptr<DatabaseUser> user(const std::string& sql) override {
    return std::make_unique<Process>(file_, sql);
  }
  std::unique_ptr<DatabaseUser> sole_user() override { return user("BEGIN EXCLUSIVE"); }

  std::string dump() override { return {}; }
  void load(const std::string&) override {}
  void await_departures() override {}

 private:
  [[nodiscard]] SQLite::Database open() const {
    SQLite::Database database(file_.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    database.setBusyTimeout(wait_ms_);
    // What the tests write need not survive a power failure; what the tool writes is another
    // matter.
    database.exec("PRAGMA synchronous=OFF");
    return database;
  }

  std::vector<std::string> names(const std::string& sql) {
    std::vector<std::string> result;
    for (auto& row : query(sql)) result.push_back(std::move(row.at(0)));
    return result;
  }

  fs::path file_;
  int wait_ms_;
};

}  // namespace

std::unique_ptr<AppDatabase> open_sqlite_database(const fs::path& file) {
  return std::make_unique<SqliteDatabase>(file);
}

std::unique_ptr<AppDatabase> make_sqlite_database(const fs::path& root, AppSchema schema,
                                                  Journal journal) {
  auto database = open_sqlite_database(root / "backend" / "calibration.db");
  if (journal == Journal::wal) database->execute("PRAGMA journal_mode=WAL");
  database->execute(tables_of(schema));
  return database;
}

}  // namespace calib::test
