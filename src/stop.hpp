// The one thing that a signal handler may touch, and what long work asks.
#pragma once

#include <array>
#include <atomic>
#include <csignal>

namespace calib {

/// Set by the first SIGINT, SIGTERM or SIGHUP; long work looks at it every few milliseconds and
/// winds down. Lock-free, so a handler may write it.
class StopFlag {
 public:
  void request(int signal) noexcept { signal_.store(signal, std::memory_order_relaxed); }
  [[nodiscard]] bool requested() const noexcept { return signal() != 0; }
  /// The signal's number; 0 where none has come.
  [[nodiscard]] int signal() const noexcept { return signal_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int> signal_{0};
  static_assert(std::atomic<int>::is_always_lock_free);
};

inline constexpr std::array stop_signals{SIGINT, SIGTERM, SIGHUP};

/// Makes the first SIGINT, SIGTERM or SIGHUP set `stop`, and a second one end the process at once
/// with status 128+n. A SIGHUP that was ignored when the process began (nohup) stays ignored, and
/// SIGPIPE and SIGXFSZ are ignored: a closed stdout and a file that may not grow are errors of
/// their own, never the silent end of a pass. `stop` must outlive the process.
void install_signal_handlers(StopFlag& stop);

/// While one is there, the first such signal does what the second one does: for a call that comes
/// back when it likes and looks at no flag, and only where there is nothing to put in order.
/// Who makes one looks at the flag once more then.
class StopsAtOnce {
 public:
  StopsAtOnce();
  ~StopsAtOnce();
  StopsAtOnce(const StopsAtOnce&) = delete;
  StopsAtOnce& operator=(const StopsAtOnce&) = delete;
  StopsAtOnce(StopsAtOnce&&) = delete;
  StopsAtOnce& operator=(StopsAtOnce&&) = delete;

 private:
  bool was_signalled_;
};

}  // namespace calib
