// Loaded into a process (LD_PRELOAD): writes down how long it held SQLite's write lock, each time,
// as "<from> <to>" in seconds of the monotonic clock, one line each, to the file CALIB_BENCH_LOCKS.
//
// Nothing outside can see that without taking part in the locking. SQLite's file format fixes the
// bytes that are locked: RESERVED in the database, and the first lock byte of the WAL index.
#include <dlfcn.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace {

struct Lock {
  off_t byte;
  double since = 0;  // 0: not held
};

Lock locks[] = {{0x40000001}, {120}};

double now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

int log_file() {
  static const int file = [] {
    const char* path = std::getenv("CALIB_BENCH_LOCKS");
    return path == nullptr ? -1 : ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }();
  return file;
}

void note(const struct flock& change) {
  for (auto& lock : locks) {
    const bool covers = change.l_start <= lock.byte &&
                        (change.l_len == 0 || lock.byte < change.l_start + change.l_len);
    if (!covers || change.l_type == F_RDLCK) continue;
    if (change.l_type == F_WRLCK) {
      if (lock.since == 0) lock.since = now();
    } else if (lock.since != 0) {
      char line[64];
      const int size = std::snprintf(line, sizeof line, "%.6f %.6f\n", lock.since, now());
      lock.since = 0;
      if (::write(log_file(), line, static_cast<size_t>(size)) < 0) ::abort();
    }
  }
}

int forward(const char* name, int descriptor, int command, void* argument) {
  using Function = int (*)(int, int, ...);
  const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
  const int result = real(descriptor, command, argument);
  if (result == 0 && command == F_SETLK) note(*static_cast<struct flock*>(argument));
  return result;
}

}  // namespace

// On 64 bits `struct flock` and `struct flock64` are one.
extern "C" int fcntl(int descriptor, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  return forward("fcntl", descriptor, command, argument);
}

extern "C" int fcntl64(int descriptor, int command, ...) {
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  return forward("fcntl64", descriptor, command, argument);
}
