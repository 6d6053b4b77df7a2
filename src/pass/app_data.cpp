#include "pass/app_data.hpp"

#include "webapp/database_age.hpp"

namespace calib {

PassTimes::PassTimes(const Options& options, Instant time)
    : now(time), began(std::chrono::steady_clock::now()) {
  if (options.mode == Mode::expired) cutoff = hours_before(now, options.hours);
}

void PassTimes::look_at(const DatabaseLocation& database) {
  database_changed = last_change(database);
  database_born = birth(database);
}

Instant PassTimes::current() const {
  const auto passed = std::chrono::steady_clock::now() - began;
  return now + std::chrono::duration_cast<std::chrono::microseconds>(passed);
}

}  // namespace calib
