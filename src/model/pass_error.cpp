#include "model/pass_error.hpp"

#include <fmt/format.h>

namespace calib {

void throw_if_requested(const StopFlag& stop) {
  if (stop.requested()) throw PassError(PassError::Kind::stopped, "stopped");
}

PassError still_locked(const std::string& path, std::chrono::steady_clock::duration waited) {
  return {PassError::Kind::busy, path,
          fmt::format("the database stayed locked for {:.1f} s; try again, or wait longer with "
                      "--lock-wait",
                      std::chrono::duration<double>(waited).count())};
}

}  // namespace calib
