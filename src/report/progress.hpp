// The progress line on a terminal: what is being done, how far it is, rate and time left.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "cli/options.hpp"

namespace calib {

/// Counters that the pass moves and the line shows. The pass never prints. All members may be used
/// from any thread.
class Progress {
 public:
  /// A new phase begins: `what` is a gerund phrase ("measuring directories", "waiting for another
  /// pass"); `total` is how many steps it has, 0 where that is not known.
  void begin(std::string what, std::uint64_t total);
  void advance(std::uint64_t steps = 1) { done_.fetch_add(steps, std::memory_order_relaxed); }

  struct View {
    std::string what;
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    std::chrono::steady_clock::time_point began;
  };
  [[nodiscard]] View view() const;

 private:
  mutable std::mutex mutex_;
  std::string what_;
  std::uint64_t total_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> done_{0};
};

/// The line for `view` at `now`, as much of it as fits into `columns`: no newline, no escape codes.
std::string progress_line(const Progress::View& view, std::chrono::steady_clock::time_point now,
                          unsigned columns);

/// Draws the line on stderr from a thread of its own while it lives: the first time after 1 s, then
/// every 200 ms, as wide as the terminal is at that moment; wipes it when it goes. With
/// When::never, or When::automatic where stderr is no terminal, it does nothing.
class ProgressLine {
 public:
  ProgressLine(const Progress& progress, When when);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ProgressLine(ProgressLine&&) = delete;
  ProgressLine& operator=(ProgressLine&&) = delete;

 private:
  void run(const std::stop_token& stop);

  const Progress& progress_;
  bool drawn_ = false;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace calib
