// Work that may never end, and is not waited for without end.
#pragma once

#include <chrono>
#include <future>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/stop.hpp"

namespace calib {

/// What `work` returns or throws; nothing where it has not within `limit`, or `stop` was requested:
/// for calls that a file server may never answer. It runs on a thread that nobody waits for any
/// more then, so that it has to own whatever it uses.
template <typename Work>
std::optional<std::invoke_result_t<Work&>> run_within(std::chrono::milliseconds limit,
                                                      const StopFlag& stop, Work work) {
  constexpr std::chrono::milliseconds between_looks{50};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::packaged_task<std::invoke_result_t<Work&>()> task(std::move(work));
  auto result = task.get_future();
  std::thread(std::move(task)).detach();
  while (result.wait_for(between_looks) != std::future_status::ready) {
    if (stop.requested() || std::chrono::steady_clock::now() >= deadline) return std::nullopt;
  }
  return result.get();
}

}  // namespace calib
