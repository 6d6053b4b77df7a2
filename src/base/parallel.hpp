// A fixed list of work for a few threads, as many as get the most done.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "base/pace.hpp"
#include "base/stop.hpp"

namespace calib {

/// The indexes of a list, each handed out once. Every worker has a stretch of neighbours of its
/// own, and takes half of the longest one there is when it has none left: where the list is sorted
/// by inode, they keep out of each other's way (on XFS that makes the difference between slower
/// than one thread and nearly twice as fast).
class Stretches {
 public:
  Stretches(std::size_t count, unsigned workers) : stretches_(workers) {
    stretches_.front().end = count;
  }
  /// Nothing where all are handed out.
  std::optional<std::size_t> take(unsigned worker);
  void clear();
  [[nodiscard]] bool empty() const;

 private:
  struct Stretch {
    std::size_t begin = 0;
    std::size_t end = 0;
    [[nodiscard]] std::size_t size() const { return end - begin; }
  };
  std::vector<Stretch> stretches_;
};

/// No more jobs than the process may open files for, so that no walk fails midway; 0: as many as
/// the rate says.
unsigned jobs_that_fit(unsigned wanted);

/// Threads for one kind of work. What one list teaches about the best number serves the next.
class Workers {
 public:
  /// `jobs` threads, the caller's included; 0: as many as the rate says, `first` to begin with.
  Workers(unsigned jobs, const StopFlag& stop, unsigned first = 1)
      : pace_(jobs, first), stop_(stop) {}

  /// Does one piece of the list, by its index; returns how large it was (see Pace).
  using Work = std::function<std::uint64_t(std::size_t)>;

  /// Calls work(i) once for each i below `count`, until all are done or the stop flag is set. The
  /// first exception ends the rest and is thrown on.
  void run(std::size_t count, const Work& work);

 private:
  class Shift;

  Pace pace_;
  const StopFlag& stop_;
};

}  // namespace calib
