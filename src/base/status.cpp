#include "base/status.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

namespace calib {

Instant to_instant(const FileTime& time) {
  using std::chrono::microseconds;
  using std::chrono::nanoseconds;
  using std::chrono::seconds;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1'000'000 - 1;
  const seconds whole{std::clamp<std::int64_t>(time.seconds, -most, most)};
  return Instant{whole + std::chrono::ceil<microseconds>(nanoseconds{time.nanoseconds})};
}

void Status::set_times(const FileTime& mtime, const FileTime& ctime,
                       const std::optional<FileTime>& btime) {
  modified = mtime;
  changed = std::max(to_instant(mtime), to_instant(ctime));
  birth = btime;
  // Some file systems do not know it and say 1970.
  born = btime && btime->seconds > 0 ? to_instant(*btime) : changed;
}

}  // namespace calib
