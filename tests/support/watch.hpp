// Sees whatever is done to a directory, or to what is directly in it: opening and reading, too.
#pragma once

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <vector>

namespace calib::test {

class Watch {
 public:
  explicit Watch(const std::vector<std::filesystem::path>& directories)
      : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    for (const auto& directory : directories) {
      if (::inotify_add_watch(fd_, directory.c_str(), IN_ALL_EVENTS) < 0) {
        throw std::system_error(errno, std::generic_category(), directory.string());
      }
    }
  }
  ~Watch() { ::close(fd_); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  Watch(Watch&&) = delete;
  Watch& operator=(Watch&&) = delete;

  /// Whether anything has happened since the last call.
  [[nodiscard]] bool saw_something() const {
    bool any = false;
    std::array<std::byte, 4096> events{};
    while (::read(fd_, events.data(), events.size()) > 0) any = true;
    return any;
  }

 private:
  int fd_;
};

}  // namespace calib::test
