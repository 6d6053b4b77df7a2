// Standard streams that are closed, full, broken or a terminal. The work is done all the same; that
// its result cannot be printed is an error of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <optional>

#include "support/catch.hpp"
#include "support/scale.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;
using Words = std::vector<std::string>;

namespace {

constexpr int closed = -1;
const std::string stdout_error = "calib-cleanup: error: standard output: ";

/// The executable, begun with these descriptors as its stdout and stderr.
class Spawned {
 public:
  Spawned(Words words, int out, int err, const Words& variables = {}) {
    words.insert(words.begin(), executable());
    Words environment{"LC_ALL=C", "TZ=UTC0", "TERM=xterm"};
    environment.insert(environment.end(), variables.begin(), variables.end());
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    for (const auto& [number, descriptor] : {std::pair{1, out}, std::pair{2, err}}) {
      if (descriptor == closed) {
        ::posix_spawn_file_actions_addclose(&actions, number);
      } else {
        ::posix_spawn_file_actions_adddup2(&actions, descriptor, number);
      }
    }
    const int error = ::posix_spawn(&pid_, executable(), &actions, nullptr, pointers(words).data(),
                                    pointers(environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(error == 0);
  }
  /// Waits for its end, and gives its exit status, or 128 + signal.
  int status() const {
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static std::vector<char*> pointers(Words& words) {
    std::vector<char*> result;
    for (auto& word : words) result.push_back(word.data());
    result.push_back(nullptr);
    return result;
  }
  pid_t pid_ = -1;
};

/// An open file, for one test.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) { REQUIRE(number >= 0); }
  Descriptor(const fs::path& path, int flags)
      : Descriptor(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0644)) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int number() const { return number_; }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The tool, begun where both of its streams are a terminal.
class OnTerminal {
 public:
  explicit OnTerminal(Words words, const Words& variables = {})
      : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    REQUIRE(::grantpt(master_.number()) == 0);
    REQUIRE(::unlockpt(master_.number()) == 0);
    const Descriptor terminal(::ptsname(master_.number()), O_RDWR);
    tool_.emplace(std::move(words), terminal.number(), terminal.number(), variables);
  }
  void resize(unsigned short columns) const {
    const winsize size{24, columns, 0, 0};
    REQUIRE(::ioctl(master_.number(), TIOCSWINSZ, &size) == 0);
  }
  /// Reads until `what` has come; gives what came.
  std::string read_until(const std::string& what) const {
    std::string text;
    while (text.find(what) == std::string::npos) {
      if (!read_some(text)) FAIL("it ended before '" << what << "' came: " << text);
    }
    return text;
  }
  /// Reads to its end.
  std::string read_all() const {
    std::string text;
    while (read_some(text)) {
    }
    tool_->status();
    return text;
  }

 private:
  bool read_some(std::string& text) const {
    std::array<char, 4096> buffer{};
    for (;;) {
      // EIO: nobody has the other end open any more.
      const auto got = ::read(master_.number(), buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      text.append(buffer.data(), static_cast<std::size_t>(got));
      return true;
    }
  }
  Descriptor master_;
  std::optional<Spawned> tool_;
};

/// What the tool writes where both of its streams are a terminal.
std::string on_terminal(Words words, const Words& variables = {}) {
  return OnTerminal(std::move(words), variables).read_all();
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
  terminal.read_until("\rwaiting for another pass\x1b[J\r\rwaiting for another pass");
  terminal.resize(12);
  terminal.read_until("\rwaiting for\x1b[J\r");
  terminal.resize(200);
  terminal.read_until("\rwaiting for another pass\x1b[J\r");
  REQUIRE(::flock(folder.number(), LOCK_UN) == 0);
  const auto rest = terminal.read_all();
  CHECK_THAT(rest, ContainsSubstring("\r\x1b[JCleanup completed: Deleted 1 old session\r\n"));
  CHECK_FALSE(has_escapes(rest.substr(rest.find("Cleanup completed"))));
  CHECK(app.is_clean());
}
