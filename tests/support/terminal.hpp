// The executable with the standard streams that a test gives it, a terminal among them.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/scale.hpp"
#include "support/tool_run.hpp"

namespace calib::test {

using Words = std::vector<std::string>;

// What a stream may be instead of a descriptor.
inline constexpr int closed = -1;
inline constexpr int inherited = -2;

/// The executable, begun with these descriptors as its stdout, stderr and stdin.
class Spawned {
 public:
  Spawned(Words words, int out, int err, const Words& variables = {}, int in = inherited) {
    words.insert(words.begin(), executable());
    // The first one of a name counts.
    auto environment = variables;
    for (const auto* usual : {"LC_ALL=C", "TZ=UTC0", "TERM=xterm"}) environment.emplace_back(usual);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    const std::array streams{std::pair{0, in}, std::pair{1, out}, std::pair{2, err}};
    for (const auto& [number, descriptor] : streams) {
      if (descriptor == inherited) continue;
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
  [[nodiscard]] pid_t pid() const { return pid_; }
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

enum class Input { the_tests, terminal };

/// The tool, begun where its output and errors go to a terminal.
class OnTerminal {
 public:
  explicit OnTerminal(Words words, const Words& variables = {}, Input input = Input::the_tests)
      : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    REQUIRE(::grantpt(master_.number()) == 0);
    REQUIRE(::unlockpt(master_.number()) == 0);
    const Descriptor terminal(::ptsname(master_.number()), O_RDWR);
    tool_.emplace(std::move(words), terminal.number(), terminal.number(), variables,
                  input == Input::terminal ? terminal.number() : inherited);
  }
  void resize(unsigned short columns) const {
    const winsize size{24, columns, 0, 0};
    REQUIRE(::ioctl(master_.number(), TIOCSWINSZ, &size) == 0);
  }
  void type(const std::string& text) const {
    REQUIRE(::write(master_.number(), text.data(), text.size()) ==
            static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] pid_t pid() const { return tool_->pid(); }
  /// Waits for its end.
  [[nodiscard]] int status() const { return tool_->status(); }
  /// Reads until `what` has come; gives what came.
  std::string read_until(const std::string& what) const {
    std::string text;
    while (text.find(what) == std::string::npos) {
      if (!read_some(text)) FAIL("it ended before '" << what << "' came: " << text);
    }
    return text;
  }
  /// Reads to its end. It is still to be waited for.
  std::string read_rest() const {
    std::string text;
    while (read_some(text)) {
    }
    return text;
  }
  /// The same, and waits.
  std::string read_all() const {
    auto text = read_rest();
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
inline std::string on_terminal(Words words, const Words& variables = {}) {
  return OnTerminal(std::move(words), variables).read_all();
}

}  // namespace calib::test
