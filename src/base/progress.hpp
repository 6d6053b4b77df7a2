// How far a pass is, for whoever shows it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/dir_io.hpp"

namespace calib {

/// Somebody is waited for.
struct Wait {
  std::string what;  ///< "waiting for another pass"
  std::chrono::steady_clock::time_point since;
  std::chrono::milliseconds limit{0};
  std::vector<FileId> files;  ///< who is waited for has one of these locked
  std::string holder;         ///< who that is, where it is known already
};

/// Counters that the pass moves and the line shows. The pass never prints. All members may be used
/// from any thread.
class Progress {
 public:
  /// A new phase begins: `what` is a gerund phrase ("measuring directories", "waiting for another
  /// pass"); `total` is how many steps it has, 0 where that is not known.
  void begin(std::string what, std::uint64_t total);
  void advance(std::uint64_t steps = 1) { done_.fetch_add(steps, std::memory_order_relaxed); }

  /// To be said again every few milliseconds: a wait of which nothing more is heard is over.
  void waits(Wait wait);

  struct View {
    std::string what;
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    std::chrono::steady_clock::time_point began;
    std::optional<Wait> wait = {};
  };
  [[nodiscard]] View view() const;

 private:
  mutable std::mutex mutex_;
  std::string what_;
  std::uint64_t total_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::optional<Wait> wait_;
  std::chrono::steady_clock::time_point wait_told_;
  std::atomic<std::uint64_t> done_{0};
};

}  // namespace calib
