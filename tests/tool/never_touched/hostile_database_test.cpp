// Databases that somebody made in order to cost people their data, their memory or their time. What
// is due may stay, with a line that says why; a session that is not due, and what lies outside,
// never goes.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

const std::string due = "11111111-1111-4111-8111-111111111111";
const std::string alive = "33333333-3333-4333-8333-333333333333";

constexpr const char* usual_sessions =
    "CREATE TABLE sessions (id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL, created_at DATETIME, "
    "PRIMARY KEY (id));";
constexpr const char* usual_images =
    "CREATE TABLE calibration_images (id INTEGER NOT NULL, session_id VARCHAR, image_path VARCHAR, "
    "PRIMARY KEY (id), FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE);";

/// A session that is due and one that is not, with a directory and a row of images each, in a
/// database that is made by other statements than the app's.
class HostileApp : public App {
 public:
  explicit HostileApp(const std::string& tables = std::string(usual_sessions) + usual_images) {
    fs::remove(database());
    execute(tables);
    add_directory(due);
    add_directory(alive);
  }

  void add_usual_rows() const {
    execute(
        fmt::format("INSERT INTO sessions (id, images_dir, created_at) VALUES "
                    "('{0}', 'uploads/{0}', '{2}'), ('{1}', 'uploads/{1}', '{3}');"
                    "INSERT INTO calibration_images (session_id, image_path) VALUES "
                    "('{0}', 'a.png'), ('{1}', 'b.png')",
                    due, alive, hours_ago(48), hours_ago(1)));
  }

  /// With sqlite_schema open for writing.
  void damage(const std::string& sql) const {
    SQLite::Database file(database().string(), SQLite::OPEN_READWRITE);
    sqlite3_db_config(file.getHandle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
    file.exec("PRAGMA writable_schema=ON");
    file.exec(sql);
  }

  [[nodiscard]] bool has_files(const std::string& name) const {
    return fs::exists(uploads() / name / "image_000.png") &&
           fs::exists(uploads() / name / "image_001.png");
  }
};

bool outside_is_untouched(const App& app) {
  std::string text;
  std::getline(std::ifstream(app.outside() / "sentinel"), text);
  return text == "nothing may touch this";
}

/// A dry run and a real pass: never a status outside of the contract, a word on stderr whenever it
/// is not 0, and no harm to who lives. Returns the real pass.
Ran check_no_harm(const HostileApp& app, const std::vector<std::string>& arguments = {}) {
  auto dry_arguments = arguments;
  dry_arguments.emplace_back("--dry-run");
  const auto before = app.fingerprint();
  for (const bool dry : {true, false}) {
    const auto ran = run_on(app, dry ? dry_arguments : arguments);
    const auto said = diagnostics_of(ran);
    INFO(ran.err.substr(0, 2000));
    CHECK((ran.status == 0 || ran.status == 1 || ran.status == 3));
    CHECK((ran.status != 0) == !said.errors.empty());
    CHECK(said.strays.empty());
    CHECK(outside_is_untouched(app));
    CHECK(app.has_files(alive));
    if (dry) CHECK(app.fingerprint() == before);
    if (ran.status == 3) CHECK(app.has_files(due));
    if (!dry) return ran;
  }
  return {};
}

/// The same, refused as a whole: nothing was changed, and one line has these parts.
void check_refused(const HostileApp& app, const std::vector<std::string>& parts) {
  const auto ran = check_no_harm(app);
  INFO(ran.err.substr(0, 2000));
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, parts));
  CHECK(app.has_files(due));
}

}  // namespace

TEST_CASE("virtual tables and their shadows are no tables of the app", "[tool][hostile][sqlite]") {
  SECTION("sessions") {
    const HostileApp app(
        fmt::format("CREATE VIRTUAL TABLE sessions USING fts5 (id, images_dir, created_at);"
                    "INSERT INTO sessions VALUES ('{0}', 'uploads/{0}', '{1}')",
                    due, hours_ago(48)));
    check_refused(app, {"no table sessions"});
  }
  SECTION("the table of images that stands for an images_dir") {
    const HostileApp app(
        "CREATE TABLE sessions (id VARCHAR PRIMARY KEY, created_at DATETIME);"
        "CREATE VIRTUAL TABLE calibration_images USING fts5 (session_id)");
    check_refused(app, {"no column images_dir"});
  }
  SECTION("others") {
    const HostileApp app;
    app.add_usual_rows();
    app.execute(fmt::format(
        "CREATE VIRTUAL TABLE words USING fts5 (session_id); CREATE VIRTUAL TABLE pages USING "
        "dbstat; INSERT INTO words VALUES ('{}')",
        due));
    CHECK(check_no_harm(app).status == 0);
    CHECK_FALSE(fs::exists(app.uploads() / due));
    CHECK(app.number("SELECT count(*) FROM words") == 1);
  }
}

TEST_CASE("a damaged schema is refused with what is wrong with it", "[tool][hostile][sqlite]") {
  const auto damage = GENERATE(as<std::string>{},
                               "UPDATE sqlite_schema SET sql = 'CREATE TABLE sessions(' WHERE name "
                               "= 'sessions'",
                               "UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'sessions'",
                               "UPDATE sqlite_schema SET rootpage = 1 WHERE name = "
                               "'calibration_images'",
                               "UPDATE sqlite_schema SET rootpage = 99999 WHERE name = "
                               "'calibration_images'",
                               "UPDATE sqlite_schema SET rootpage = 'x' WHERE name = "
                               "'calibration_images'",
                               "UPDATE sqlite_schema SET sql = replace(sql, "
                               "'TABLE calibration_images', 'TABLE sessions') WHERE name = "
                               "'calibration_images'",
                               "UPDATE sqlite_schema SET sql = zeroblob(100) WHERE type = 'table'");
  CAPTURE(damage);
  const HostileApp app;
  app.add_usual_rows();
  app.damage(damage);
  check_refused(app, {app.database().string(), "malformed", "integrity_check"});
}

TEST_CASE("what a later SQLite has written into the schema is not called damage",
          "[tool][hostile][sqlite]") {
  const HostileApp app;
  app.add_usual_rows();
  SECTION("a view") {
    app.damage(
        "INSERT INTO sqlite_schema VALUES ('view', 'v', 'v', 0, 'CREATE VIEW v AS SELECT id FROM "
        "sessions AS OF YESTERDAY')");
  }
  SECTION("a trigger") {
    app.damage(
        "INSERT INTO sqlite_schema VALUES ('trigger', 't', 'sessions', 0, 'CREATE TRIGGER t "
        "WHENEVER sessions BEGIN SELECT 1; END')");
  }
  SECTION("an option of a table") {
    app.damage(
        "CREATE TABLE notes (x); UPDATE sqlite_schema SET sql = sql || ' FUTURE' WHERE name = "
        "'notes'");
  }
  SECTION("the file's format") {
    std::fstream file(app.database(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(47);  // the last byte of the schema format number: at most 4 by now
    file.put(5);
  }
  const auto ran = check_no_harm(app);
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {app.database().string(), "SQLite " + std::string(sqlite3_libversion()),
                           "newer libsqlite3"}));
  CHECK(ran.err.find("damage") == std::string::npos);
  CHECK(ran.err.find("backup") == std::string::npos);
}

TEST_CASE("a table that lies on top of sessions takes no session along",
          "[tool][hostile][sqlite]") {
  // Deleting its rows would delete those of sessions.
  const HostileApp app(std::string(usual_sessions) + usual_images +
                       "CREATE TABLE extra (session_id VARCHAR REFERENCES sessions (id) ON DELETE "
                       "CASCADE)");
  app.add_usual_rows();
  app.damage(
      "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = "
      "'sessions') WHERE name = 'extra'");
  const auto ran = check_no_harm(app);
  CHECK(ran.status != 0);
  CHECK(app.has_files(due));
  CHECK(app.number("SELECT count(*) FROM sessions NOT INDEXED") == 2);
}

TEST_CASE("an index or a collation that only the app's own connection knows stops the pass whole",
          "[tool][hostile][sqlite]") {
  const HostileApp app(usual_sessions);
  std::string missing;
  {
    SQLite::Database file(app.database().string(), SQLite::OPEN_READWRITE);
    const auto nothing = [](sqlite3_context* context, int, sqlite3_value**) {
      sqlite3_result_null(context);
    };
    const auto order = [](void*, int left, const void* a, int right, const void* b) {
      const std::string_view one(static_cast<const char*>(a), static_cast<std::size_t>(left));
      return one.compare({static_cast<const char*>(b), static_cast<std::size_t>(right)});
    };
    REQUIRE(sqlite3_create_function(file.getHandle(), "app_fn", 1,
                                    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, nullptr,
                                    nothing, nullptr, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_create_collation(file.getHandle(), "app_order", SQLITE_UTF8, nullptr, order) ==
            SQLITE_OK);
    SECTION("a function in an index") {
      missing = "app_fn";
      file.exec(std::string(usual_images) +
                "CREATE INDEX i ON calibration_images (app_fn(image_path))");
    }
    SECTION("a function in the condition of an index") {
      missing = "app_fn";
      file.exec(std::string(usual_images) +
                "CREATE INDEX i ON calibration_images (image_path) WHERE app_fn(image_path)");
    }
    SECTION("a collation of the key") {
      missing = "app_order";
      file.exec(
          "DROP TABLE sessions; CREATE TABLE sessions (id VARCHAR COLLATE app_order PRIMARY KEY, "
          "images_dir VARCHAR, created_at DATETIME);" +
          std::string(usual_images));
    }
    file.exec(fmt::format(
        "INSERT INTO sessions VALUES ('{0}', 'uploads/{0}', '{2}'), ('{1}', 'uploads/{1}', '{3}'); "
        "INSERT INTO calibration_images (session_id) VALUES ('{0}')",
        due, alive, hours_ago(48), hours_ago(1)));
  }
  const auto ran = check_no_harm(app);
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {app.database().string(), missing}));
  CHECK(app.has_files(due));
}

TEST_CASE("generated columns are read like any other", "[tool][hostile][sqlite]") {
  const auto* const kind = GENERATE("VIRTUAL", "STORED");
  const HostileApp app(fmt::format(
      "CREATE TABLE sessions (raw TEXT, id TEXT AS (lower(raw)) {0} UNIQUE, images_dir "
      "TEXT AS ('uploads/' "
      "|| lower(raw)) {0}, created_at DATETIME);"
      "CREATE TABLE calibration_images (raw TEXT, session_id TEXT AS (lower(raw)) {0} REFERENCES "
      "sessions (id) ON DELETE CASCADE);"
      "INSERT INTO sessions (raw, created_at) VALUES (upper('{1}'), '{3}'), (upper('{2}'), '{4}');"
      "INSERT INTO calibration_images (raw) VALUES (upper('{1}')), (upper('{2}'))",
      kind, due, alive, hours_ago(48), hours_ago(1)));
  CHECK(check_no_harm(app).status == 0);
  CHECK_FALSE(fs::exists(app.uploads() / due));
  CHECK(app.number("SELECT count(*) FROM sessions") == 1);
  CHECK(app.number("SELECT count(*) FROM calibration_images") == 1);
}

TEST_CASE("a reference in a generated column cannot be set, so it holds its session",
          "[tool][hostile][sqlite]") {
  const auto* const action = GENERATE("SET NULL", "SET DEFAULT");
  const auto* const kind = GENERATE("VIRTUAL", "STORED");
  const HostileApp app(
      fmt::format("{}{} CREATE TABLE extra (raw TEXT, owner TEXT AS (raw) {} REFERENCES sessions "
                  "(id) ON DELETE {})",
                  usual_sessions, usual_images, kind, action));
  app.add_usual_rows();
  app.execute(fmt::format("INSERT INTO extra (raw) VALUES ('{}')", due));
  const auto ran = check_no_harm(app);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"session " + due, "extra.owner", "left whole"}));
  CHECK(app.has_files(due));
}

TEST_CASE("a generated column that fails, or is without bounds, ends the pass",
          "[tool][hostile][sqlite]") {
  const auto* const value = GENERATE("hex(zeroblob(400000000))", "abs(raw)");
  CAPTURE(value);
  const HostileApp app(fmt::format(
      "CREATE TABLE sessions (id VARCHAR, created_at DATETIME, raw INTEGER); {} INSERT INTO "
      "sessions VALUES ('{}', '{}', -9223372036854775807 - 1); ALTER TABLE sessions ADD COLUMN "
      "images_dir TEXT AS ({})",
      usual_images, due, hours_ago(48), value));
  check_refused(app, {app.database().string()});
}

TEST_CASE("ids that the database takes for equal are never told apart by guessing",
          "[tool][hostile][sqlite]") {
  const auto* const collation = GENERATE("NOCASE", "RTRIM");
  const auto twin = std::string(collation) == "NOCASE" ? "ABCDEF" : "abcdef  ";
  const HostileApp app(fmt::format(
      "CREATE TABLE sessions (id VARCHAR COLLATE {}, images_dir VARCHAR, created_at DATETIME);{}"
      "INSERT INTO sessions VALUES ('abcdef', 'uploads/{}', '{}'), ('{}', 'uploads/{}', '{}')",
      collation, usual_images, due, hours_ago(48), twin, alive, hours_ago(1)));
  const auto ran = check_no_harm(app);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"session abcdef", "its id stands twice"}));
  CHECK(app.has_files(due));
  CHECK(app.number("SELECT count(*) FROM sessions") == 2);
}

TEST_CASE("ids that are numbers leave their sessions whole", "[tool][hostile][sqlite]") {
  const HostileApp app(std::string("CREATE TABLE sessions (id INTEGER PRIMARY KEY AUTOINCREMENT, "
                                   "images_dir VARCHAR, created_at DATETIME);") +
                       usual_images);
  app.execute(fmt::format(
      "INSERT INTO sessions (images_dir, created_at) VALUES ('uploads/{}', '{}'), ('uploads/{}', "
      "'{}'); INSERT INTO calibration_images (session_id) VALUES (1), ('1'), (1.0)",
      due, hours_ago(48), alive, hours_ago(1)));
  const auto ran = check_no_harm(app);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"session 1", "left whole"}));
  CHECK(app.has_files(due));
  CHECK(app.number("SELECT count(*) FROM calibration_images") == 3);
}

TEST_CASE("a table's name breaks no line and drives no terminal", "[tool][hostile][sqlite]") {
  const HostileApp app;
  app.add_usual_rows();
  app.execute(fmt::format(
      "CREATE TABLE \"new\nline\x1b[31m\" (session_id VARCHAR REFERENCES sessions (id) ON DELETE "
      "CASCADE); INSERT INTO \"new\nline\x1b[31m\" VALUES ('{}'), "
      "('99999999-9999-4999-8999-999999999999')",
      due));
  const auto dry = run_on(app, {"--dry-run"});
  CHECK(dry.out.find('\x1b') == std::string::npos);
  CHECK(dry.out.find("new\\x0aline\\x1b[31m") != std::string::npos);
  const auto document = run_on(app, {"--dry-run", "--json"}).json();
  CHECK(document["orphaned_records"]["new\nline\x1b[31m"] == 1);
  CHECK(check_no_harm(app).status == 0);
  CHECK(app.number("SELECT count(*) FROM \"new\nline\x1b[31m\"") == 0);
}

TEST_CASE("AUTOINCREMENT goes on where it was", "[tool][hostile][sqlite]") {
  const HostileApp app(std::string(usual_sessions) +
                       "CREATE TABLE calibration_images (id INTEGER PRIMARY KEY AUTOINCREMENT, "
                       "session_id VARCHAR REFERENCES sessions (id), image_path VARCHAR)");
  app.add_usual_rows();
  CHECK(check_no_harm(app).status == 0);
  CHECK(app.number("SELECT count(*) FROM calibration_images") == 1);
  CHECK(app.number("SELECT seq FROM sqlite_sequence") == 2);
}
