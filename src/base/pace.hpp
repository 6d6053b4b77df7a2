// How many workers get the most done, found by measuring. No number is right everywhere: where the
// processors are the limit, more threads than those gain nothing; where every removal waits for the
// disk, sixteen are four times as fast as one; and on some file systems two that remove are slower
// than one. So work starts with few workers, and their number follows the rate that it measures.
#pragma once

#include <bit>
#include <chrono>
#include <cstdint>

namespace calib {

/// Pure: time comes as a value.
class Pace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `fixed` workers, whatever the rate; 0: as many as the rate says, and `first` of them (1, 2, 4,
  /// 8 or 16) before it is known.
  explicit Pace(unsigned fixed, unsigned first = 1)
      : fixed_(fixed), level_(static_cast<unsigned>(std::bit_width(first)) - 1), home_(level_) {}

  /// How many are to work now.
  [[nodiscard]] unsigned workers() const { return fixed_ > 0 ? fixed_ : 1U << level_; }

  /// The most that workers() may ever say.
  [[nodiscard]] unsigned most() const { return fixed_ > 0 ? fixed_ : 1U << highest_level; }

  /// Work begins, or goes on after a rest. What was learnt, and measured, stays: a transaction may
  /// have so few directories that no rate could be taken of them alone.
  void start(Time now);

  /// Work has gone on, but not at its rate: what is measured just now is nothing.
  void forget(Time now);

  /// A piece of work is done; `units` is how large it was, in anything that takes equal time.
  void done(std::uint64_t units, Time now);

 private:
  static constexpr unsigned highest_level = 4;

  void judge(double rate);
  void settle();
  void try_next();

  unsigned fixed_;
  // Levels are powers of two. Home is the best so far; at another one it is only being tried.
  unsigned level_;
  unsigned home_;
  double home_rate_ = 0;
  bool upwards_ = true;        ///< where the next try goes
  unsigned windows_left_ = 0;  ///< at home, until the next try
  unsigned patience_ = 0;      ///< how many there are after the next failure
  // What is measured now.
  Time began_{};
  Time last_done_{};
  std::uint64_t units_ = 0;
  unsigned pieces_ = 0;
};

}  // namespace calib
