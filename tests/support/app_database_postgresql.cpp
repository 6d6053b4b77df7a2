#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "postgresql/postgresql_client.hpp"
#include "postgresql/postgresql_server.hpp"
#include "support/app_database.hpp"
#include "support/app_schemas.hpp"

namespace calib::test {
namespace {

namespace fs = std::filesystem;

/// The folder of the server's socket.
std::string host() {
  const char* place = std::getenv("CALIB_TEST_POSTGRESQL");
  if (place == nullptr) throw std::runtime_error("CALIB_TEST_POSTGRESQL is not set");
  return fs::canonical(place).string();
}

/// The app's foreign keys would refuse most of what a database has that came from SQLite; what
/// loads such a database switches them off in the same way.
enum class Keys { enforced, ignored };

PostgresqlClient connect(const std::string& database, Keys keys = Keys::ignored) {
  return PostgresqlClient(
      fmt::format("host={} user={} dbname={} options='-c session_replication_role={}'", host(),
                  postgresql_superuser, database, keys == Keys::ignored ? "replica" : "origin"));
}

std::vector<Connection::Row> texts_of(const std::vector<PostgresqlClient::Row>& rows) {
  std::vector<Connection::Row> result;
  for (const auto& row : rows) {
    auto& texts = result.emplace_back();
    for (const auto& value : row) texts.push_back(value.value_or(""));
  }
  return result;
}

std::string identifier(const std::string& name) {
  std::string result = "\"";
  for (const char c : name) {
    result += c;
    if (c == '"') result += c;
  }
  return result + '"';
}

const char* template_name(AppSchema schema) {
  return schema == AppSchema::june_2025      ? "june_2025"
         : schema == AppSchema::october_2025 ? "october_2025"
                                             : "current";
}

/// A copy of it is the database of one test. The first test that needs it makes it.
std::string prepared_template(PostgresqlClient& server, AppSchema schema) {
  std::string name = template_name(schema);
  const auto exists = fmt::format("SELECT 1 FROM pg_database WHERE datname = '{}'", name);
  if (!server.run(exists).empty()) return name;
  server.run("SELECT pg_advisory_lock(1)");
  if (server.run(exists).empty()) {
    // Under another name until it is complete.
    server.run(fmt::format("DROP DATABASE IF EXISTS new_{} WITH (FORCE)", name));
    server.run(fmt::format("CREATE DATABASE new_{}", name));
    connect("new_" + name).run(postgresql_tables_of(schema));
    server.run(fmt::format("ALTER DATABASE new_{0} RENAME TO {0}", name));
  }
  server.run("SELECT pg_advisory_unlock(1)");
  return name;
}

class Client : public DatabaseUser {
 public:
  Client(const std::string& database, const std::string& sql) : client_(connect(database)) {
    client_.run(sql);
  }

 private:
  PostgresqlClient client_;
};

class AppConnection : public Connection {
 public:
  explicit AppConnection(const std::string& database)
      : client_(connect(database, Keys::enforced)) {}
  void execute(const std::string& sql) override { client_.run(sql); }
  std::vector<Row> query(const std::string& sql) override { return texts_of(client_.run(sql)); }

 private:
  PostgresqlClient client_;
};

class PostgresqlDatabase : public AppDatabase {
 public:
  PostgresqlDatabase(const fs::path& root, AppSchema schema) : root_(root) {
    static std::atomic<int> number{0};
    name_ = fmt::format("test_{}_{}", ::getpid(), ++number);
    auto server = connect("postgres");
    // Where the process number comes again, what a killed test left may still be there.
    server.run(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_));
    server.run(fmt::format("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name_,
                           prepared_template(server, schema)));
    write_dotenv();
  }
  ~PostgresqlDatabase() override {
    if (maker_ != ::getpid()) return;
    try {
      client_.reset();
      connect("postgres").run(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_));
    } catch (const std::exception&) {  // it goes with the server
    }
  }
  PostgresqlDatabase(const PostgresqlDatabase&) = delete;
  PostgresqlDatabase& operator=(const PostgresqlDatabase&) = delete;
  PostgresqlDatabase(PostgresqlDatabase&&) = delete;
  PostgresqlDatabase& operator=(PostgresqlDatabase&&) = delete;

  [[nodiscard]] std::string option() const override { return shown() + "?host=" + host(); }
  [[nodiscard]] std::string url() const override { return option(); }
  [[nodiscard]] std::string shown() const override {
    return fmt::format("postgresql://{}@/{}", postgresql_superuser, name_);
  }

  void execute(const std::string& sql) override { client().run(sql); }

  std::vector<Row> query(const std::string& sql) override { return texts_of(client().run(sql)); }

  std::vector<std::string> tables() override {
    return names("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
  }

  std::vector<std::string> tables_with_session_id() override {
    return names(
        "SELECT t.tablename FROM pg_tables t JOIN information_schema.columns c ON c.table_schema = "
        "t.schemaname AND c.table_name = t.tablename WHERE t.schemaname = 'public' AND "
        "c.column_name = 'session_id'");
  }

  bool is_sound() override { return !query("SELECT 1").empty(); }

  std::string fingerprint() override {
    std::string result;
    if (vanished_) return result;
    for (const auto& table : tables()) {
      // Who wrote a row, and where it lies: a row that is written anew with what it had differs.
      for (const auto& row : query(fmt::format(
               "SELECT ctid, xmin, md5(t::text) FROM {} t ORDER BY 1", identifier(table)))) {
        result += fmt::format("{} {} {}: {}\n", table, row[0], row[1], row[2]);
      }
    }
    return result;
  }

  void become(AppDatabase& other) override {
    auto& source = dynamic_cast<PostgresqlDatabase&>(other);
    source.client_.reset();
    client_.reset();
    auto server = connect("postgres");
    server.run(fmt::format("DROP DATABASE {} WITH (FORCE)", name_));
    server.run(
        fmt::format("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name_, source.name_));
    write_dotenv();
  }
  void vanish() override {
    client_.reset();
    connect("postgres").run(fmt::format("DROP DATABASE {} WITH (FORCE)", name_));
    vanished_ = true;
  }
  void empty() override { execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public"); }

  std::unique_ptr<Connection> connection_of_the_app() override {
    return std::make_unique<AppConnection>(name_);
  }

  std::unique_ptr<DatabaseUser> user(const std::string& sql) override {
    return std::make_unique<Client>(name_, sql);
  }
  [[nodiscard]] std::string begin_alone() const override {
    return "BEGIN; LOCK TABLE sessions IN SHARE ROW EXCLUSIVE MODE";
  }
  std::unique_ptr<DatabaseUser> sole_user() override {
    return user("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE");
  }

  std::string dump() override {
    std::string sql;
    for (const auto& table : tables()) {
      sql +=
          fmt::format("{}SELECT {}, coalesce(json_agg(t ORDER BY t::text)::text, '[]') FROM {} t",
                      sql.empty() ? "" : " UNION ALL ", sql_text(table), identifier(table));
    }
    auto result = nlohmann::json::object();
    for (const auto& row : query(sql)) result[row[0]] = nlohmann::json::parse(row[1]);
    return result.dump();
  }

  void await_departures() override {
    while (!query("SELECT pg_sleep(0.001) FROM pg_stat_activity WHERE datname = current_database() "
                  "AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
                .empty()) {
    }
  }

  void load(const std::string& dump) override {
    await_departures();
    std::string names;
    std::string inserts;
    const auto all = nlohmann::json::parse(dump);
    for (const auto& [table, rows] : all.items()) {
      names += (names.empty() ? "" : ", ") + identifier(table);
      inserts +=
          fmt::format("INSERT INTO {0} SELECT * FROM json_populate_recordset(NULL::{0}, {1});",
                      identifier(table), sql_text(rows.dump()));
    }
    execute("BEGIN; TRUNCATE " + names + ';' + inserts + "COMMIT");
  }

 private:
  PostgresqlClient& client() {
    if (client_ && !client_->is_ours()) client_->forget();
    if (!client_ || !client_->is_ours() || !client_->is_open()) client_.emplace(connect(name_));
    return *client_;
  }

  std::vector<std::string> names(const std::string& sql) {
    std::vector<std::string> result;
    for (auto& row : query(sql + " ORDER BY 1")) result.push_back(std::move(row.at(0)));
    return result;
  }

  void write_dotenv() const {
    std::ofstream(root_ / "backend" / ".env") << "DATABASE_URL=" << option() << '\n';
  }

  fs::path root_;
  std::string name_;
  pid_t maker_ = ::getpid();
  bool vanished_ = false;
  std::optional<PostgresqlClient> client_;
};

}  // namespace

std::unique_ptr<AppDatabase> make_postgresql_database(const fs::path& root, AppSchema schema) {
  return std::make_unique<PostgresqlDatabase>(root, schema);
}

}  // namespace calib::test
