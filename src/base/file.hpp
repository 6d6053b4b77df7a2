// Reading text files that people write by hand, or with a program of theirs.
#pragma once

#include <cstddef>
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

/// The whole of `path`, a pipe too, of at most `max_bytes`. May wait for who writes it. Throws
/// FileError.
std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);
/// The same of what is open already.
std::string read_to_end(int fd, std::size_t max_bytes);

}  // namespace calib
