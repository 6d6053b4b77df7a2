// The calls that only read, for the interposer (see changes.cpp).
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <cstdlib>
#include <string_view>

#include "support/interposer/rules.hpp"

using namespace calib::test::interposer;

namespace {

// Found as the library is loaded: NEXT may wait for another thread, with this very call.
decltype(&::syscall) const real_syscall = next<decltype(&::syscall)>("syscall");
/// With CALIB_TEST_BIRTH no file system tells when anything was made. With CALIB_TEST_DATABASE the
/// file of the database is the same one however often it is made anew: a test lays it out before
/// each pass.
void stay_the_same(std::string_view name, struct statx& status) {
  static const bool is_wanted = std::getenv("CALIB_TEST_DATABASE") != nullptr;
  if (!is_wanted || !name.ends_with("calibration.db")) return;
  status.stx_ino = 1;
  status.stx_btime = {};
}

}  // namespace

extern "C" {

ssize_t read(int descriptor, void* bytes, size_t size) {
  return through(Kind::read, "read", descriptor, NEXT(read), descriptor, bytes, size);
}

ssize_t pread64(int descriptor, void* bytes, size_t size, off64_t offset) {
  return through(Kind::read, "pread", descriptor, NEXT(pread64), descriptor, bytes, size, offset);
}

off64_t lseek64(int descriptor, off64_t offset, int origin) noexcept {
  return through(Kind::read, "lseek", descriptor, NEXT(lseek64), descriptor, offset, origin);
}

ssize_t getdents64(int descriptor, void* buffer, size_t size) noexcept {
  return through(Kind::read, "getdents", descriptor, NEXT(getdents64), descriptor, buffer, size);
}

int statx(int directory, const char* name, int flags, unsigned mask,
          struct statx* status) noexcept {
  const bool open_file = (flags & AT_EMPTY_PATH) != 0 && *name == '\0';
  const int result = through(Kind::read, "statx", open_file ? Subject(directory) : Subject(name),
                             NEXT(statx), directory, name, flags, mask, status);
  static const bool tells_no_birth = std::getenv("CALIB_TEST_BIRTH") != nullptr;
  if (result != 0 || (mask & STATX_BTIME) == 0) return result;
  stay_the_same(name, *status);
  if (tells_no_birth) status->stx_mask &= ~static_cast<unsigned>(STATX_BTIME);
  return result;
}

// What the tool calls instead where it has POSIX's calls alone.
int fstatat64(int directory, const char* name, struct stat64* status, int flags) noexcept {
  return through(Kind::read, "statx", name, NEXT(fstatat64), directory, name, status, flags);
}

int stat(const char* name, struct stat* status) noexcept {
  return through(Kind::read, "stat", name, NEXT(stat), name, status);
}

int stat64(const char* name, struct stat64* status) noexcept {
  return through(Kind::read, "stat", name, NEXT(stat64), name, status);
}

int lstat(const char* name, struct stat* status) noexcept {
  return through(Kind::read, "lstat", name, NEXT(lstat), name, status);
}

int lstat64(const char* name, struct stat64* status) noexcept {
  return through(Kind::read, "lstat", name, NEXT(lstat64), name, status);
}

int fstat64(int descriptor, struct stat64* status) noexcept {
  return through(Kind::read, "fstat", descriptor, NEXT(fstat64), descriptor, status);
}

int statvfs(const char* name, struct statvfs* status) noexcept {
  return through(Kind::read, "statvfs", name, NEXT(statvfs), name, status);
}

int access(const char* name, int mode) noexcept {
  return through(Kind::read, "access", name, NEXT(access), name, mode);
}

int faccessat(int directory, const char* name, int mode, int flags) noexcept {
  return through(Kind::read, "faccessat", name, NEXT(faccessat), directory, name, mode, flags);
}

// The calls that the C library has no function for: of those the tool makes one.
long syscall(long number, ...) noexcept {
  std::array<long, 6> words{};
  std::va_list rest;
  va_start(rest, number);
  for (auto& word : words) word = va_arg(rest, long);
  va_end(rest);
  const auto make = [&](long a, long b, long c, long d) {
    return real_syscall(number, a, b, c, d, words[4], words[5]);
  };
  if (number != SYS_openat2) return make(words[0], words[1], words[2], words[3]);
  return through(Kind::read, "openat2", reinterpret_cast<const char*>(words[1]), make, words[0],
                 words[1], words[2], words[3]);
}

ssize_t readlink(const char* name, char* text, size_t size) noexcept {
  return through(Kind::read, "readlink", name, NEXT(readlink), name, text, size);
}

}  // extern "C"
