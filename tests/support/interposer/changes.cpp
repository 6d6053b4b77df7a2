// The calls that change the world, the tool's and SQLite's.
//
// Loaded into the tool by tests (LD_PRELOAD), with the others of this folder: makes one call to
// the system the last, or makes it fail, or stops the process before it, so that a test can look
// and act at exactly that point (rules.hpp); writes down what was changed
// (log.hpp).
//
// Not here: what libc calls inside itself (fopen), and the memory that a WAL database is mapped
// into: SQLite forgets all that stands there when the last process that has it open dies.
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <array>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "support/interposer/log.hpp"
#include "support/interposer/rules.hpp"

using namespace calib::test::interposer;

namespace {

bool opens_to_change(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
}

Kind kind_of_opening(int flags) { return opens_to_change(flags) ? Kind::change : Kind::read; }

/// What rules call it: one that may make a file is another call.
std::string_view name_of_opening(int flags) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? "create" : "open";
}

/// With CALIB_TEST_RANDOM=none what SQLite draws is always the same.
const char* name_or_zeros(const char* name) {
  static const bool no_random = std::getenv("CALIB_TEST_RANDOM") != nullptr;
  return no_random && std::strcmp(name, "/dev/urandom") == 0 ? "/dev/zero" : name;
}

int opened(int descriptor, int flags) {
  if (descriptor >= 0 && opens_to_change(flags)) log_open(descriptor, flags);
  return descriptor;
}

int named(int result, std::string_view what, int directory, const char* name) {
  if (result == 0) log_name(what, directory, name);
  return result;
}

int renamed(int result, int from, const char* old_name, int to, const char* new_name) {
  if (result == 0) log_rename(from, old_name, to, new_name);
  return result;
}

ssize_t written(ssize_t size, int descriptor, const void* bytes, off64_t offset) {
  if (size > 0) log_write(descriptor, bytes, size, offset);
  return size;
}

/// What rules call it: that a rollback journal's header is overwritten with zeros, by which SQLite
/// commits where it keeps the file (zeroJournalHdr() in its pager.c), is `clear`.
std::string_view name_of_writing(const void* bytes, size_t size, off64_t offset) {
  constexpr std::array<char, 28> header{};
  const bool clears =
      offset == 0 && size == header.size() && std::memcmp(bytes, header.data(), size) == 0;
  return clears ? "clear" : "pwrite";
}

int synced(int result, int descriptor) {
  if (result == 0) log_sync(descriptor);
  return result;
}

bool is_lock(int command) {
  return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK ||
         command == F_OFD_SETLKW;
}

mode_t mode_of(std::va_list& rest, int flags) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

}  // namespace

// With optimization, libc's headers turn open() and openat() of constant flags into these.
extern "C" int __open64_2(const char* name, int flags);
extern "C" int __openat64_2(int directory, const char* name, int flags);

extern "C" {

// Names.

int rename(const char* old_name, const char* new_name) noexcept {
  return renamed(through(Kind::change, "rename", new_name, NEXT(rename), old_name, new_name),
                 AT_FDCWD, old_name, AT_FDCWD, new_name);
}

int renameat(int from, const char* old_name, int to, const char* new_name) noexcept {
  return renamed(
      through(Kind::change, "renameat", new_name, NEXT(renameat), from, old_name, to, new_name),
      from, old_name, to, new_name);
}

int renameat2(int from, const char* old_name, int to, const char* new_name,
              unsigned flags) noexcept {
  return renamed(through(Kind::change, "renameat2", new_name, NEXT(renameat2), from, old_name, to,
                         new_name, flags),
                 from, old_name, to, new_name);
}

int unlinkat(int directory, const char* name, int flags) noexcept {
  const bool is_directory = (flags & AT_REMOVEDIR) != 0;
  return named(through(Kind::change, is_directory ? "rmdirat" : "unlinkat", name, NEXT(unlinkat),
                       directory, name, flags),
               is_directory ? "rmdir" : "unlink", directory, name);
}

int unlink(const char* name) noexcept {
  return named(through(Kind::change, "unlink", name, NEXT(unlink), name), "unlink", AT_FDCWD, name);
}

int rmdir(const char* name) noexcept {
  return named(through(Kind::change, "rmdir", name, NEXT(rmdir), name), "rmdir", AT_FDCWD, name);
}

int mkdir(const char* name, mode_t mode) noexcept {
  return named(through(Kind::change, "mkdir", name, NEXT(mkdir), name, mode), "mkdir", AT_FDCWD,
               name);
}

int linkat(int from, const char* old_name, int to, const char* new_name, int flags) noexcept {
  return named(
      through(Kind::change, "linkat", new_name, NEXT(linkat), from, old_name, to, new_name, flags),
      "link", to, new_name);
}

// Opening.

int open(const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return opened(through(kind_of_opening(flags), name_of_opening(flags), name, NEXT(open),
                        name_or_zeros(name), flags, mode),
                flags);
}

int open64(const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return opened(through(kind_of_opening(flags), name_of_opening(flags), name, NEXT(open64),
                        name_or_zeros(name), flags, mode),
                flags);
}

int __open64_2(const char* name, int flags) {
  return opened(
      through(kind_of_opening(flags), name_of_opening(flags), name, NEXT(__open64_2), name, flags),
      flags);
}

int openat(int directory, const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return opened(
      through(kind_of_opening(flags), "openat", name, NEXT(openat), directory, name, flags, mode),
      flags);
}

int openat64(int directory, const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return opened(
      through(kind_of_opening(flags), "openat", name, NEXT(openat64), directory, name, flags, mode),
      flags);
}

int __openat64_2(int directory, const char* name, int flags) {
  return opened(
      through(kind_of_opening(flags), "openat", name, NEXT(__openat64_2), directory, name, flags),
      flags);
}

int mkostemp64(char* pattern, int flags) {
  return opened(through(Kind::change, "mkostemp", pattern, NEXT(mkostemp64), pattern, flags),
                flags | O_CREAT);
}

// What stands in files.

ssize_t write(int descriptor, const void* bytes, size_t size) {
  // What the tool says of a failure is no place for another one.
  if (descriptor == STDERR_FILENO) return NEXT(write)(descriptor, bytes, size);
  const bool output = descriptor == STDOUT_FILENO;
  const auto put = through(output ? Kind::read : Kind::change, output ? "output" : "write",
                           descriptor, NEXT(write), descriptor, bytes, size);
  if (output || put <= 0) return put;
  return written(put, descriptor, bytes, NEXT(lseek64)(descriptor, 0, SEEK_CUR) - put);
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  return written(through(Kind::change, name_of_writing(bytes, size, offset), descriptor,
                         NEXT(pwrite64), descriptor, bytes, size, offset),
                 descriptor, bytes, offset);
}

int ftruncate64(int descriptor, off64_t size) noexcept {
  const int result =
      through(Kind::change, "ftruncate", descriptor, NEXT(ftruncate64), descriptor, size);
  if (result == 0) log_size(descriptor, size);
  return result;
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t size) {
  return named(through(Kind::change, "fallocate", descriptor, NEXT(fallocate64), descriptor, mode,
                       offset, size),
               "fallocate", AT_FDCWD, "");
}

void* mmap64(void* where, size_t size, int protection, int flags, int descriptor,
             off64_t offset) noexcept {
  // Memory of nobody's file is no call to a file system, and what is private changes none.
  if (descriptor < 0) {
    return NEXT(mmap64)(where, size, protection, flags, descriptor, offset);
  }
  const bool changes = (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0;
  return through(changes ? Kind::change : Kind::read, "mmap", descriptor, NEXT(mmap64), where, size,
                 protection, flags, descriptor, offset);
}

int fdatasync(int descriptor) {
  return synced(through(Kind::change, "fdatasync", descriptor, NEXT(fdatasync), descriptor),
                descriptor);
}

int fsync(int descriptor) {
  return synced(through(Kind::change, "fsync", descriptor, NEXT(fsync), descriptor), descriptor);
}

// Owners, modes, times, locks.

int fchmod(int descriptor, mode_t mode) noexcept {
  return through(Kind::change, "fchmod", descriptor, NEXT(fchmod), descriptor, mode);
}

int fchown(int descriptor, uid_t user, gid_t group) noexcept {
  return through(Kind::change, "fchown", descriptor, NEXT(fchown), descriptor, user, group);
}

int utime(const char* name, const struct utimbuf* times) noexcept {
  return through(Kind::change, "utime", name, NEXT(utime), name, times);
}

int flock(int descriptor, int operation) noexcept {
  return through(Kind::change, "flock", descriptor, NEXT(flock), descriptor, operation);
}

int fcntl64(int descriptor, int command, ...) {
  std::va_list rest;
  va_start(rest, command);
  void* argument = va_arg(rest, void*);
  va_end(rest);
  return through(is_lock(command) ? Kind::change : Kind::read, is_lock(command) ? "lock" : "fcntl",
                 descriptor, NEXT(fcntl64), descriptor, command, argument);
}

}  // extern "C"
