#include "model/pass_error.hpp"

#include <fmt/format.h>

namespace calib {

void throw_if_requested(const StopFlag& stop) {
  if (stop.requested()) throw PassError(PassError::Kind::stopped, "stopped");
}

PassError still_locked(const std::string& path, std::chrono::steady_clock::duration waited,
                       const std::string& holder) {
  const auto by = holder.empty() ? "" : " by " + holder;
  // Who does not wait is told of no time.
  constexpr std::chrono::milliseconds shown{50};
  if (waited < shown) {
    return {PassError::Kind::busy, path,
            fmt::format("the database is locked{}; try again, or wait with --lock-wait", by)};
  }
  return {PassError::Kind::busy, path,
          fmt::format("the database stayed locked for {:.1f} s{}; try again, or wait longer with "
                      "--lock-wait",
                      std::chrono::duration<double>(waited).count(), by)};
}

}  // namespace calib
