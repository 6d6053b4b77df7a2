// Loaded into the tool by tests (LD_PRELOAD): makes one call to the system the last, or makes it
// fail, or stops the process before it, so that a test can look and act at exactly that point.
//
// CALIB_TEST_AT holds rules, separated by spaces: `<call>[/<part>]:<n>:<what>`. <call> is one of
// the functions below; <part>, where it is given, must be part of the name that the call is about,
// or of the path of the open file. <n> counts the calls that match, from 1 (`*`: each of them);
// <what> is `kill`, `stop` (SIGSTOP, the test goes on with SIGCONT) or an errno. It happens before
// the call; `kill-after` and `stop-after` let the call happen first.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

struct Rule {
  std::string_view call;
  std::string_view part;
  long number = 0;  // 0: each
  std::string_view what;
  std::atomic<long> seen{0};
};

struct Rules {
  std::array<Rule, 8> rules;
  std::size_t count = 0;

  Rules() {
    const char* text = std::getenv("CALIB_TEST_AT");
    std::string_view rest = text == nullptr ? "" : text;
    while (!rest.empty() && count < rules.size()) {
      const auto word = rest.substr(0, rest.find(' '));
      rest.remove_prefix(word.size() == rest.size() ? word.size() : word.size() + 1);
      const auto first = word.find(':');
      const auto second = word.find(':', first + 1);
      auto& rule = rules[count++];
      rule.call = word.substr(0, first);
      if (const auto slash = rule.call.find('/'); slash != std::string_view::npos) {
        rule.part = rule.call.substr(slash + 1);
        rule.call = rule.call.substr(0, slash);
      }
      rule.number = word[first + 1] == '*' ? 0 : std::atol(word.data() + first + 1);
      rule.what = word.substr(second + 1);
    }
  }
};

Rules& all_rules() {
  static Rules rules;
  return rules;
}

// What is left to do when the call of this thread has returned: a signal, or 0.
thread_local int signal_after = 0;

// True where the call is to fail; errno is set then.
bool intercept(std::string_view call, const char* name) {
  auto& rules = all_rules();
  signal_after = 0;
  for (std::size_t i = 0; i < rules.count; ++i) {
    auto& rule = rules.rules[i];
    if (rule.call != call) continue;
    if (!rule.part.empty() &&
        (name == nullptr || std::string_view(name).find(rule.part) == std::string_view::npos)) {
      continue;
    }
    const long seen = rule.seen.fetch_add(1) + 1;
    if (rule.number != 0 && rule.number != seen) continue;
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
  return false;
}

// The path of an open file; the text is good until the next call on this thread.
const char* path_of(int descriptor) {
  thread_local std::array<char, 4096> path{};
  const auto link = "/proc/self/fd/" + std::to_string(descriptor);
  const auto size = ::readlink(link.c_str(), path.data(), path.size() - 1);
  if (size < 0) return nullptr;
  path[static_cast<std::size_t>(size)] = '\0';
  return path.data();
}

template <typename Result>
Result returned(Result result) {
  if (signal_after != 0) {
    const int error = errno;
    ::kill(::getpid(), signal_after);
    signal_after = 0;
    errno = error;
  }
  return result;
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int renameat2(int from, const char* old_name, int to, const char* new_name, unsigned flags) {
  if (intercept("renameat2", new_name)) return -1;
  static const auto real = next<decltype(&renameat2)>("renameat2");
  return returned(real(from, old_name, to, new_name, flags));
}

int unlinkat(int directory, const char* name, int flags) {
  if (intercept((flags & AT_REMOVEDIR) != 0 ? "rmdirat" : "unlinkat", name)) return -1;
  static const auto real = next<decltype(&unlinkat)>("unlinkat");
  return returned(real(directory, name, flags));
}

int unlink(const char* name) {
  if (intercept("unlink", name)) return -1;
  static const auto real = next<decltype(&unlink)>("unlink");
  return returned(real(name));
}

int fdatasync(int descriptor) {
  if (intercept("fdatasync", path_of(descriptor))) return -1;
  static const auto real = next<decltype(&fdatasync)>("fdatasync");
  return returned(real(descriptor));
}

int fsync(int descriptor) {
  if (intercept("fsync", path_of(descriptor))) return -1;
  static const auto real = next<decltype(&fsync)>("fsync");
  return returned(real(descriptor));
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  if (intercept("pwrite", path_of(descriptor))) return -1;
  static const auto real = next<decltype(&pwrite64)>("pwrite64");
  return returned(real(descriptor, bytes, size, offset));
}

int flock(int descriptor, int operation) noexcept {
  if (intercept("flock", nullptr)) return -1;
  static const auto real = next<decltype(&flock)>("flock");
  return returned(real(descriptor, operation));
}

ssize_t getdents64(int descriptor, void* buffer, size_t size) noexcept {
  if (intercept("getdents", nullptr)) return -1;
  static const auto real = next<decltype(&getdents64)>("getdents64");
  return returned(real(descriptor, buffer, size));
}

int statx(int directory, const char* name, int flags, unsigned mask,
          struct statx* status) noexcept {
  if (intercept("statx", name)) return -1;
  static const auto real = next<decltype(&statx)>("statx");
  return returned(real(directory, name, flags, mask, status));
}

// What std::this_thread::sleep_for comes to.
int nanosleep(const timespec* wanted, timespec* left) {
  if (intercept("sleep", nullptr)) return -1;
  static const auto real = next<decltype(&nanosleep)>("nanosleep");
  return returned(real(wanted, left));
}

}  // extern "C"
