// A dry run says what a real pass would do, and changes nothing.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Words = std::vector<std::string>;

namespace {

/// Something of everything that goes, and of what stays.
class FullApp : public App {
 public:
  explicit FullApp(AppSchema schema, Journal journal) : App(schema, journal) {
    old_ones = {add_session(48.5, 2), add_session(100.5, 9), add_session(1000.5, 4)};
    young = add_session(1);
    add_session_row(new_uuid(), sql_text(hours_ago(30.5)));  // its directory is gone already
    add_session_row(new_uuid(), "NULL");
    add_directory("left-behind", 3);
    add_directory(new_uuid(), 1, 50'000);
    add_directory(".hidden", 1);
    add_image_rows(new_uuid(), 6);
    if (schema == AppSchema::current) {
      add_stereo_row(old_ones[0], old_ones[1]);
      add_stereo_row(young, new_uuid());
      execute("INSERT INTO live_capture_sessions (id, session_id) VALUES ('x', " +
              sql_text(old_ones[2]) + ")");
    }
  }
  std::vector<std::string> old_ones;
  std::string young;
};

/// For one test, everything may be read by everybody, and written by nobody but root.
class ReadOnly {
 public:
  explicit ReadOnly(const App& app) : top_(app.root().parent_path()) { set(0555, 0444); }
  ~ReadOnly() { set(0755, 0644); }
  ReadOnly(const ReadOnly&) = delete;
  ReadOnly& operator=(const ReadOnly&) = delete;
  ReadOnly(ReadOnly&&) = delete;
  ReadOnly& operator=(ReadOnly&&) = delete;

 private:
  void set(mode_t directories, mode_t files) const {
    ::chmod(top_.c_str(), directories);
    for (const auto& entry : fs::recursive_directory_iterator(top_)) {
      ::chmod(entry.path().c_str(), entry.is_directory() ? directories : files);
    }
  }
  fs::path top_;
};

}  // namespace

TEST_CASE("a dry run lists what a real pass deletes, to the last row and byte", "[tool][dry-run]") {
  const auto schema = GENERATE(AppSchema::june_2025, AppSchema::october_2025, AppSchema::current);
  const auto journal = GENERATE(from_range(journals()));
  FullApp app(schema, journal);
  const auto dry = run_on(app, {"--dry-run", "--json"});
  const auto real = run_on(app, {"--json"});

  REQUIRE(dry.status == 0);
  REQUIRE(real.status == 0);
  const auto would = dry.json();
  const auto did = real.json();
  CHECK(would.at("dry_run") == true);
  CHECK(did.at("dry_run") == false);
  CHECK(would.at("deleted_sessions") == 4);
  CHECK(would.at("deleted_orphaned_directories") == 2);
  for (const auto* key : {"deleted_sessions", "deleted_orphaned_directories", "sessions", "orphans",
                          "orphaned_records", "freed_bytes", "kept", "hours", "database", "uploads",
                          "warnings", "errors", "status"}) {
    CAPTURE(key);
    CHECK(would.at(key) == did.at(key));
  }
  CHECK(would.at("message") == "Dry run: nothing was changed");
  CHECK(did.at("message") == "Cleanup completed successfully");
  CHECK(would.at("freed_bytes") > 50'000);
  CHECK(app.is_whole(app.young));
}

TEST_CASE("a dry run counts what an interrupted pass left as the real pass settles it",
          "[tool][dry-run][recovery]") {
  App app;
  const auto young = app.add_session(1);
  const auto old_one = app.add_session(48);
  app.add_directory(".calib-cleanup." + new_uuid(), 3, 20'000);
  const auto stage = [&](const std::string& id) {
    fs::rename(app.uploads() / id, app.uploads() / (".calib-cleanup." + id));
  };
  stage(old_one);
  if (GENERATE(false, true)) stage(young);
  const auto before = app.fingerprint();
  const auto dry = run_on(app, {"--dry-run", "--json"});
  CHECK(dry.status == 0);
  CHECK(changes_since(before, app) == none);
  const auto real = run_on(app, {"--json"});
  CHECK(real.status == 0);
  for (const auto* key : {"sessions", "orphans", "recovered", "freed_bytes", "kept"}) {
    CAPTURE(key);
    CHECK(dry.json().at(key) == real.json().at(key));
  }
  CHECK(dry.json().at("freed_bytes") > 60'000);
  CHECK(app.is_gone(old_one));
  CHECK(app.is_whole(young));
}

TEST_CASE("a dry run changes no byte, no time and no name", "[tool][dry-run]") {
  const auto journal = GENERATE(from_range(journals()));
  const FullApp app(AppSchema::current, journal);
  const auto metrics = app.scratch("calib.prom");
  // Beside a WAL database that nobody has open, SQLite makes two files and removes them again.
  std::unique_ptr<DatabaseUser> running;
  if (journal == Journal::wal) running = app.user("SELECT count(*) FROM sessions");
  const auto before = app.fingerprint();
  for (const auto& extra : std::vector<Words>{{},
                                              {"--json"},
                                              {"--verbose"},
                                              {"--vacuum"},
                                              {"--hours", "0"},
                                              {"--orphans-only"},
                                              {"--session", app.young},
                                              {"--metrics", metrics.string()}}) {
    Words arguments{"-n"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    CAPTURE(extra);
    CHECK(run_on(app, arguments).status == 0);
    CHECK(changes_since(before, app) == none);
  }
  CHECK_FALSE(fs::exists(metrics));
  if (journal == Journal::rollback) {
    // The fingerprint does not tell of these.
    CHECK_FALSE(fs::exists(app.database().string() + "-wal"));
    CHECK_FALSE(fs::exists(app.database().string() + "-shm"));
  }
}

TEST_CASE("beside a WAL database that nobody has open, only SQLite's two files may come",
          "[tool][dry-run][sqlite][threads]") {
  const FullApp app(AppSchema::current, Journal::wal);
  const auto before = app.fingerprint();
  CHECK(run_on(app, {"--dry-run"}).status == 0);
  // Their folder's time tells of them; the files themselves the fingerprint leaves out.
  for (const auto& line : changes_since(before, app)) {
    CHECK_THAT(line, Catch::Matchers::StartsWith(app.database().parent_path().string() + ": "));
  }
}

TEST_CASE("a dry run says the same twice", "[tool][dry-run]") {
  const FullApp app(AppSchema::current, Journal::rollback);
  const auto first = run_on(app, {"--dry-run"});
  const auto second = run_on(app, {"--dry-run", "--jobs", "7"});
  CHECK(first.out == second.out);
  CHECK(first.err == second.err);
  CHECK(without_times(run_on(app, {"--dry-run", "--json"}).json()) ==
        without_times(run_on(app, {"--dry-run", "--json", "--jobs", "1"}).json()));
}

TEST_CASE("a dry run works for a user who may only read", "[tool][dry-run][permissions]") {
  const auto journal = GENERATE(from_range(journals()));
  const FullApp app(AppSchema::current, journal);
  // A reader of a WAL database needs the files that its writer keeps beside it: the app runs.
  const auto running = app.user("SELECT count(*) FROM sessions");
  const ReadOnly guard(app);
  const auto expected = without_times(run_on(app, {"--dry-run", "--json"}).json());
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {"--dry-run", "--json"}, {.as = As::nobody});

  INFO(ran.err);
  CHECK(ran.status == 0);
  auto told = without_times(ran.json());
  // It is told, beside all that there is to tell, and that is the whole difference.
  auto& warnings = told["warnings"];
  REQUIRE_FALSE(warnings.empty());
  CHECK_THAT(warnings.back(), Catch::Matchers::ContainsSubstring("could not delete"));
  warnings.erase(warnings.size() - 1);
  CHECK(told == expected);
  CHECK(changes_since(before, app) == none);

  // And that user may indeed do no more.
  const auto real = run_on(app, {}, {.as = As::nobody});
  CHECK(real.status == 3);
  CHECK(is_one_error(real, {app.uploads().string(), "owner"}));
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a WAL database that its app has closed cannot be read without writing, and says so",
          "[tool][dry-run][permissions][sqlite]") {
  const FullApp app(AppSchema::current, Journal::wal);
  const ReadOnly guard(app);
  const auto before = app.fingerprint();
  const auto ran = run_on(app, {"--dry-run"}, {.as = As::nobody});
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {app.database().string(), "run as the app's user"}));
  CHECK(changes_since(before, app) == none);
  CHECK_FALSE(fs::exists(app.database().string() + "-wal"));
}

TEST_CASE("a dry run goes on beside a directory that it cannot read", "[tool][dry-run][threads]") {
  const FullApp app(AppSchema::current, Journal::rollback);
  const auto closed = app.uploads() / "left-behind";
  const ReadOnly guard(app);
  ::chmod(closed.c_str(), 0);
  const auto ran = run_on(app, {"--dry-run", "--json"}, {.as = As::nobody});
  CHECK(ran.status == 0);
  CHECK(ran.json().at("deleted_sessions") == 4);
  // The others are about created_at and the missing rights.
  REQUIRE(ran.json().at("warnings").size() == 3);
  CHECK(lines_with(diagnostics_of(ran).warnings, closed.string()) == 1);
}

TEST_CASE("a dry run reads beside a writer, and what is not committed is not there",
          "[tool][dry-run][locks][threads]") {
  const auto journal = GENERATE(from_range(journals()));
  FullApp app(AppSchema::current, journal);
  const auto writer = app.user("BEGIN; DELETE FROM sessions");
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {"--dry-run", "--json", "--lock-wait", "0"});

  CHECK(ran.status == 0);
  CHECK(ran.json().at("deleted_sessions") == 4);
  CHECK(changes_since(before, app) == none);
  // The same lock stops a real pass, with everything as it was.
  const auto real = run_on(app, {"--lock-wait", "0"});
  CHECK(real.status == 4);
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a dry run beside a writer that commits is busy, not wrong",
          "[tool][dry-run][locks][threads]") {
  const FullApp app(AppSchema::current, Journal::rollback);
  const auto writer = app.sole_user();
  const auto ran = run_on(app, {"--dry-run", "--lock-wait", "0.1"});
  CHECK(ran.status == 4);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {app.database_shown(), "--lock-wait"}));
}

TEST_CASE("a dry run takes no lock: it works beside another pass",
          "[tool][dry-run][locks][threads]") {
  const FullApp app(AppSchema::current, Journal::rollback);
  const int folder = ::open(app.uploads().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(folder >= 0);
  REQUIRE(::flock(folder, LOCK_EX | LOCK_NB) == 0);
  const auto before = app.fingerprint();
  CHECK(run_on(app, {"--dry-run"}).status == 0);
  const auto real = run_on(app, {"--lock-wait", "0"});
  CHECK(real.status == 4);
  CHECK(real.out.empty());
  CHECK(is_one_error(real, {app.uploads().string(), "--lock-wait"}));
  CHECK(changes_since(before, app) == none);
  ::close(folder);
}
