// --vacuum: the database's free pages go back to the disk.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>

#include <cerrno>
#include <thread>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/scale.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// An app whose expired session fills most of the database.
struct LargeApp : App {
  explicit LargeApp(Journal journal = Journal::rollback) : App(AppSchema::current, journal) {
    old_one = add_session(48);
    add_image_rows(old_one, 5000);
    young = add_session(1);
  }
  [[nodiscard]] std::uintmax_t size() const { return fs::file_size(database()); }
  [[nodiscard]] std::int64_t free_pages() const { return number("PRAGMA freelist_count"); }
  /// Rows of another table, which stay: more of them than SQLite's cache takes.
  void add_others(int megabytes) const {
    execute(fmt::format(
        "CREATE TABLE kept (x); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < {}) INSERT INTO kept SELECT randomblob(1000000) FROM n",
        megabytes));
  }
  std::string old_one;
  std::string young;
};

}  // namespace

TEST_CASE("only --vacuum makes the database smaller", "[tool][vacuum][sqlite]") {
  const auto journal = GENERATE(from_range(journals()));
  const LargeApp app(journal);
  const auto full = app.size();
  REQUIRE(full > 400'000);
  SECTION("not asked for") {
    const auto report = run_on(app, {"--json"}).json();
    CHECK(app.size() == full);
    const auto free = app.free_pages();
    CHECK(free > 0);
    CHECK(report.at("database_free_bytes") == free * app.number("PRAGMA page_size"));
  }
  SECTION("asked for, and told") {
    const auto ran = run_on(app, {"--vacuum"});
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    CHECK_THAT(ran.out, ContainsSubstring("\nVacuum gave back "));
    CHECK(app.size() < full / 4);
  }
  SECTION("as JSON") {
    const auto ran = run_on(app, {"--vacuum", "--json"});
    CHECK(ran.json().at("vacuumed_bytes") > full / 2);
    CHECK(app.size() < full / 4);
  }
  CHECK(app.is_gone(app.old_one));
  CHECK(app.is_whole(app.young));
  CHECK(app.is_sound());
  CHECK(app.text("PRAGMA journal_mode") == (journal == Journal::wal ? "wal" : "delete"));
}

TEST_CASE("where no page is free, the database is not written", "[tool][vacuum][sqlite]") {
  App app;
  app.add_session(1);
  app.execute("VACUUM");
  const auto before = app.fingerprint();
  const auto ran = run_on(app, {"--vacuum"});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK_THAT(ran.out, !ContainsSubstring("Vacuum"));
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a dry run only tells what a vacuum would give back", "[tool][vacuum][dry-run][sqlite]") {
  const LargeApp app;
  app.execute("DELETE FROM calibration_images WHERE session_id = " + sql_text(app.old_one));
  const auto before = app.fingerprint();
  const auto ran = run_on(app, {"--vacuum", "--dry-run"});
  CHECK(ran.status == 0);
  CHECK_THAT(ran.out, ContainsSubstring("\nVacuum would give back:"));
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a reader keeps the database from being vacuumed, not from being well",
          "[tool][vacuum][locks][sqlite]") {
  // While it waits nobody else gets in, so that it waits for a second at most.
  const std::string wait = GENERATE("0.1", "600");
  const LargeApp app;
  REQUIRE(run_on(app, {}).status == 0);
  const auto full = app.size();
  const auto reader = app.user("BEGIN; SELECT count(*) FROM sessions");
  const auto ran = run_on(app, {"--vacuum", "--lock-wait", wait}, {.seconds = 60});
  CHECK(ran.status == 0);
  CHECK(diagnostics_of(ran).errors.empty());
  REQUIRE(diagnostics_of(ran).warnings.size() == 1);
  CHECK_THAT(diagnostics_of(ran).warnings[0], ContainsSubstring(app.database().string()));
  CHECK_THAT(diagnostics_of(ran).warnings[0], ContainsSubstring("try again when they are done"));
  CHECK(app.size() == full);
  CHECK(app.is_whole(app.young));
}

TEST_CASE("a reader of a WAL database keeps the file from shrinking, and that is said",
          "[tool][vacuum][locks][sqlite]") {
  const std::string wait = GENERATE("0.1", "600");
  const LargeApp app(Journal::wal);
  REQUIRE(run_on(app, {}).status == 0);
  const auto full = app.size();
  {
    const auto reader = app.user("BEGIN; SELECT count(*) FROM sessions");
    const auto ran = run_on(app, {"--vacuum", "--lock-wait", wait}, {.seconds = 60});
    CHECK(ran.status == 0);
    REQUIRE(diagnostics_of(ran).warnings.size() == 1);
    CHECK_THAT(diagnostics_of(ran).warnings[0], ContainsSubstring("keeps its size"));
    CHECK_THAT(ran.out, !ContainsSubstring("Vacuum"));
    CHECK(app.size() == full);
  }
  app.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  CHECK(app.size() < full / 4);
}

TEST_CASE("where the disk has no room for it, the vacuum is skipped with a warning",
          "[tool][vacuum][sqlite]") {
  const LargeApp app;
  REQUIRE(run_on(app, {}).status == 0);
  const auto full = app.size();
  const auto backend = app.database().parent_path();
  const auto copy = app.scratch("copy.db");
  fs::copy_file(app.database(), copy);
  std::optional<Ran> ran;
  std::uintmax_t size_then = 0;
  // A thread has a mount namespace of its own for as long as it lives: nothing stays mounted.
  std::thread([&] {
    const auto size = fmt::format("size={}", full + 100'000);
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", backend.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      return;
    }
    fs::copy_file(copy, app.database());
    ran = run_on(app, {"--vacuum"});
    size_then = fs::file_size(app.database());
  }).join();
  if (!ran) {
    WARN("skipped: a small file system needs root and a mount namespace of its own");
    return;
  }
  CHECK(ran->status == 0);
  const auto said = diagnostics_of(*ran);
  CHECK(said.errors.empty());
  CHECK(said.strays.empty());
  REQUIRE(said.warnings.size() == 1);
  CHECK_THAT(said.warnings[0], ContainsSubstring("not vacuumed"));
  CHECK_THAT(ran->out, !ContainsSubstring("Vacuum"));
  CHECK(size_then == full);
}

TEST_CASE("what only the app's own connection knows keeps the database from being vacuumed",
          "[tool][vacuum][sqlite]") {
  const LargeApp app;
  std::string missing;
  {
    SQLite::Database file(app.database().string(), SQLite::OPEN_READWRITE);
    file.exec("CREATE TABLE other (x); INSERT INTO other VALUES ('a')");
    SECTION("a function") {
      missing = "no such function: norm";
      const auto same = [](sqlite3_context* context, int, sqlite3_value** values) {
        sqlite3_result_value(context, *values);
      };
      sqlite3_create_function(file.getHandle(), "norm", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                              nullptr, same, nullptr, nullptr);
      file.exec("CREATE INDEX i ON other (norm(x))");
    }
    SECTION("a collation") {
      missing = "no such collation sequence: app";
      sqlite3_create_collation(file.getHandle(), "app", SQLITE_UTF8, nullptr,
                               [](void*, int, const void*, int, const void*) { return 0; });
      file.exec("CREATE INDEX i ON other (x COLLATE app)");
    }
  }
  const auto full = app.size();
  for (const bool first : {true, false}) {
    const auto ran = run_on(app, {"--vacuum"});
    CAPTURE(first, ran.err);
    CHECK(ran.status == 0);
    CHECK(is_one_warning(ran, {app.database().string() + ": not vacuumed: " + missing,
                               "leave --vacuum out, or vacuum with the app"}));
    CHECK(app.is_gone(app.old_one));
    CHECK(app.size() == full);
  }
}

TEST_CASE("a vacuum that fails says what failed, and the database is as it was",
          "[tool][vacuum][faults][sqlite]") {
  const LargeApp app(GENERATE(from_range(journals())));
  app.add_others(5);
  // The copy stands where the room for it was looked for.
  const std::string copy = "app/backend/etilqs_";
  RunOptions options;
  SECTION("no room: skipped, with a warning") {
    options.interpose = fmt::format("pwrite/{}:1:{}", copy, ENOSPC);
    const auto ran = run_on(app, {"--vacuum"}, options);
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(is_one_warning(ran, {app.database().string() + ": not vacuumed: there is no room"}));
  }
  SECTION("the disk: an error") {
    options.interpose = fmt::format("pwrite/{}:1:{}", copy, EIO);
    const auto ran = run_on(app, {"--vacuum"}, options);
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {app.database().string() + ": not vacuumed: the database failed"}));
  }
  CHECK(app.is_gone(app.old_one));
  CHECK(app.is_whole(app.young));
  CHECK(app.free_pages() > 0);
  CHECK(app.is_sound());
  CHECK(run_on(app, {"--vacuum"}).status == 0);
  CHECK(app.free_pages() == 0);
}

TEST_CASE("the environment says where a vacuum has its copy", "[tool][vacuum][sqlite]") {
  const LargeApp app;
  app.add_others(5);
  const auto elsewhere = app.scratch("temporary");
  fs::create_directory(elsewhere);
  RunOptions options;
  options.environment = {{"SQLITE_TMPDIR", elsewhere.string()}};
  options.interpose = fmt::format("pwrite/temporary/etilqs_:1:{}", ENOSPC);
  CHECK(is_one_warning(run_on(app, {"--vacuum"}, options), {"not vacuumed"}));
}

TEST_CASE("a vacuum takes no more memory than a pass, however large the database is",
          "[tool][vacuum][bounded][sqlite]") {
  constexpr std::uint64_t mib = 1024 * 1024;
  const LargeApp app(GENERATE(from_range(journals())));
  app.add_others(60);
  app.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  REQUIRE(app.size() > 55 * mib);
  RunOptions options;
  options.measures_memory = true;
  const auto ran = run_on(app, {"--vacuum"}, options);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK_THAT(ran.out, ContainsSubstring("\nVacuum gave back "));
  INFO(ran.peak_bytes / mib);
  CHECK((sanitized || ran.peak_bytes < 30 * mib));
}

TEST_CASE("a row that is too large for the pass is vacuumed like any other",
          "[tool][vacuum][sqlite]") {
  const LargeApp app;
  app.execute("CREATE TABLE kept (x); INSERT INTO kept VALUES (zeroblob(20000000))");
  const auto ran = run_on(app, {"--vacuum"});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.free_pages() == 0);
}
