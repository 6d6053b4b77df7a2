#include "base/pace.hpp"

#include <algorithm>

namespace calib {
namespace {

// A rate is taken over this long, and over so many pieces for each worker: shorter, and it is
// chance; longer, and a pass of a second is over before anything is learnt.
constexpr std::chrono::milliseconds window{40};
constexpr unsigned pieces_each = 4;

// Another number of workers has to be this much better, or it was chance.
constexpr double clearly_better = 1.1;

// After a try that failed, so many windows pass until the next one, then twice as many. A try in
// the wrong direction costs about half a window.
constexpr unsigned first_patience = 8;
constexpr unsigned max_patience = 128;

}  // namespace

void Pace::start(Time now) {
  began_ = now - (last_done_ - began_);
  last_done_ = now;
}

void Pace::forget(Time now) {
  began_ = now;
  last_done_ = now;
  units_ = 0;
  pieces_ = 0;
}

void Pace::done(std::uint64_t units, Time now) {
  if (fixed_ > 0) return;
  units_ += units;
  ++pieces_;
  last_done_ = now;
  if (now - began_ < window || pieces_ < pieces_each * workers()) return;
  judge(static_cast<double>(units_) / std::chrono::duration<double>(now - began_).count());
  forget(now);
}

void Pace::judge(double rate) {
  if (level_ == home_) {
    home_rate_ = rate;
    if (windows_left_ > 0) {
      --windows_left_;
    } else {
      try_next();
    }
  } else if (rate > home_rate_ * clearly_better) {
    // Where one step was good, the next one may be.
    home_ = level_;
    home_rate_ = rate;
    patience_ = 0;
    try_next();
  } else {
    settle();
  }
}

void Pace::settle() {
  level_ = home_;
  upwards_ = !upwards_;
  patience_ = std::clamp(2 * patience_, first_patience, max_patience);
  windows_left_ = patience_;
}

void Pace::try_next() {
  const bool at_end = upwards_ ? home_ == highest_level : home_ == 0;
  if (at_end) {
    settle();
  } else {
    level_ = upwards_ ? home_ + 1 : home_ - 1;
  }
}

}  // namespace calib
