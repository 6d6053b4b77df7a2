// What a signal does to a pass: it is stopped, ended at once, or suspended, and what long work
// asks.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <utility>

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
/// with status 128+n, also while its threads wait for a file server that does not answer. SIGTSTP
/// (Ctrl-Z) suspends it (see DefersSuspension). A SIGHUP or SIGTSTP that was ignored when the
/// process began (nohup) stays ignored, and SIGPIPE and SIGXFSZ are ignored: a closed stdout and a
/// file that may not grow are errors of their own, never the silent end of a pass. Before any other
/// thread is started, for all are to block what suspends it. `stop` must outlive the process.
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

/// While one is there, Ctrl-Z waits: a process that is suspended in a transaction would lock
/// everybody else out of the database for as long as its user likes. The last one that goes
/// suspends the process, where that was asked for.
class DefersSuspension {
 public:
  DefersSuspension();
  ~DefersSuspension();
  DefersSuspension(const DefersSuspension&) = delete;
  DefersSuspension& operator=(const DefersSuspension&) = delete;
  DefersSuspension(DefersSuspension&&) = delete;
  DefersSuspension& operator=(DefersSuspension&&) = delete;
};

/// In the middle of long work, where one is there, but no transaction is open just now: what was
/// asked for meanwhile happens here.
void allow_suspension();

/// The signal that will suspend the process when the last DefersSuspension goes; 0 for none.
int deferred_suspension();

/// How often the process was suspended.
std::uint64_t suspensions() noexcept;

/// For who takes a rate, or waits until a deadline, and has to begin anew: time went by in which
/// the process did nothing.
class SuspensionWatch {
 public:
  /// Whether it was suspended since this was made, or last asked.
  [[nodiscard]] bool was_suspended() noexcept {
    const auto now = suspensions();
    return std::exchange(seen_, now) != now;
  }

 private:
  std::uint64_t seen_ = suspensions();
};

}  // namespace calib
