#include "base/stop.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/system.hpp"

namespace calib {
namespace {

std::atomic<StopFlag*> target{nullptr};
static_assert(std::atomic<StopFlag*>::is_always_lock_free);

// Apart from the StopFlag, for only test_and_set tells two signals apart that come at once, on two
// threads.
std::atomic_flag signalled = ATOMIC_FLAG_INIT;

// What suspends a process by default, and may come while a transaction is open. A write to the
// terminal from the background (SIGTTOU) is not worth that either.
constexpr std::array suspending_signals{SIGTSTP, SIGTTOU};

// Held while it is suspended, so that no transaction begins meanwhile.
std::mutex suspension_mutex;
int deferring = 0;         // instances of DefersSuspension
int suspension_asked = 0;  // the signal, while it is deferred
std::atomic<std::uint64_t> suspended{0};

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
  sigemptyset(&action.sa_mask);
  if (::sigaction(signal, &action, nullptr) != 0) throw_errno("sigaction");
}

/// Does what the signal does by default, and comes back when the process goes on. With the mutex
/// held; on this thread, so that it goes no further before. Whoever has no shell to wake him (an
/// orphaned process group) is not suspended: the kernel sees to that.
void suspend(int signal) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  if (::raise(signal) != 0) return;  // every thread blocks it
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
  ++suspended;
}

void suspend_if_asked() {
  if (suspension_asked != 0) suspend(std::exchange(suspension_asked, 0));
}

/// Sees to it that the stop signals have an effect while every thread that could run their handler
/// waits for a file server: then a signal stays pending, and one of the same number that follows
/// would be lost.
class Watcher {
 public:
  Watcher(const sigset_t& stopping, const sigset_t& suspending)
      : stopping_(stopping), suspending_(suspending) {}

  [[noreturn]] void run() {
    ::pthread_sigmask(SIG_BLOCK, &stopping_, nullptr);
    while (true) {
      const int signal = system::wait_for_signal(suspending_, stopping_);
      if (sigismember(&stopping_, signal) == 1) {
        handle_stop_signal(signal);
        continue;
      }
      const std::lock_guard lock(suspension_mutex);
      suspension_asked = signal;
      if (deferring == 0) suspend_if_asked();
    }
  }

 private:
  sigset_t stopping_;
  sigset_t suspending_;
};

}  // namespace

void install_signal_handlers(StopFlag& stop) {
  target.store(&stop);
  sigset_t stopping;
  sigemptyset(&stopping);
  for (const int signal : stop_signals) {
    if (signal == SIGHUP && handler_of(signal) == SIG_IGN) continue;
    set_handler(signal, handle_stop_signal);
    sigaddset(&stopping, signal);
  }
  sigset_t suspending;
  sigemptyset(&suspending);
  for (const int signal : suspending_signals) {
    if (handler_of(signal) != SIG_IGN) sigaddset(&suspending, signal);
  }
  for (const int signal : std::array{SIGPIPE, SIGXFSZ}) set_handler(signal, SIG_IGN);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &suspending, &before);
  try {
    std::thread([=] { Watcher(stopping, suspending).run(); }).detach();
  } catch (const std::system_error&) {
    // The system gives no thread. Then Ctrl-Z suspends at once, and a second signal may be lost.
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
}

StopsAtOnce::StopsAtOnce() : was_signalled_(signalled.test_and_set()) {}

StopsAtOnce::~StopsAtOnce() {
  if (!was_signalled_) signalled.clear();
}

DefersSuspension::DefersSuspension() {
  const std::lock_guard lock(suspension_mutex);
  ++deferring;
}

DefersSuspension::~DefersSuspension() {
  const std::lock_guard lock(suspension_mutex);
  if (--deferring == 0) suspend_if_asked();
}

void allow_suspension() {
  const std::lock_guard lock(suspension_mutex);
  suspend_if_asked();
}

int deferred_suspension() {
  const std::lock_guard lock(suspension_mutex);
  return suspension_asked;
}

std::uint64_t suspensions() noexcept { return suspended.load(); }

}  // namespace calib
