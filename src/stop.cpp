#include "stop.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace calib {
namespace {

std::atomic<StopFlag*> target{nullptr};
static_assert(std::atomic<StopFlag*>::is_always_lock_free);

// Apart from the StopFlag, for only test_and_set tells two signals apart that come at once, on two
// threads.
std::atomic_flag signalled = ATOMIC_FLAG_INIT;

/// Runs on any thread, between any two instructions: lock-free atomics and _exit, nothing else.
extern "C" void handle_stop_signal(int signal) {
  if (signalled.test_and_set()) ::_exit(128 + signal);
  if (StopFlag* const stop = target.load()) stop->request(signal);
}

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::system_category(), what);
}

void (*handler_of(int signal))(int) {
  struct sigaction current {};
  if (::sigaction(signal, nullptr, &current) != 0) throw_errno("sigaction");
  return current.sa_handler;
}

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  // Nobody waits in a system call without an end: a stopped pass looks at the flag, and no call
  // needs to fail with EINTR for it.
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(signal, &action, nullptr) != 0) throw_errno("sigaction");
}

}  // namespace

void install_signal_handlers(StopFlag& stop) {
  target.store(&stop);
  for (const int signal : stop_signals) {
    if (signal == SIGHUP && handler_of(signal) == SIG_IGN) continue;
    set_handler(signal, handle_stop_signal);
  }
  for (const int signal : std::array{SIGPIPE, SIGXFSZ}) set_handler(signal, SIG_IGN);
}

StopsAtOnce::StopsAtOnce() : was_signalled_(signalled.test_and_set()) {}

StopsAtOnce::~StopsAtOnce() {
  if (!was_signalled_) signalled.clear();
}

}  // namespace calib
