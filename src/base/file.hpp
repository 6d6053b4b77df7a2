// Reading the small text files that people write by hand: .env and the configuration file.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

namespace calib {

/// A file that cannot be read. what() is the bare reason, without the path.
class FileError : public std::runtime_error {
 public:
  FileError(const std::string& reason, bool missing)
      : std::runtime_error(reason), missing_(missing) {}

  /// Whether it is simply not there (ENOENT, ENOTDIR).
  [[nodiscard]] bool missing() const noexcept { return missing_; }

 private:
  bool missing_;
};

/// The whole of `path`, which must be a regular file of at most 1 MiB. Never waits, as reading a
/// FIFO would. Throws FileError.
std::string read_small_file(const std::filesystem::path& path);

}  // namespace calib
