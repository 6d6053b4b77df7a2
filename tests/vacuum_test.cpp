// --vacuum: the database's free pages go back to the disk.
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>

#include <thread>

#include "catch.hpp"
#include "changes.hpp"
#include "diagnostics.hpp"
#include "tool_run.hpp"

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
    CHECK(run_on(app, {}).status == 0);
    CHECK(app.size() == full);
    CHECK(app.free_pages() > 0);
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
  const LargeApp app;
  REQUIRE(run_on(app, {}).status == 0);
  const auto full = app.size();
  const auto reader = app.user("BEGIN; SELECT count(*) FROM sessions");
  const auto ran = run_on(app, {"--vacuum", "--lock-wait", "0.1"});
  CHECK(ran.status == 0);
  CHECK(diagnostics_of(ran).errors.empty());
  REQUIRE(diagnostics_of(ran).warnings.size() == 1);
  CHECK_THAT(diagnostics_of(ran).warnings[0], ContainsSubstring(app.database().string()));
  CHECK(app.size() == full);
  CHECK(app.is_whole(app.young));
}

TEST_CASE("a reader of a WAL database keeps the file from shrinking, and that is said",
          "[tool][vacuum][locks][sqlite]") {
  const LargeApp app(Journal::wal);
  REQUIRE(run_on(app, {}).status == 0);
  const auto full = app.size();
  {
    const auto reader = app.user("BEGIN; SELECT count(*) FROM sessions");
    const auto ran = run_on(app, {"--vacuum", "--lock-wait", "0.1"});
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
