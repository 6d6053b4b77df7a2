// Loaded into the tool by tests (LD_PRELOAD): makes one call to the system the last, or makes it
// fail, or stops the process before it, so that a test can look and act at exactly that point.
//
// CALIB_TEST_AT holds rules, separated by spaces: `<call>[/<part>]:<n>:<what>`. <call> is one of
// the names below, or `change` (every call that can change the world: the tool's and SQLite's), or
// `call` (those, those that only read, and what is written to standard output). <part>, where it is
// given, must be part of the name that the call is about, or of the path of the open file. <n>
// counts the calls that match, from 1; `*` is each of them, `<n>+` each from the nth on, `<n>+<m>`
// m of them. <what> is `kill`, `stop` (SIGSTOP, the test goes on with SIGCONT) or an errno. It
// happens before the call; `kill-after` and `stop-after` let the call happen first.
//
// With CALIB_TEST_LOG every `change` adds a line to that file, before it is made: the call's name,
// inode and path of the open file that it is about (0 where it is about a name), and that name.
// With CALIB_TEST_RANDOM=none what SQLite draws is always the same. With CALIB_TEST_SLEEP=skip no
// sleep takes any time: the steady clock is put forward instead. CALIB_TEST_CLOCK is by how many
// seconds the clock on the wall is wrong.
//
// Not here: what libc calls inside itself (fopen), and the memory that a WAL database is mapped
// into: SQLite forgets all that stands there when the last process that has it open dies.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace {

enum class Kind { change, read, sleep };

struct Rule {
  std::string_view call;
  std::string_view part;
  long first = 1;
  long last = 1;
  std::string_view what;
  std::atomic<long> seen{0};

  bool matches_call(Kind kind, std::string_view name) const {
    if (call == "change") return kind == Kind::change;
    if (call == "call") return kind != Kind::sleep;
    return call == name;
  }
};

constexpr long endless = 1L << 40;

struct Rules {
  std::array<Rule, 8> rules;
  std::size_t count = 0;
  int log = -1;

  Rules() {
    const char* text = std::getenv("CALIB_TEST_AT");
    std::string_view rest = text == nullptr ? "" : text;
    while (!rest.empty() && count < rules.size()) {
      const auto word = rest.substr(0, rest.find(' '));
      rest.remove_prefix(word.size() == rest.size() ? word.size() : word.size() + 1);
      add(word, rules[count++]);
    }
    if (const char* path = std::getenv("CALIB_TEST_LOG")) {
      log = static_cast<int>(
          ::syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
      // Out of the way of the numbers that the tool gets.
      const int high = static_cast<int>(::syscall(SYS_fcntl, log, F_DUPFD_CLOEXEC, 900));
      ::syscall(SYS_close, log);
      log = high;
    }
  }

  static void add(std::string_view word, Rule& rule) {
    const auto colon = word.find(':');
    const auto second = word.find(':', colon + 1);
    rule.call = word.substr(0, colon);
    if (const auto slash = rule.call.find('/'); slash != std::string_view::npos) {
      rule.part = rule.call.substr(slash + 1);
      rule.call = rule.call.substr(0, slash);
    }
    const auto number = word.substr(colon + 1, second - colon - 1);
    const auto plus = number.find('+');
    rule.first = number == "*" ? 1 : std::atol(number.data());
    rule.last = rule.first;
    if (number == "*") rule.last = endless;
    if (plus != std::string_view::npos) {
      rule.last = plus + 1 == number.size() ? endless
                                            : rule.first + std::atol(number.data() + plus + 1) - 1;
    }
    rule.what = word.substr(second + 1);
  }
};

Rules& all_rules() {
  static Rules rules;
  return rules;
}

// What is left to do when the call of this thread has returned: a signal, or 0.
thread_local int signal_after = 0;

// What a call is about: a name, or an open file.
struct Subject {
  Subject(const char* path) : name(path) {}
  Subject(int file) : descriptor(file) {}
  const char* name = nullptr;
  int descriptor = -1;

  // The text is good until the next call on this thread.
  const char* text() const {
    if (descriptor < 0) return name;
    thread_local std::array<char, 4096> path{};
    std::array<char, 40> link{};
    std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor);
    const auto size =
        ::syscall(SYS_readlinkat, AT_FDCWD, link.data(), path.data(), path.size() - 1);
    if (size < 0) return nullptr;
    path[static_cast<std::size_t>(size)] = '\0';
    return path.data();
  }
};

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}
#define NEXT(function)                                               \
  ([] {                                                              \
    static const auto real = next<decltype(&::function)>(#function); \
    return real;                                                     \
  }())

void log_change(std::string_view call, const Subject& subject) {
  const int log = all_rules().log;
  if (log < 0) return;
  struct stat status {};
  if (subject.descriptor >= 0) ::syscall(SYS_fstat, subject.descriptor, &status);
  const char* text = subject.text();
  std::array<char, 4500> line{};
  const int size =
      std::snprintf(line.data(), line.size(), "%.*s %lu %s\n", static_cast<int>(call.size()),
                    call.data(), status.st_ino, text == nullptr ? "" : text);
  ::syscall(SYS_write, log, line.data(), static_cast<std::size_t>(size));
}

// True where the call is to fail; errno is set then.
bool intercept(Kind kind, std::string_view call, const Subject& subject) {
  const int error_before = errno;
  auto& rules = all_rules();
  signal_after = 0;
  if (kind == Kind::change) log_change(call, subject);
  for (std::size_t i = 0; i < rules.count; ++i) {
    auto& rule = rules.rules[i];
    if (!rule.matches_call(kind, call)) continue;
    if (!rule.part.empty()) {
      const char* text = subject.text();
      if (text == nullptr || std::string_view(text).find(rule.part) == std::string_view::npos) {
        continue;
      }
    }
    const long seen = rule.seen.fetch_add(1) + 1;
    if (seen < rule.first || seen > rule.last) continue;
    if (rule.what == "kill") {
      ::kill(::getpid(), SIGKILL);
    } else if (rule.what == "stop") {
      ::kill(::getpid(), SIGSTOP);
    } else if (rule.what == "kill-after") {
      signal_after = SIGKILL;
    } else if (rule.what == "stop-after") {
      signal_after = SIGSTOP;
    } else {
      errno = std::atoi(rule.what.data());
      return true;
    }
  }
  errno = error_before;
  return false;
}

template <typename Result>
Result failed() {
  if constexpr (std::is_pointer_v<Result>) {
    return reinterpret_cast<Result>(-1L);  // MAP_FAILED
  } else {
    return -1;
  }
}

template <typename Real, typename... Arguments>
auto through(Kind kind, std::string_view call, const Subject& subject, Real real,
             Arguments... arguments) {
  using Result = decltype(real(arguments...));
  if (intercept(kind, call, subject)) return failed<Result>();
  const Result result = real(arguments...);
  if (signal_after != 0) {
    const int error = errno;
    ::kill(::getpid(), signal_after);
    signal_after = 0;
    errno = error;
  }
  return result;
}

bool opens_to_change(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
}

Kind kind_of_opening(int flags) { return opens_to_change(flags) ? Kind::change : Kind::read; }

const char* name_or_zeros(const char* name) {
  static const bool no_random = std::getenv("CALIB_TEST_RANDOM") != nullptr;
  return no_random && std::strcmp(name, "/dev/urandom") == 0 ? "/dev/zero" : name;
}

std::atomic<long> skipped_nanoseconds{0};

bool skips_sleep() {
  static const bool skips = std::getenv("CALIB_TEST_SLEEP") != nullptr;
  return skips;
}

int skip(const timespec& time) {
  skipped_nanoseconds += time.tv_sec * 1'000'000'000L + time.tv_nsec;
  return 0;
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
  return through(Kind::change, "rename", new_name, NEXT(rename), old_name, new_name);
}

int renameat(int from, const char* old_name, int to, const char* new_name) noexcept {
  return through(Kind::change, "renameat", new_name, NEXT(renameat), from, old_name, to, new_name);
}

int renameat2(int from, const char* old_name, int to, const char* new_name,
              unsigned flags) noexcept {
  return through(Kind::change, "renameat2", new_name, NEXT(renameat2), from, old_name, to, new_name,
                 flags);
}

int unlinkat(int directory, const char* name, int flags) noexcept {
  return through(Kind::change, (flags & AT_REMOVEDIR) != 0 ? "rmdirat" : "unlinkat", name,
                 NEXT(unlinkat), directory, name, flags);
}

int unlink(const char* name) noexcept {
  return through(Kind::change, "unlink", name, NEXT(unlink), name);
}

int rmdir(const char* name) noexcept {
  return through(Kind::change, "rmdir", name, NEXT(rmdir), name);
}

int mkdir(const char* name, mode_t mode) noexcept {
  return through(Kind::change, "mkdir", name, NEXT(mkdir), name, mode);
}

int linkat(int from, const char* old_name, int to, const char* new_name, int flags) noexcept {
  return through(Kind::change, "linkat", new_name, NEXT(linkat), from, old_name, to, new_name,
                 flags);
}

// Opening.

int open(const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return through(kind_of_opening(flags), "open", name, NEXT(open), name_or_zeros(name), flags,
                 mode);
}

int open64(const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return through(kind_of_opening(flags), "open", name, NEXT(open64), name_or_zeros(name), flags,
                 mode);
}

int __open64_2(const char* name, int flags) {
  return through(kind_of_opening(flags), "open", name, NEXT(__open64_2), name, flags);
}

int openat(int directory, const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return through(kind_of_opening(flags), "openat", name, NEXT(openat), directory, name, flags,
                 mode);
}

int openat64(int directory, const char* name, int flags, ...) {
  std::va_list rest;
  va_start(rest, flags);
  const auto mode = mode_of(rest, flags);
  va_end(rest);
  return through(kind_of_opening(flags), "openat", name, NEXT(openat64), directory, name, flags,
                 mode);
}

int __openat64_2(int directory, const char* name, int flags) {
  return through(kind_of_opening(flags), "openat", name, NEXT(__openat64_2), directory, name,
                 flags);
}

int mkostemp64(char* pattern, int flags) {
  return through(Kind::change, "mkostemp", pattern, NEXT(mkostemp64), pattern, flags);
}

// What stands in files.

ssize_t write(int descriptor, const void* bytes, size_t size) {
  // What the tool says of a failure is no place for another one.
  if (descriptor == STDERR_FILENO) return NEXT(write)(descriptor, bytes, size);
  const bool output = descriptor == STDOUT_FILENO;
  return through(output ? Kind::read : Kind::change, output ? "output" : "write", descriptor,
                 NEXT(write), descriptor, bytes, size);
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  return through(Kind::change, "pwrite", descriptor, NEXT(pwrite64), descriptor, bytes, size,
                 offset);
}

int ftruncate64(int descriptor, off64_t size) noexcept {
  return through(Kind::change, "ftruncate", descriptor, NEXT(ftruncate64), descriptor, size);
}

int fallocate64(int descriptor, int mode, off64_t offset, off64_t size) {
  return through(Kind::change, "fallocate", descriptor, NEXT(fallocate64), descriptor, mode, offset,
                 size);
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
  return through(Kind::change, "fdatasync", descriptor, NEXT(fdatasync), descriptor);
}

int fsync(int descriptor) {
  return through(Kind::change, "fsync", descriptor, NEXT(fsync), descriptor);
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

// Reading.

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
  return through(Kind::read, "statx", open_file ? Subject(directory) : Subject(name), NEXT(statx),
                 directory, name, flags, mask, status);
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

ssize_t readlink(const char* name, char* text, size_t size) noexcept {
  return through(Kind::read, "readlink", name, NEXT(readlink), name, text, size);
}

// What std::this_thread::sleep_for comes to.
int nanosleep(const timespec* wanted, timespec* left) {
  if (skips_sleep()) return skip(*wanted);
  return through(Kind::sleep, "sleep", nullptr, NEXT(nanosleep), wanted, left);
}

// How SQLite sleeps.
int usleep(useconds_t microseconds) {
  if (skips_sleep()) return skip({microseconds / 1'000'000, microseconds % 1'000'000 * 1000});
  return NEXT(usleep)(microseconds);
}

// What std::chrono's clocks come to.
int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const char* wrong_by = std::getenv("CALIB_TEST_CLOCK");
  const int result = NEXT(clock_gettime)(clock, time);
  if (result != 0) return result;
  if (clock == CLOCK_REALTIME && wrong_by != nullptr) time->tv_sec += std::atol(wrong_by);
  if (clock != CLOCK_MONOTONIC) return result;
  const auto now = time->tv_sec * 1'000'000'000L + time->tv_nsec + skipped_nanoseconds;
  *time = {now / 1'000'000'000, now % 1'000'000'000};
  return result;
}

}  // extern "C"
