// System calls that a signal interrupts are made again, and what they say comes back as a value.
#pragma once

#include <fcntl.h>

#include <cerrno>
#include <system_error>

#include "base/fd.hpp"

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

/// Opens `name` of the directory `parent`, which has to be there.
inline std::error_code open_at(int parent, const char* name, int flags, Fd& fd) {
  const int opened = retry([&] { return ::openat(parent, name, flags); });
  if (opened < 0) return errno_code(errno);
  fd = Fd(opened);
  return {};
}

}  // namespace calib
