// What people read: the two lines that they grep for, the tables of a dry run, quiet and verbose.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;
using Words = std::vector<std::string>;

namespace {

void add_old_sessions(App& app, int count) {
  for (int i = 0; i < count; ++i) app.add_session(48, 1);
}

void add_orphans(const App& app, int count) {
  for (int i = 0; i < count; ++i) app.add_directory(new_uuid(), 1);
}

/// Where `part` first stands in `text`; the test fails where it does not.
std::size_t position(const std::string& text, const std::string& part) {
  const auto at = text.find(part);
  REQUIRE(at != std::string::npos);
  return at;
}

}  // namespace

TEST_CASE("the summary is the two lines of the app's log, word for word", "[tool][output]") {
  App app;
  const auto young = app.add_session(1);
  const auto [count, sessions, directories] =
      GENERATE(table<int, std::string, std::string>({{0, "0 old sessions", "0 directories"},
                                                     {1, "1 old session", "1 directory"},
                                                     {2, "2 old sessions", "2 directories"},
                                                     {12, "12 old sessions", "12 directories"}}));
  add_old_sessions(app, count);
  add_orphans(app, count);

  const auto dry = run_on(app, {"--dry-run"});
  CHECK(dry.status == 0);
  CHECK(dry.err.empty());
  CHECK(has_line(dry.out, "Cleanup dry run: Would delete " + sessions));
  CHECK(has_line(dry.out, "Orphaned file cleanup dry run: Would delete " + directories));
  CHECK_THAT(dry.out, !ContainsSubstring("Deleted"));
  CHECK_THAT(dry.out, !ContainsSubstring("completed"));

  const auto real = run_on(app, {});
  CHECK(real.status == 0);
  CHECK(real.err.empty());
  const auto lines = lines_of(real.out);
  REQUIRE(lines.size() >= 2);
  CHECK(lines[0] == "Cleanup completed: Deleted " + sessions);
  CHECK(lines[1] == "Orphaned file cleanup completed: Deleted " + directories);
  CHECK_THAT(real.out, !ContainsSubstring("Would"));
  CHECK(app.entries() == std::set{young});
}

TEST_CASE("a dry run lists all that would go, largest first, on lines that fit a terminal",
          "[tool][output]") {
  App app;
  const auto small = app.add_session(30.5, 1);
  const auto large = app.add_session(24 * 400.5, 40);
  const auto middle = app.add_session(24 * 3.25, 10);
  const auto young = app.add_session(1, 2);
  app.add_directory("left-behind", 1, 3000);
  app.add_directory("larger-left-behind", 1, 300'000);
  app.add_directory(std::string(120, 'l'), 1, 3000);
  app.add_image_rows(new_uuid(), 1234);

  const auto ran = run_on(app, {"--dry-run"});

  CHECK(ran.status == 0);
  for (const auto& line : lines_of(ran.out)) {
    // A name that is longer than a line cannot be helped: it has one of its own.
    if (line != std::string(120, 'l')) CHECK(line.size() <= 80);
  }
  const auto& out = ran.out;
  CHECK(position(out, large) < position(out, middle));
  CHECK(position(out, middle) < position(out, small));
  CHECK(position(out, "\nlarger-left-behind") < position(out, "\nleft-behind"));
  CHECK_THAT(out, !ContainsSubstring(young));
  const auto row = [&](const std::string& name) {
    const auto lines = lines_of(out);
    const auto found = std::find_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.starts_with(name);
    });
    REQUIRE(found != lines.end());
    return *found;
  };
  // Age, files, size.
  CHECK_THAT(row(large), Catch::Matchers::Matches(large + " +400 d +40 +[0-9.]+ KiB"));
  CHECK_THAT(row(small), Catch::Matchers::Matches(small + " +30 h +1 +[0-9.]+ KiB"));
  CHECK_THAT(row("left-behind"), Catch::Matchers::Matches("left-behind +[0-9]+ s +1 +[0-9.]+ KiB"));
  // It ends with what would be freed, what stays, and the whole.
  CHECK(position(out, "Would delete 3 old sessions") < position(out, "\nWould be freed:"));
  CHECK(position(out, "\nWould be freed:") < position(out, "\nWould stay:"));
  CHECK(position(out, "\nWould stay:") < position(out, "\nWhole uploads folder:"));
  CHECK_THAT(out, ContainsSubstring("1 session, 1 directory, "));
  CHECK_THAT(out, ContainsSubstring("Would delete 1234 orphaned records"));
  // A pipe is no terminal.
  CHECK(out.find('\x1b') == std::string::npos);
}

TEST_CASE("quiet prints nothing when all went well", "[tool][output]") {
  App app;
  app.add_session(48);
  app.add_directory("left-behind");
  Words arguments{GENERATE("-q", "--quiet")};
  if (GENERATE(false, true)) arguments.emplace_back("--dry-run");
  const auto ran = run_on(app, arguments);
  CHECK(ran.status == 0);
  CHECK(ran.out.empty());
  CHECK(ran.err.empty());
}

TEST_CASE("quiet still prints warnings and errors", "[tool][output]") {
  App app;
  app.add_session(48);
  app.add_session(-1);
  const auto linked = new_uuid();
  app.add_session_row(linked, sql_text(hours_ago(48)));
  fs::create_directory_symlink(app.outside(), app.uploads() / linked);
  const auto ran = run_on(app, {"--quiet"});
  CHECK(ran.status == 1);
  CHECK(ran.out.empty());
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  REQUIRE(said.errors.size() == 1);
  CHECK_THAT(said.errors[0], ContainsSubstring((app.uploads() / linked).string()));
  REQUIRE(said.warnings.size() == 1);
  CHECK_THAT(said.warnings[0], ContainsSubstring("1 session"));

  app.lose_database();
  const auto unable = run_on(app, {"--quiet"});
  CHECK(unable.status == 3);
  CHECK(unable.out.empty());
  CHECK(is_one_error(unable, {app.database_shown()}));
}

TEST_CASE("verbose names each session and directory", "[tool][output]") {
  App app;
  const auto small = app.add_session(48, 1);
  const auto large = app.add_session(48, 20);
  app.add_directory("left-behind", 2);
  const auto ran = run_on(app, {GENERATE("-v", "--verbose")});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(position(ran.out, large) < position(ran.out, small));
  CHECK_THAT(ran.out, ContainsSubstring("Deleted session " + small + " (1 file, "));
  CHECK_THAT(ran.out, ContainsSubstring("Deleted session " + large + " (20 files, "));
  CHECK_THAT(ran.out, ContainsSubstring("Deleted orphaned directory left-behind (2 files, "));
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
}

TEST_CASE("without verbose no name is printed", "[tool][output]") {
  App app;
  const auto id = app.add_session(48);
  const auto ran = run_on(app, {});
  CHECK_THAT(ran.out, !ContainsSubstring(id));
}

TEST_CASE("what could not run has no summary: the error says it all", "[tool][output]") {
  App app;
  SECTION("status 3") {
    fs::remove_all(app.uploads());
    const auto ran = run_on(app, {});
    CHECK(ran.status == 3);
    CHECK(ran.out.empty());
    CHECK(is_one_error(ran, {app.uploads().string(), "--uploads"}));
  }
  SECTION("status 4") {
    const int folder = ::open(app.uploads().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(::flock(folder, LOCK_EX | LOCK_NB) == 0);
    const auto ran = run_on(app, {"--lock-wait", "0"});
    ::close(folder);
    CHECK(ran.status == 4);
    CHECK(ran.out.empty());
    CHECK(is_one_error(ran, {app.uploads().string(), "another pass"}));
  }
}

TEST_CASE("an empty app is no error", "[tool][output]") {
  const App app;
  const auto ran = run_on(app, {});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(
      ran.out.starts_with("Cleanup completed: Deleted 0 old sessions\n"
                          "Orphaned file cleanup completed: Deleted 0 directories\n"
                          "Stays:                  0 sessions, 0 directories\n"));
  CHECK(has_line(ran.out, "Uploads folder:         " + app.uploads().string()));
  CHECK(has_line(ran.out, "Database:               " + app.database_shown()));
}

TEST_CASE("progress is for a terminal: a log gets none", "[tool][output][progress]") {
  const App app;
  const int folder = ::open(app.uploads().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(::flock(folder, LOCK_EX | LOCK_NB) == 0);
  // Longer than it takes until the first draw.
  const auto busy = run_on(app, {"--lock-wait=1.3"});
  ::close(folder);
  CHECK(busy.status == 4);
  CHECK(lines_of(busy.err).size() == 1);
  CHECK(busy.err.find('\r') == std::string::npos);
}
