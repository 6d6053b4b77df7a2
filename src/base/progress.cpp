#include "base/progress.hpp"

#include <utility>

namespace calib {
namespace {

/// A wait was told of more often than that.
constexpr std::chrono::milliseconds heard_lately{500};

}  // namespace

void Progress::begin(std::string what, std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
  total_ = total;
  began_ = std::chrono::steady_clock::now();
  wait_.reset();
  done_.store(0, std::memory_order_relaxed);
}

void Progress::waits(Wait wait) {
  const std::lock_guard lock(mutex_);
  wait_ = std::move(wait);
  wait_told_ = std::chrono::steady_clock::now();
}

Progress::View Progress::view() const {
  const std::lock_guard lock(mutex_);
  const bool is_waiting = wait_ && std::chrono::steady_clock::now() - wait_told_ < heard_lately;
  return {what_, done_.load(std::memory_order_relaxed), total_, began_,
          is_waiting ? wait_ : std::nullopt};
}

}  // namespace calib
