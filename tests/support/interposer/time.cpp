// Time, for the interposer (see changes.cpp). With CALIB_TEST_SLEEP=skip no sleep takes
// any: the steady clock is put forward instead. With CALIB_TEST_TIME=still that clock moves by
// nothing else, and by what poll() waits for in vain: what a pass does then does not depend on how
// fast the machine is, nor on how long a rule has stopped it. With CALIB_TEST_POLL=N what poll()
// waits for in vain, once a rule has stopped the process, takes N times as long by that clock.
// CALIB_TEST_CLOCK is by how many seconds the clock on the wall is wrong.
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "support/interposer/rules.hpp"

using namespace calib::test::interposer;

namespace {

std::atomic<long> skipped_nanoseconds{0};
std::atomic<long> stands_at{0};  ///< nanoseconds; 0: not known yet

bool skips_sleep() {
  static const bool skips = std::getenv("CALIB_TEST_SLEEP") != nullptr;
  return skips;
}

int skip(const timespec& time) {
  put_clock_forward(time.tv_sec * 1'000'000'000L + time.tv_nsec);
  return 0;
}

}  // namespace

void calib::test::interposer::put_clock_forward(long nanoseconds) {
  skipped_nanoseconds += nanoseconds;
}

void calib::test::interposer::let_time_pass() { put_clock_forward(100'000'000); }

bool calib::test::interposer::stands_still() {
  static const bool stands = std::getenv("CALIB_TEST_TIME") != nullptr;
  return stands;
}

void calib::test::interposer::start_clock() { stands_at = 0; }

extern "C" {

// What std::this_thread::sleep_for comes to.
int nanosleep(const timespec* wanted, timespec* left) {
  if (skips_sleep()) return skip(*wanted);
  return through(Kind::sleep, "sleep", nullptr, NEXT(nanosleep), wanted, left);
}

// How SQLite sleeps.
int usleep(useconds_t microseconds) {
  if (skips_sleep()) return skip({microseconds / 1'000'000, microseconds % 1'000'000 * 1000});
  return NEXT(usleep)(microseconds);
}

// What std::chrono's clocks come to.
int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const char* wrong_by = std::getenv("CALIB_TEST_CLOCK");
  const int result = NEXT(clock_gettime)(clock, time);
  if (result != 0) return result;
  if (clock == CLOCK_REALTIME && wrong_by != nullptr) time->tv_sec += std::atol(wrong_by);
  if (clock != CLOCK_MONOTONIC) return result;
  long now = time->tv_sec * 1'000'000'000L + time->tv_nsec;
  if (long stands = 0; stands_still() && !stands_at.compare_exchange_strong(stands, now)) {
    now = stands;
  }
  now += skipped_nanoseconds;
  *time = {now / 1'000'000'000, now % 1'000'000'000};
  return result;
}

}  // extern "C"
