#include "base/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include "base/call.hpp"
#include "base/fd.hpp"

namespace calib {
namespace {

constexpr std::size_t size_limit = std::size_t{1} << 20;

FileError system_failure(int error) {
  return {std::generic_category().message(error), error == ENOENT || error == ENOTDIR};
}

}  // namespace

std::string read_small_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO that nobody writes to must not hang.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) throw system_failure(errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw system_failure(errno);
  if (S_ISDIR(status.st_mode)) throw system_failure(EISDIR);
  if (!S_ISREG(status.st_mode)) throw FileError("Not a regular file", false);
  return read_to_end(fd.get(), size_limit);
}

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) throw system_failure(errno);
  return read_to_end(fd.get(), max_bytes);
}

std::string read_to_end(int fd, std::size_t max_bytes) {
  std::string text;
  std::array<char, 16384> buffer{};
  while (true) {
    const auto count = retry([&] { return ::read(fd, buffer.data(), buffer.size()); });
    if (count < 0) throw system_failure(errno);
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > max_bytes) {
      throw FileError(fmt::format("Larger than {} MiB", max_bytes >> 20), false);
    }
  }
}

}  // namespace calib
