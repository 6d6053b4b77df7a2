// Temporary files in memory, for tests that make or sync very many.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace calib::test {

/// In memory, where there is a file system in it; else where temporary files are made.
inline std::filesystem::path fast_folder() {
  const std::filesystem::path memory = "/dev/shm";
  return ::access(memory.c_str(), W_OK | X_OK) == 0 ? memory
                                                    : std::filesystem::temp_directory_path();
}

/// While this lives, temporary files are made there.
class InMemory {
 public:
  InMemory() {
    if (const char* usual = std::getenv("TMPDIR")) usual_ = usual;
    ::setenv("TMPDIR", fast_folder().c_str(), 1);
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
  std::optional<std::string> usual_;
};

}  // namespace calib::test
