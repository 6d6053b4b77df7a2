// System calls that a signal interrupts are made again, and what they say comes back as a value.
#pragma once

#include <cerrno>
#include <system_error>

namespace calib {

inline std::error_code errno_code(int error) { return {error, std::generic_category()}; }

template <typename Call>
auto retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

template <typename Call>
std::error_code attempt(Call call) {
  return retry(call) < 0 ? errno_code(errno) : std::error_code{};
}

}  // namespace calib
