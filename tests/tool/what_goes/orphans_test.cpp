// Directories that no session claims go, and what an interrupted pass left behind; --orphan-grace
// leaves alone what has just changed.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// Sets the time of the last modification; that of the last change becomes now by that.
void modified_seconds_ago(const fs::path& path, long seconds) {
  timespec now{};
  REQUIRE(::clock_gettime(CLOCK_REALTIME, &now) == 0);
  now.tv_sec -= seconds;
  const timespec times[]{now, now};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), static_cast<const timespec*>(times), 0) == 0);
}

// One microsecond, in minutes: shorter than the start of any process.
const char* const min_grace = "0.00000002";

}  // namespace

TEST_CASE("directories that no session claims go, whatever their names",
          "[tool][orphans][threads]") {
  App app;
  const auto young = app.add_session(2);
  const auto orphans = std::vector<std::string>{
      new_uuid(),    "pictures", "with space",          "new\nline",
      "-rf",         "\xff\xfe", std::string(255, 'n'), "stereo_" + new_uuid() + "_" + new_uuid(),
      "lost+found2", young + "0"};
  for (const auto& name : orphans) app.add_directory(name);
  app.add_directory("empty", 0);
  app.add_directory("deep/a/b/c/d");

  const auto ran = run_on(app, {"--json"});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(ran.json()["deleted_orphaned_directories"] == orphans.size() + 2);
  CHECK(ran.json()["orphans"].size() == orphans.size() + 2);
  CHECK(app.entries() == std::set<std::string>{young});
  CHECK(app.is_whole(young));
}

TEST_CASE("an orphan goes without grace however young it is, and stays listed in a dry run",
          "[tool][orphans]") {
  const auto arguments = GENERATE(values<std::vector<std::string>>({{}, {"--orphan-grace", "0"}}));
  App app;
  app.add_session(2);
  app.add_directory("orphan");
  const auto before = app.fingerprint();

  const auto dry = run_on(app, {"--dry-run"});
  CHECK(dry.status == 0);
  CHECK(dry.out.find("orphan") != std::string::npos);
  CHECK(has_line(dry.out, "Orphaned file cleanup dry run: Would delete 1 directory"));
  CHECK(app.fingerprint() == before);

  const auto ran = run_on(app, arguments);
  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 1 directory"));
  CHECK_FALSE(app.entries().contains("orphan"));
}

TEST_CASE("option --orphan-grace goes by the later of mtime and ctime", "[tool][orphans][linux]") {
  App app;
  app.add_session(2);
  const auto orphan = app.add_directory("orphan");
  SECTION("just made") {
    const auto ran = run_on(app, {"--orphan-grace", "60"});
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    CHECK(app.entries().contains("orphan"));
    CHECK_THAT(ran.out, Catch::Matchers::ContainsSubstring("but for 1 directory, "));
    // A dry run and a pass say the same of them.
    const auto would = run_on(app, {"--orphan-grace", "60", "-n", "--json"}).json();
    CHECK(would.at("spared_orphans").at("directories") == 1);
    CHECK(would.at("spared_orphans").at("allocated_bytes") > 0);
    CHECK(would.at("unclaimed_kept") == would.at("spared_orphans"));
    const auto named = run_on(app, {"--orphan-grace", "60", "-n", "-v"}).out;
    const auto heading = named.find("Orphaned directories that would stay for now");
    REQUIRE(heading != std::string::npos);
    CHECK(named.find("\norphan ", heading) != std::string::npos);
    CHECK(run_on(app, {"--orphan-grace", "60", "--json"}).json().at("spared_orphans") ==
          would.at("spared_orphans"));
  }
  SECTION("just made, and the grace is over") {
    CHECK(run_on(app, {"--orphan-grace", min_grace}).status == 0);
    CHECK_FALSE(app.entries().contains("orphan"));
  }
  SECTION("modified long ago, but just changed: a copy that keeps its times") {
    modified_seconds_ago(orphan, 30L * 86400);
    CHECK(run_on(app, {"--orphan-grace", "60"}).status == 0);
    CHECK(app.entries().contains("orphan"));
  }
  SECTION("changed before the grace, but modified within it") {
    modified_seconds_ago(orphan, -3600);
    CHECK(run_on(app, {"--orphan-grace", min_grace}).status == 0);
    CHECK(app.entries().contains("orphan"));
  }
  SECTION("modified in the future, and no grace asked for") {
    modified_seconds_ago(orphan, -3600);
    CHECK(run_on(app, {}).status == 0);
    CHECK_FALSE(app.entries().contains("orphan"));
  }
}

TEST_CASE("an orphan that is dated in the future is never old enough, and that is told",
          "[tool][orphans][linux]") {
  const auto dry = GENERATE(false, true);
  App app;
  app.add_session(2);
  for (int i = 0; i < 12; ++i) {
    modified_seconds_ago(app.add_directory(fmt::format("future-{:02}", i)), -7 * 86400);
  }
  app.add_directory("young");
  auto arguments = std::vector<std::string>{"--orphan-grace", min_grace};
  if (dry) arguments.emplace_back("--dry-run");

  const auto ran = run_on(app, arguments);

  INFO(ran.err);
  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.empty());
  CHECK(said.warnings.size() == 11);
  CHECK(lines_with(said.warnings, "dated in the future") == 11);
  CHECK(lines_with(said.warnings, "touch") == 10);
  CHECK(lines_with(said.warnings, "and 2 orphaned directories more") == 1);
  CHECK(app.entries().size() == (dry ? 14U : 13U));
}

TEST_CASE("option --orphan-grace is for orphans: sessions go by their age alone",
          "[tool][orphans]") {
  App app;
  const auto due = app.add_session(48);
  app.add_directory("orphan");
  const auto dry = GENERATE(false, true);

  auto arguments = std::vector<std::string>{"--orphan-grace", "60"};
  if (dry) arguments.emplace_back("--dry-run");
  const auto ran = run_on(app, arguments);

  CHECK(ran.status == 0);
  CHECK(ran.out.find("1 old session\n") != std::string::npos);
  CHECK(ran.out.find("0 directories\n") != std::string::npos);
  CHECK(app.entries().contains("orphan"));
  CHECK(app.has_session(due) == dry);
}

TEST_CASE("what an interrupted pass left of sessions that are gone goes, without any grace",
          "[tool][orphans]") {
  App app;
  app.add_session(2);
  const auto id = new_uuid();
  app.add_directory(".calib-cleanup." + id);
  app.add_directory(".calib-cleanup.pictures");
  const auto arguments = GENERATE(
      values<std::vector<std::string>>({{}, {"--orphans-only"}, {"--orphan-grace", "60"}}));
  const auto before = app.fingerprint();
  auto dry = arguments;
  dry.emplace_back("--dry-run");
  CHECK(run_on(app, dry).status == 0);
  CHECK(app.fingerprint() == before);

  const auto ran = run_on(app, arguments);

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.entries() == app.session_ids());
}

TEST_CASE("what an interrupted pass left of a session that stands goes back to it",
          "[tool][orphans]") {
  App app;
  const auto young = app.add_session(2);
  fs::rename(app.uploads() / young, app.uploads() / (".calib-cleanup." + young));
  const auto arguments = GENERATE(values<std::vector<std::string>>({{}, {"--orphans-only"}}));

  const auto ran = run_on(app, arguments);

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_whole(young));
  CHECK(app.entries() == std::set<std::string>{young});
}

TEST_CASE("option --orphans-only leaves every session alone, however old", "[tool][orphans]") {
  App app;
  const auto old_one = app.add_session(10000);
  app.add_directory("orphan");

  const auto ran = run_on(app, {"--orphans-only", "--hours", "0"});

  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 0 old sessions"));
  CHECK(app.is_whole(old_one));
  CHECK(app.entries() == std::set<std::string>{old_one});
}

TEST_CASE("option --session takes no orphans along", "[tool][orphans]") {
  App app;
  const auto id = app.add_session(2);
  app.add_session(2);
  app.add_directory("orphan");

  const auto ran = run_on(app, {"--session", id});

  CHECK(ran.status == 0);
  CHECK(app.is_gone(id));
  CHECK(app.entries().contains("orphan"));
}
