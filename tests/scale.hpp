// How much the tests that count on many tries do: under a sanitizer a tenth of it.
#pragma once

namespace calib::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

constexpr int scaled(int count) { return sanitized ? (count + 9) / 10 : count; }

}  // namespace calib::test
