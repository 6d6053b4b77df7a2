#include "base/progress.hpp"

#include <utility>

namespace calib {

void Progress::begin(std::string what, std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
  total_ = total;
  began_ = std::chrono::steady_clock::now();
  done_.store(0, std::memory_order_relaxed);
}

Progress::View Progress::view() const {
  const std::lock_guard lock(mutex_);
  return {what_, done_.load(std::memory_order_relaxed), total_, began_};
}

}  // namespace calib
