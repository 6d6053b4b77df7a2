#include "stop.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "catch.hpp"

namespace {

/// Runs `body` in a child, for handlers and dispositions belong to the whole process. The child's
/// wait status.
template <typename Body>
int status_of_child(Body body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  // _exit, so that nothing of the test framework runs twice.
  if (child == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

// In the child a failed expectation is an exit code of its own; 0 is "all as expected".
constexpr int as_expected = 0;

}  // namespace

TEST_CASE("a stop flag remembers its signal") {
  calib::StopFlag stop;
  CHECK_FALSE(stop.requested());
  CHECK(stop.signal() == 0);
  stop.request(SIGTERM);
  CHECK(stop.requested());
  CHECK(stop.signal() == SIGTERM);
}

TEST_CASE("the first signal asks for a stop") {
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  CAPTURE(signal);
  const int status = status_of_child([signal] {
    // The tests themselves may run under nohup.
    if (::signal(SIGHUP, SIG_DFL) == SIG_ERR) return 4;
    static calib::StopFlag stop;
    calib::install_signal_handlers(stop);
    if (stop.requested()) return 1;
    if (::raise(signal) != 0) return 2;
    return stop.signal() == signal ? as_expected : 3;
  });
  CHECK(exit_code(status) == as_expected);
}

TEST_CASE("the second signal ends the process at once") {
  const int first = GENERATE(SIGINT, SIGHUP);
  const int status = status_of_child([first] {
    if (::signal(SIGHUP, SIG_DFL) == SIG_ERR) return 1;
    static calib::StopFlag stop;
    calib::install_signal_handlers(stop);
    if (::raise(first) != 0) return 2;
    return ::raise(SIGTERM) == 0 ? 3 : 4;
  });
  CHECK(exit_code(status) == 128 + SIGTERM);
}

TEST_CASE("a hangup that was ignored stays ignored") {
  const int status = status_of_child([] {
    if (::signal(SIGHUP, SIG_IGN) == SIG_ERR) return 1;
    static calib::StopFlag stop;
    calib::install_signal_handlers(stop);
    for (int time = 0; time < 2; ++time) {
      if (::raise(SIGHUP) != 0) return 2;
    }
    return stop.requested() ? 3 : as_expected;
  });
  CHECK(exit_code(status) == as_expected);
}

TEST_CASE("a closed pipe is no end of a pass") {
  const int status = status_of_child([] {
    static calib::StopFlag stop;
    calib::install_signal_handlers(stop);
    if (::raise(SIGPIPE) != 0) return 1;
    return stop.requested() ? 2 : as_expected;
  });
  CHECK(exit_code(status) == as_expected);
}
