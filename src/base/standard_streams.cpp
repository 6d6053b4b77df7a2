#include "base/standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/call.hpp"

namespace calib {

void keep_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one. Read-only, so that output to it fails as it should.
    if (::open("/dev/null", O_RDONLY) != descriptor) {
      throw std::system_error(errno, std::generic_category(), "/dev/null");
    }
  }
}

bool is_screen(int descriptor) {
  const char* const kind = std::getenv("TERM");
  return ::isatty(descriptor) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

std::error_code write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const auto written = retry([&] { return ::write(descriptor, text.data(), text.size()); });
    if (written < 0) return errno_code(errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace calib
