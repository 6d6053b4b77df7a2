// What is tested, and how much the tests that count on many tries do: less under a sanitizer, where
// everything takes several times as long.
#pragma once

#include <cstdlib>

namespace calib::test {

/// The executable: the one that was built beside the tests, unless CALIB_TEST_EXECUTABLE names
/// another. CALIB_TEST_SANITIZED says that it is instrumented.
#ifdef EXECUTABLE
inline const char* executable() {
  const char* other = std::getenv("CALIB_TEST_EXECUTABLE");
  return other == nullptr ? EXECUTABLE : other;
}
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline const bool sanitized = true;
#else
inline const bool sanitized = std::getenv("CALIB_TEST_SANITIZED") != nullptr;

/// Whether there is time for a sample only: scripts/test.sh without arguments says so.
inline const bool daily = [] {
  const char* value = std::getenv("CALIB_TEST_DAILY");
  return value != nullptr && *value != '\0';
}();
#endif

inline int scaled(int count) { return sanitized ? (count + 9) / 10 : count; }

}  // namespace calib::test
