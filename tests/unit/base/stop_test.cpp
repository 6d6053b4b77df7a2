#include "base/stop.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>

#include "support/catch.hpp"

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

namespace {

/// A child in a process group of its own, as a shell begins a job, and a pipe that it writes to.
class Job {
 public:
  template <typename Body>
  explicit Job(Body body) {
    REQUIRE(::pipe2(pipe_.data(), O_NONBLOCK | O_CLOEXEC) == 0);
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      ::setpgid(0, 0);
      ::_exit(body(pipe_[1]));
    }
  }
  ~Job() {
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  Job(Job&&) = delete;
  Job& operator=(Job&&) = delete;

  [[nodiscard]] int wait() const {
    int status = 0;
    REQUIRE(::waitpid(child_, &status, WUNTRACED) == child_);
    return status;
  }
  [[nodiscard]] bool has_written() const {
    char byte = 0;
    return ::read(pipe_[0], &byte, 1) == 1;
  }
  void wake() const { ::kill(child_, SIGCONT); }

 private:
  std::array<int, 2> pipe_{};
  pid_t child_ = -1;
};

/// Sends this process a signal, and waits until it has been taken.
bool send_suspending(int signal) {
  if (::kill(::getpid(), signal) != 0) return false;
  sigset_t pending;
  while (::sigpending(&pending) == 0) {
    if (::sigismember(&pending, signal) != 1) return true;
    ::sched_yield();
  }
  return false;
}

}  // namespace

TEST_CASE("Ctrl-Z waits for the end of a transaction, and is noticed by who takes a rate") {
  const Job job([](int pipe) {
    static calib::StopFlag stop;
    calib::install_signal_handlers(stop);
    calib::SuspensionWatch watch;
    {
      const calib::DefersSuspension outer;
      {
        const calib::DefersSuspension inner;
        // The second one is taken when the first one has been seen to.
        for (const int signal : {SIGTSTP, SIGTTOU}) {
          if (!send_suspending(signal)) return 1;
          while (calib::deferred_suspension() != signal) ::sched_yield();
        }
      }
      if (watch.was_suspended()) return 4;
      if (::write(pipe, "x", 1) != 1) return 5;
    }
    if (!watch.was_suspended() || watch.was_suspended()) return 6;
    return calib::suspensions() == 1 ? as_expected : 7;
  });
  const int status = job.wait();
  CHECK(WIFSTOPPED(status));
  CHECK(WSTOPSIG(status) == SIGTTOU);
  CHECK(job.has_written());
  job.wake();
  CHECK(exit_code(job.wait()) == as_expected);
}

TEST_CASE("Ctrl-Z suspends at once where no transaction is open, and between its pieces") {
  const bool in_pieces = GENERATE(false, true);
  const Job job([in_pieces](int) {
    static calib::StopFlag stop;
    calib::install_signal_handlers(stop);
    std::optional<calib::DefersSuspension> deferred;
    if (in_pieces) deferred.emplace();
    if (::kill(::getpid(), SIGTSTP) != 0) return 1;
    while (calib::suspensions() == 0) {
      if (in_pieces) calib::allow_suspension();
      ::sched_yield();
    }
    return as_expected;
  });
  CHECK(WIFSTOPPED(job.wait()));
  job.wake();
  CHECK(exit_code(job.wait()) == as_expected);
}

TEST_CASE("a Ctrl-Z that was ignored stays ignored") {
  const Job job([](int) {
    for (const int signal : {SIGTSTP, SIGTTOU}) {
      if (::signal(signal, SIG_IGN) == SIG_ERR) return 1;
    }
    static calib::StopFlag stop;
    calib::install_signal_handlers(stop);
    if (!send_suspending(SIGTSTP) || !send_suspending(SIGTTOU)) return 2;
    return calib::suspensions() == 0 ? as_expected : 3;
  });
  CHECK(exit_code(job.wait()) == as_expected);
}
