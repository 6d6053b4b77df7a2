// Temporary files in memory, for tests that make very many.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace calib::test {

/// While this lives, temporary files are made in memory, where there is a file system in it.
class InMemory {
 public:
  InMemory() {
    if (const char* usual = std::getenv("TMPDIR")) usual_ = usual;
    if (::access(memory, W_OK | X_OK) == 0) ::setenv("TMPDIR", memory, 1);
  }
  ~InMemory() {
    if (usual_) {
      ::setenv("TMPDIR", usual_->c_str(), 1);
    } else {
      ::unsetenv("TMPDIR");
    }
  }
  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;
  InMemory(InMemory&&) = delete;
  InMemory& operator=(InMemory&&) = delete;

 private:
  static constexpr auto memory = "/dev/shm";
  std::optional<std::string> usual_;
};

}  // namespace calib::test
