// How much of a backlog one write transaction takes, so that the write lock is not held for longer
// than is promised (150 ms), and how long the lock then stays free.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace calib {

/// Pure: time comes as a value.
class LockBudget {
 public:
  using Duration = std::chrono::steady_clock::duration;

  static constexpr std::size_t most_at_first = 16;

  /// `first_portion`: what the first transaction begins with.
  explicit LockBudget(std::size_t first_portion = most_at_first) : first_portion_(first_portion) {}

  /// For what has to go at once, however long that takes: rows that hold each other.
  static LockBudget of_all(std::size_t units);

  /// What that may be for `units` that have `rows` rows in all: nobody knows yet how long one
  /// takes.
  [[nodiscard]] static std::size_t first_portion_of(std::size_t units, std::uint64_t rows);

  /// How many units a transaction takes in before the next look at the time. `taken` units are in
  /// it already, which took `spent`; the last portion was of `portion` units (0: there was none).
  /// Nothing (0) when the rest of the time is the commit's.
  [[nodiscard]] std::size_t next_portion(std::size_t taken, Duration spent,
                                         std::size_t portion) const;

  /// Whether it should wait for no further unit of a portion whose directories took `staging` so
  /// far: a folder on another machine may take a second for what took a millisecond before.
  [[nodiscard]] bool is_too_slow(Duration staging) const;

  /// A transaction held the lock for `held`; the part of it before the commit, in which it took in
  /// `taken` units, was `filled`.
  void learn(std::size_t taken, Duration filled, Duration held);

  /// How long the lock stays free after that.
  [[nodiscard]] static Duration gap(Duration held);

 private:
  /// What a transaction took in, and how long that took.
  struct Fill {
    double taken = 0;   ///< units
    double filled = 0;  ///< seconds
    double held = 0;    ///< seconds, with the commit
  };
  static bool differ(const Fill& a, const Fill& b);
  [[nodiscard]] std::size_t first_of(const Fill& now) const;

  // The first transaction knows nothing of the disk: commits were seen to take five times as long
  // as what they commit.
  Duration fill_time_ = std::chrono::milliseconds{25};
  std::size_t first_portion_;
  bool is_patient_ = false;
  Fill last_;
  Fill other_;  ///< the last one of clearly another size
};

}  // namespace calib
