// The database of one app folder: SQLite's file in it, or a database of its own on the tests'
// PostgreSQL server, where CALIB_TEST_POSTGRESQL names the folder of its socket.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace calib::test {

/// The schemas that stand on users' disks.
enum class AppSchema { june_2025, october_2025, current };
enum class Journal { rollback, wal };

bool on_postgresql();

/// Those that the tests' database can have: on PostgreSQL there is nothing to choose.
std::vector<Journal> journals();

/// Those whose created_at takes any text: SQLite's all do, and where PostgreSQL has a timestamp no
/// test can put anything else into it.
std::vector<AppSchema> schemas_with_dates_as_text();

/// Somebody who uses the database and stands still, with whatever locks he has, until this goes.
/// Then he is gone at once, without a chance to put anything in order.
class DatabaseUser {
 public:
  virtual ~DatabaseUser() = default;
  DatabaseUser(const DatabaseUser&) = delete;
  DatabaseUser& operator=(const DatabaseUser&) = delete;
  DatabaseUser(DatabaseUser&&) = delete;
  DatabaseUser& operator=(DatabaseUser&&) = delete;

 protected:
  DatabaseUser() = default;
};

/// Every call throws where the database refuses.
class Connection {
 public:
  using Row = std::vector<std::string>;

  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  /// Statements, separated by semicolons.
  virtual void execute(const std::string& sql) = 0;
  /// NULL reads as an empty text.
  virtual std::vector<Row> query(const std::string& sql) = 0;

 protected:
  Connection() = default;
};

/// On this connection no foreign key is enforced: rows may dangle.
class AppDatabase : public Connection {
 public:
  /// What --database takes, what DATABASE_URL takes, and what the tool calls it.
  [[nodiscard]] virtual std::string option() const = 0;
  [[nodiscard]] virtual std::string url() const = 0;
  [[nodiscard]] virtual std::string shown() const = 0;

  virtual std::vector<std::string> tables() = 0;
  virtual std::vector<std::string> tables_with_session_id() = 0;
  virtual bool is_sound() = 0;
  /// What the folder's files do not tell of changes; the same as long as nothing is written.
  virtual std::string fingerprint() = 0;

  /// Makes it the same as `other` is.
  virtual void become(AppDatabase& other) = 0;
  /// From here on there is none, or one without a table.
  virtual void vanish() = 0;
  virtual void empty() = 0;

  /// As the app has it: with its own patience, and with its foreign keys as it has them.
  virtual std::unique_ptr<Connection> connection_of_the_app() = 0;
  /// Begins a transaction that lets nobody change the sessions.
  [[nodiscard]] virtual std::string begin_alone() const = 0;

  virtual std::unique_ptr<DatabaseUser> user(const std::string& sql) = 0;
  std::unique_ptr<DatabaseUser> writer() { return user(begin_alone()); }
  /// One whose open transaction lets nobody look at them either.
  virtual std::unique_ptr<DatabaseUser> sole_user() = 0;

  /// All rows as one text, for load(); nothing where the folder's files hold them.
  virtual std::string dump() = 0;
  virtual void load(const std::string& dump) = 0;
  /// Waits until nobody else is connected to a server: who was killed may have sent a COMMIT that
  /// it has yet to read.
  virtual void await_departures() = 0;

 protected:
  AppDatabase() = default;
};

/// The interposer's rule for the moment when a pass commits its first slice: its directories are
/// aside, and nothing is lost yet. `what` is done then, to the call that the commit begins with.
std::string at_commit(const std::string& what);
/// The same for that one and every later one.
std::string at_every_commit(const std::string& what);

/// An SQL expression: so many zeros, as a text. `count` is even.
std::string sql_zeros(std::size_t count);

/// Every row of every table, a line each.
std::vector<std::string> rows_of(AppDatabase& database);

/// Makes it, with its tables, for the app in `root`, where the app finds it, too.
std::unique_ptr<AppDatabase> make_app_database(const std::filesystem::path& root, AppSchema schema,
                                               Journal journal);

/// The makers that it chooses from.
std::unique_ptr<AppDatabase> make_sqlite_database(const std::filesystem::path& root,
                                                  AppSchema schema, Journal journal);
std::unique_ptr<AppDatabase> open_sqlite_database(const std::filesystem::path& file);
std::unique_ptr<AppDatabase> make_postgresql_database(const std::filesystem::path& root,
                                                      AppSchema schema);

/// `text` as SQL: 'it''s'.
std::string sql_text(const std::string& text);

}  // namespace calib::test
