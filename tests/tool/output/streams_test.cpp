// Standard streams that are closed, full, broken or a terminal. The work is done all the same; that
// its result cannot be printed is an error of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "support/catch.hpp"
#include "support/scale.hpp"
#include "support/terminal.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;
using Words = std::vector<std::string>;

namespace {

const std::string stdout_error = "calib-cleanup: error: standard output: ";

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct DueApp : App {
  DueApp() : old_one(add_session(48)) { add_directory("left-behind"); }
  [[nodiscard]] Words on(Words words) const {
    words.insert(words.begin(), {"--app-dir", root().string()});
    return words;
  }
  [[nodiscard]] bool is_clean() const {
    return is_gone(old_one) && entries().empty() && is_sound();
  }
  std::string old_one;
};

bool has_escapes(const std::string& text) { return text.find('\x1b') != std::string::npos; }

}  // namespace

TEST_CASE("where stdout is full, closed or broken, the pass is done, and that is an error",
          "[tool][streams]") {
  const DueApp app;
  const auto* const format = GENERATE("--json", "--verbose", "--color=never");
  const Descriptor err(app.scratch("err"), O_WRONLY | O_CREAT);
  int status = -1;
  SECTION("full") {
    const Descriptor full("/dev/full", O_WRONLY);
    status = Spawned(app.on({format}), full.number(), err.number()).status();
  }
  SECTION("closed") { status = Spawned(app.on({format}), closed, err.number()).status(); }
  SECTION("broken: its reader has gone") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    ::close(ends[0]);
    const Descriptor broken(ends[1]);
    status = Spawned(app.on({format}), broken.number(), err.number()).status();
  }
  CAPTURE(format);
  CHECK(status == 1);
  CHECK(app.is_clean());
  const auto lines = lines_of(content(app.scratch("err")));
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Catch::Matchers::StartsWith(stdout_error));
}

TEST_CASE("where there is nothing to print, nobody needs stdout", "[tool][streams]") {
  const DueApp app;
  const Descriptor err(app.scratch("err"), O_WRONLY | O_CREAT);
  CHECK(Spawned(app.on({"--quiet"}), closed, err.number()).status() == 0);
  CHECK(content(app.scratch("err")).empty());
  CHECK(app.is_clean());
}

TEST_CASE("a stdout that is full does not hide why the pass could not run", "[tool][streams]") {
  const DueApp app;
  app.lose_database();
  const Descriptor full("/dev/full", O_WRONLY);
  const Descriptor err(app.scratch("err"), O_WRONLY | O_CREAT);
  CHECK(Spawned(app.on({"--json"}), full.number(), err.number()).status() == 3);
  const auto text = content(app.scratch("err"));
  CHECK(lines_of(text).size() == 2);
  CHECK_THAT(text, ContainsSubstring(stdout_error));
  CHECK_THAT(text, ContainsSubstring(app.database_shown() + ": "));
}

TEST_CASE("who closes the pipe has seen enough of a dry run, and is told nothing",
          "[tool][streams]") {
  const DueApp app;
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  ::close(ends[0]);
  const Descriptor broken(ends[1]);
  const Descriptor err(app.scratch("err"), O_WRONLY | O_CREAT);
  const auto words = GENERATE(Words{"--dry-run"}, Words{"-n", "--json"}, Words{"--help"});
  CHECK(Spawned(app.on(words), broken.number(), err.number()).status() == 128 + SIGPIPE);
  CHECK(content(app.scratch("err")).empty());
}

TEST_CASE("a dumb terminal gets no line that is drawn anew, and no colors",
          "[tool][streams][progress]") {
  const DueApp app;
  const Descriptor folder(app.uploads(), O_RDONLY | O_DIRECTORY);
  REQUIRE(::flock(folder.number(), LOCK_EX | LOCK_NB) == 0);
  // Longer than the line takes to come.
  const OnTerminal terminal(app.on({"--hours", "24", "--lock-wait", "2"}), {"TERM=dumb"});
  const auto text = terminal.read_rest();
  CHECK(terminal.status() == 4);
  CHECK_THAT(text, Catch::Matchers::StartsWith("calib-cleanup: error: "));
  CHECK_FALSE(has_escapes(text));
}

TEST_CASE("help that cannot be printed is an error", "[tool][streams]") {
  const DueApp app;
  const Descriptor full("/dev/full", O_WRONLY);
  const Descriptor err(app.scratch("err"), O_WRONLY | O_CREAT);
  CHECK(Spawned({"--help"}, full.number(), err.number()).status() == 1);
  CHECK_THAT(content(app.scratch("err")), Catch::Matchers::StartsWith(stdout_error));
}

TEST_CASE("where stderr is full or closed, the work and its status are the same",
          "[tool][streams]") {
  DueApp app;
  app.add_session(-1);  // for a warning
  const bool is_closed = GENERATE(false, true);
  const Descriptor full("/dev/full", O_WRONLY);
  const Descriptor out(app.scratch("out"), O_WRONLY | O_CREAT);
  const int err = is_closed ? closed : full.number();
  CHECK(Spawned(app.on({"--json", "--progress=always"}), out.number(), err).status() == 0);
  CHECK(nlohmann::json::parse(content(app.scratch("out"))).at("deleted_sessions") == 1);
  CHECK(app.is_gone(app.old_one));
  CHECK(Spawned({"--hours", "x"}, out.number(), err).status() == 2);
}

TEST_CASE("with both streams closed nothing is written into what is opened in their place",
          "[tool][streams]") {
  DueApp app;
  const auto young = app.add_session(1);
  app.add_session(-1);  // for a warning
  CHECK(Spawned(app.on({"--verbose"}), closed, closed).status() == 1);
  CHECK(app.is_gone(app.old_one));
  CHECK(app.is_whole(young));
  CHECK(app.is_sound());
}

TEST_CASE("colour is for a terminal, and for those who ask", "[tool][streams][color]") {
  const DueApp app;
  const Words dry{"--dry-run"};
  CHECK(has_escapes(on_terminal(app.on(dry))));
  CHECK_FALSE(has_escapes(on_terminal(app.on({"--dry-run", "--color=never"}))));
  CHECK_FALSE(has_escapes(on_terminal(app.on(dry), {"NO_COLOR=1"})));
  CHECK_FALSE(has_escapes(on_terminal(app.on(dry), {"CALIB_CLEANUP_COLOR=never"})));
  CHECK(has_escapes(on_terminal(app.on(dry), {"NO_COLOR="})));
  CHECK(has_escapes(on_terminal(app.on({"--dry-run", "--color=always"}), {"NO_COLOR=1"})));
  CHECK_FALSE(has_escapes(run_on(app, dry).out));
  CHECK(has_escapes(run_on(app, {"--dry-run", "--color=always"}).out));
  CHECK_FALSE(has_escapes(run_on(app, {"--dry-run", "--color=always", "--json"}).out));

  const Words lost{"--app-dir", app.scratch("lost").string()};
  CHECK(has_escapes(on_terminal(lost)));
  CHECK_FALSE(has_escapes(on_terminal(lost, {"NO_COLOR=1"})));
  CHECK_FALSE(has_escapes(run_tool(lost).err));
}

TEST_CASE("a name cannot drive the terminal", "[tool][streams][names]") {
  const DueApp app;
  app.add_directory(
      "evil\x1b]0;title\x07\x9b"
      "2J",
      1);
  const auto text = on_terminal(app.on({"--dry-run", "--color=never"}));
  CHECK_THAT(text, ContainsSubstring("evil\\x1b]0;title\\x07\\x9b2J"));
  for (const char c : text) CHECK(((c >= ' ' && c <= '~') || c == '\n' || c == '\r'));
}

TEST_CASE("the progress line follows the terminal's width, and is gone at the end",
          "[tool][streams][progress]") {
  const DueApp app;
  const Descriptor folder(app.uploads(), O_RDONLY | O_DIRECTORY);
  REQUIRE(::flock(folder.number(), LOCK_EX | LOCK_NB) == 0);
  const OnTerminal terminal(app.on({"--color=never"}));
  // Each draw wipes what is after the line, and leaves the cursor before it: a line that a narrower
  // terminal has broken goes as a whole.
  const auto line = terminal.read_until("\x1b[J\r\rwaiting for another pass");
  terminal.resize(12);
  terminal.read_until("\rwaiting for\x1b[J\r");
  terminal.resize(200);
  terminal.read_until("\rwaiting for another pass: ");
  // For how long of how long, and for whom: this process has the lock.
  CHECK_THAT(line, ContainsSubstring(" of 30 s, for "));
  CHECK_THAT(line, ContainsSubstring(fmt::format("(process {})", ::getpid())));
  REQUIRE(::flock(folder.number(), LOCK_UN) == 0);
  const auto rest = terminal.read_all();
  CHECK_THAT(rest, ContainsSubstring("\r\x1b[JCleanup completed: Deleted 1 old session\r\n"));
  CHECK_FALSE(has_escapes(rest.substr(rest.find("Cleanup completed"))));
  CHECK(app.is_clean());
}
