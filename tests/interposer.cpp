// Loaded into the tool by tests (LD_PRELOAD): makes one call to the system the last, or makes it
// fail, or stops the process before it, so that a test can look and act at exactly that point.
//
// CALIB_TEST_AT holds rules, separated by spaces: `<call>[/<part>]:<n>:<what>`. <call> is one of
// the functions below; <part>, where it is given, must be part of the name that the call is about;
// <n> counts the calls that match, from 1 (`*`: each of them); <what> is `kill`, `stop` (SIGSTOP,
// the test goes on with SIGCONT) or an errno. It happens before the call.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
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

// True where the call is to fail; errno is set then.
bool intercept(std::string_view call, const char* name) {
  auto& rules = all_rules();
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
    } else {
      errno = std::atoi(rule.what.data());
      return true;
    }
  }
  return false;
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
  return real(from, old_name, to, new_name, flags);
}

int unlinkat(int directory, const char* name, int flags) {
  if (intercept((flags & AT_REMOVEDIR) != 0 ? "rmdirat" : "unlinkat", name)) return -1;
  static const auto real = next<decltype(&unlinkat)>("unlinkat");
  return real(directory, name, flags);
}

int unlink(const char* name) {
  if (intercept("unlink", name)) return -1;
  static const auto real = next<decltype(&unlink)>("unlink");
  return real(name);
}

int fdatasync(int descriptor) {
  if (intercept("fdatasync", nullptr)) return -1;
  static const auto real = next<decltype(&fdatasync)>("fdatasync");
  return real(descriptor);
}

int fsync(int descriptor) {
  if (intercept("fsync", nullptr)) return -1;
  static const auto real = next<decltype(&fsync)>("fsync");
  return real(descriptor);
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t size, off64_t offset) {
  if (intercept("pwrite", nullptr)) return -1;
  static const auto real = next<decltype(&pwrite64)>("pwrite64");
  return real(descriptor, bytes, size, offset);
}

int flock(int descriptor, int operation) noexcept {
  if (intercept("flock", nullptr)) return -1;
  static const auto real = next<decltype(&flock)>("flock");
  return real(descriptor, operation);
}

}  // extern "C"
