// A fixed list of work for a few threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "stop.hpp"

namespace calib {

/// Calls work(i) for each i below `count`, on `jobs` threads, this one included, until all are done
/// or `stop` is set. The first exception ends the rest and is thrown on.
template <typename Work>
void for_each_index(unsigned jobs, std::size_t count, const StopFlag& stop, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    for (auto i = next.fetch_add(1); i < count && !stop.requested(); i = next.fetch_add(1)) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    const auto helpers = std::min<std::size_t>(jobs, count);
    try {
      for (std::size_t i = 1; i < helpers; ++i) threads.emplace_back(run);
    } catch (const std::system_error&) {
      // The system gives no more threads: those there are do it, if more slowly.
      threads.shrink_to_fit();
    }
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace calib
