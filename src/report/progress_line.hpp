// The progress line on a terminal: what is being done, how far it is, rate and time left.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/joined_thread.hpp"
#include "base/progress.hpp"
#include "model/options.hpp"

namespace calib {

/// The line for `view` at `now`, as much of it as fits into `columns`: no newline, no escape codes.
std::string progress_line(const Progress::View& view, std::chrono::steady_clock::time_point now,
                          unsigned columns);

/// Draws the line on stderr from a thread of its own while it lives: the first time after 1 s, then
/// every 200 ms, as wide as the terminal is at that moment; wipes it when it goes. With
/// When::never, or When::automatic where stderr is no screen (is_screen()), it does nothing.
class ProgressLine {
 public:
  ProgressLine(const Progress& progress, When when);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ProgressLine(ProgressLine&&) = delete;
  ProgressLine& operator=(ProgressLine&&) = delete;

 private:
  void run(Pause& pause);

  const Progress& progress_;
  bool drawn_ = false;
  std::optional<PausingThread> thread_;
};

}  // namespace calib
