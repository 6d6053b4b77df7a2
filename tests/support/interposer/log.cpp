#include "support/interposer/log.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support/interposer/rules.hpp"

namespace calib::test::interposer {
namespace {

/// The file for the records, or -1.
int log_file() {
  static const int file = [] {
    const char* path = std::getenv("CALIB_TEST_LOG");
    if (path == nullptr) return -1;
    const auto low =
        ::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    // Out of the way of the numbers that the tool gets.
    const auto high = ::syscall(SYS_fcntl, low, F_DUPFD_CLOEXEC, 900);
    ::syscall(SYS_close, low);
    return static_cast<int>(high);
  }();
  return file;
}

struct Path {
  std::array<char, 2 * PATH_MAX> text{};
  int size = 0;

  Path() = default;
  explicit Path(int descriptor) { size = set("", Subject(descriptor).text()); }
  Path(int directory, const char* name) {
    const bool is_whole = directory == AT_FDCWD || *name == '/';
    size = set(is_whole ? "" : Subject(directory).text(), name);
  }

 private:
  int set(std::string_view directory, std::string_view name) {
    return std::snprintf(text.data(), text.size(), "%.*s%s%.*s", static_cast<int>(directory.size()),
                         directory.data(), directory.empty() ? "" : "/",
                         static_cast<int>(name.size()), name.data());
  }
};

void add(std::string_view what, off64_t offset, off64_t size, const Path& path, const Path& other,
         const void* data, std::size_t data_size) {
  const int error = errno;
  std::array<char, 128> head{};
  const int head_size =
      std::snprintf(head.data(), head.size(), "%.*s %lld %lld %d %d\n",
                    static_cast<int>(what.size()), what.data(), static_cast<long long>(offset),
                    static_cast<long long>(size), path.size, other.size);
  const auto part = [](const void* bytes, std::size_t count) {
    return iovec{const_cast<void*>(bytes), count};
  };
  const std::array<iovec, 4> parts{part(head.data(), static_cast<std::size_t>(head_size)),
                                   part(path.text.data(), static_cast<std::size_t>(path.size)),
                                   part(other.text.data(), static_cast<std::size_t>(other.size)),
                                   part(data, data_size)};
  // A log with a gap would be taken for the truth.
  if (::syscall(SYS_writev, log_file(), parts.data(), parts.size()) < 0) ::abort();
  errno = error;
}

}  // namespace

void log_open(int descriptor, int flags) {
  if (log_file() < 0) return;
  add("open", 0, (flags & O_TRUNC) != 0 ? 1 : 0, Path(descriptor), {}, nullptr, 0);
}

void log_write(int descriptor, const void* bytes, ssize_t size, off64_t offset) {
  if (log_file() < 0) return;
  add("write", offset, size, Path(descriptor), {}, bytes, static_cast<std::size_t>(size));
}

void log_size(int descriptor, off64_t size) {
  if (log_file() >= 0) add("size", 0, size, Path(descriptor), {}, nullptr, 0);
}

void log_sync(int descriptor) {
  if (log_file() >= 0) add("sync", 0, 0, Path(descriptor), {}, nullptr, 0);
}

void log_name(std::string_view what, int directory, const char* name) {
  if (log_file() >= 0) add(what, 0, 0, Path(directory, name), {}, nullptr, 0);
}

void log_rename(int from, const char* old_name, int to, const char* new_name) {
  if (log_file() < 0) return;
  add("rename", 0, 0, Path(from, old_name), Path(to, new_name), nullptr, 0);
}

}  // namespace calib::test::interposer
