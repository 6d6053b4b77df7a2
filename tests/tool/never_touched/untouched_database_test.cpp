// Nothing is touched where the database is missing, is no database, or is another app's; and no
// session whose age nobody knows.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// Everything that a pass on a wrong database could cost: a session that is due and an orphan.
struct RichApp : App {
  RichApp() {
    add_session(48);
    add_directory(new_uuid());
  }
};

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Refused with status 3 and one line with these parts; not a byte and not a time has changed.
void check_refused(const App& app, const std::vector<std::string>& parts,
                   const std::vector<std::string>& arguments = {}) {
  for (const bool dry : {false, true}) {
    auto all = arguments;
    if (dry) all.emplace_back("--dry-run");
    const auto before = app.fingerprint();
    const auto ran = run_on(app, all);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(ran.out.empty());
    CHECK(is_one_error(ran, parts));
    CHECK(app.fingerprint() == before);
  }
}

}  // namespace

TEST_CASE("another program's database keeps its journal", "[tool][untouched][sqlite]") {
  const RichApp app;
  fs::remove(app.database());
  {
    SQLite::Database other(app.database().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    other.exec("PRAGMA journal_mode=PERSIST; CREATE TABLE theirs (x)");
  }
  REQUIRE(fs::file_size(app.database().string() + "-journal") > 0);
  check_refused(app, {app.database().string()});
}

TEST_CASE("a database that is missing is never created, and nothing is touched",
          "[tool][untouched][sqlite]") {
  const RichApp app;
  SECTION("where the app keeps it") {
    fs::remove(app.database());
    check_refused(app, {app.database().string(), "there is no database", "--database"});
    CHECK_FALSE(fs::exists(app.database()));
  }
  SECTION("where --database says, although the app's own stands") {
    const auto missing = app.root() / "backend" / "other.db";
    check_refused(app, {missing.string(), "there is no database"},
                  {"--database", missing.string()});
    CHECK_FALSE(fs::exists(missing));
  }
  SECTION("in a folder that is missing") {
    const auto missing = app.root() / "no" / "such" / "folder.db";
    check_refused(app, {missing.string()}, {"--database", missing.string()});
    CHECK_FALSE(fs::exists(app.root() / "no"));
  }
  SECTION("behind a link that leads nowhere") {
    fs::remove(app.database());
    fs::create_symlink(app.outside() / "made.db", app.database());
    check_refused(app, {app.database().string()});
    CHECK_FALSE(fs::exists(app.outside() / "made.db"));
  }
}

TEST_CASE("what is no file is refused as a database, and a FIFO does not hang the tool",
          "[tool][untouched][sqlite]") {
  const RichApp app;
  fs::remove(app.database());
  SECTION("a directory") { fs::create_directory(app.database()); }
  SECTION("a FIFO") { REQUIRE(::mkfifo(app.database().c_str(), 0600) == 0); }
  SECTION("a device") { fs::create_symlink("/dev/zero", app.database()); }
  check_refused(app, {app.database().string(), "no database file", "--database"});
}

TEST_CASE("a file that is no SQLite database is refused and stays as it is",
          "[tool][untouched][sqlite]") {
  const RichApp app;
  SECTION("text") {
    write(app.database(), std::string(5000, 'x'));
    check_refused(app, {app.database().string(), "not an SQLite database", "--database"});
  }
  SECTION("a few bytes") {
    write(app.database(), "hello");
    check_refused(app, {app.database().string()});
  }
  SECTION("the beginning of one") {
    fs::resize_file(app.database(), 3000);
    check_refused(app, {app.database().string()});
  }
  SECTION("nothing") {
    write(app.database(), "");
    check_refused(app, {app.database().string(), "no table sessions"});
    CHECK(fs::file_size(app.database()) == 0);
  }
}

TEST_CASE("the database of another app is refused, however much it looks like this app's",
          "[tool][untouched]") {
  struct Other {
    std::string sql;
    std::string why;
  };
  const std::string images = "CREATE TABLE calibration_images (id INTEGER, session_id VARCHAR);";
  const auto other = GENERATE_COPY(values<Other>({
      {"CREATE TABLE notes (id INTEGER)", "no table sessions"},
      {"CREATE TABLE sessions (id VARCHAR, images_dir VARCHAR)", "no column created_at"},
      {"CREATE TABLE sessions (sid VARCHAR, images_dir VARCHAR, created_at TIMESTAMP)",
       "no column id"},
      {"CREATE TABLE sessions (id VARCHAR, created_at TIMESTAMP)", "no column images_dir"},
      {"CREATE TABLE sessions (id VARCHAR, created_at TIMESTAMP); "
       "CREATE TABLE calibration_images (id INTEGER, owner VARCHAR)",
       "no column images_dir"},
      {"CREATE TABLE all_sessions (id VARCHAR, images_dir VARCHAR, created_at TIMESTAMP); "
       "CREATE VIEW sessions AS SELECT * FROM all_sessions",
       "no table sessions"},
      {images + "CREATE VIEW sessions AS SELECT session_id AS id, '2020-01-01 00:00:00' AS "
                "created_at FROM calibration_images",
       "no table sessions"},
      {"CREATE TABLE sessions (id VARCHAR, created_at TIMESTAMP); CREATE VIEW calibration_images "
       "AS SELECT id AS session_id FROM sessions",
       "no column images_dir"},
  }));
  CAPTURE(other.sql);
  const RichApp app;
  app.empty_database();
  app.execute(other.sql);
  if (other.sql.starts_with("CREATE TABLE sessions (id VARCHAR, images_dir VARCHAR)")) {
    app.execute("INSERT INTO sessions VALUES ('old', 'uploads/old')");
  }
  check_refused(
      app, {app.database_shown(), "not the calibration app's database", other.why, "--database"});
}

TEST_CASE("a foreign key to sessions that is composite or not to id is not this app's",
          "[tool][untouched]") {
  std::vector<std::string> tables{
      "CREATE TABLE extra (a VARCHAR, b VARCHAR, FOREIGN KEY (a, b) REFERENCES sessions (id, "
      "images_dir))",
      "CREATE TABLE extra (session_id VARCHAR, FOREIGN KEY (session_id) REFERENCES sessions "
      "(images_dir) ON DELETE CASCADE)",
      "CREATE TABLE extra (at TIMESTAMP REFERENCES sessions (created_at) ON DELETE SET NULL)"};
  // SQLite takes them, and complains when they are used.
  if (!on_postgresql()) {
    tables.emplace_back(
        "CREATE TABLE extra (session_id VARCHAR, b VARCHAR, FOREIGN KEY (session_id, b) REFERENCES "
        "sessions ON DELETE CASCADE)");
    tables.emplace_back(
        "CREATE TABLE extra (session_id VARCHAR REFERENCES sessions (no_such_column))");
  }
  const auto table = GENERATE_COPY(from_range(tables));
  CAPTURE(table);
  const RichApp app;
  // Else PostgreSQL makes no key that refers to them.
  app.execute(
      "CREATE UNIQUE INDEX one ON sessions (images_dir); CREATE UNIQUE INDEX two ON sessions "
      "(created_at); CREATE UNIQUE INDEX three ON sessions (id, images_dir)");
  app.execute(table);
  check_refused(app, {"not the calibration app's database", "foreign key of extra to sessions"});
}

TEST_CASE("a foreign key to the whole key of sessions, where that is not id alone, is refused",
          "[tool][untouched]") {
  const RichApp app;
  app.empty_database();
  app.execute(
      "CREATE TABLE sessions (id VARCHAR, images_dir VARCHAR, created_at TIMESTAMP, "
      "PRIMARY KEY (images_dir));"
      "CREATE TABLE calibration_images (session_id VARCHAR REFERENCES sessions)");
  check_refused(app, {"not the calibration app's database", "calibration_images"});
}

TEST_CASE(
    "a session whose created_at nobody can read, or that is in the future, is kept and counted",
    "[tool][untouched]") {
  const auto schema = GENERATE(from_range(schemas_with_dates_as_text()));
  const auto* const hours = GENERATE("0", "24");
  App app(schema);
  std::vector<std::string> kept;
  std::vector<std::string> dates{"NULL",
                                 "''",
                                 "'yesterday'",
                                 "'2020-01-01'",
                                 "'2020-02-30 10:00:00'",
                                 "'0000-00-00 00:00:00'",
                                 "'2020-01-01 10:00:00 '",
                                 "1577872800",
                                 "2458849.5",
                                 sql_text(hours_ago(-1)),
                                 "'9999-12-31 23:59:59.999999'"};
  if (!on_postgresql()) {
    dates.insert(dates.end(),
                 {"X'323032302d30312d30312031303a30303a3030'", "'2020-01-01 10:00:00' || char(0)"});
  }
  for (const auto& created_at : dates) {
    kept.push_back(app.add_session(48));
    app.execute(fmt::format("UPDATE sessions SET created_at = {} WHERE id = {}", created_at,
                            sql_text(kept.back())));
  }
  const auto due = app.add_session(48);

  const auto ran = run_on(app, {"--hours", hours});

  INFO(ran.err);
  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  CHECK(said.errors.empty());
  REQUIRE(said.warnings.size() == 1);
  CHECK(said.warnings.front().starts_with(
      fmt::format("{} sessions are kept: created_at", dates.size())));
  for (const auto& id : kept) CHECK(app.is_whole(id));
  CHECK(app.is_gone(due));
  CHECK(app.number("SELECT count(*) FROM sessions") == static_cast<std::int64_t>(dates.size()));
}

TEST_CASE("one session without a date is counted as one", "[tool][untouched]") {
  App app;
  const auto id = app.add_session(48);
  app.execute("UPDATE sessions SET created_at = NULL");
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {"--json"});

  CHECK(ran.status == 0);
  const auto warnings = ran.json()["warnings"];
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].get<std::string>().starts_with("1 session is kept: created_at"));
  CHECK(ran.json()["kept"]["sessions"] == 1);
  CHECK(app.is_whole(id));
  CHECK(app.fingerprint() == before);
}
