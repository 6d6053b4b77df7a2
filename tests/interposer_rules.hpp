// What tests want to happen at which call, and the way through there for every call.
//
// CALIB_TEST_AT holds rules, separated by spaces: `<call>[/<part>]:<n>:<what>`. <call> is the name
// of one of the calls, or `change` (every call that can change the world: the tool's and SQLite's),
// or `call` (those, those that only read, and what is written to standard output). <part>, where it
// is given, must be part of the name that the call is about, or of the path of the open file. <n>
// counts the calls that match, from 1; `*` is each of them, `<n>+` each from the nth on, `<n>+<m>`
// m of them. <what> is `kill`, `stop` (SIGSTOP, the test goes on with SIGCONT) or an errno. It
// happens before the call; `kill-after` and `stop-after` let the call happen first.
#pragma once

#include <dlfcn.h>

#include <string_view>
#include <type_traits>

namespace calib::test::interposer {

enum class Kind { change, read, sleep };

/// What a call is about: a name, or an open file.
struct Subject {
  Subject(const char* path) : name(path) {}
  Subject(int file) : descriptor(file) {}
  const char* name = nullptr;
  int descriptor = -1;

  /// The name, or the path of the open file; good until the next call on this thread.
  const char* text() const;
};

/// What the rules have for this call. True where it is to fail; errno is set then.
bool intercept(Kind kind, std::string_view call, const Subject& subject);

/// The call has returned: what the rules have for after it. Leaves errno alone.
void after_call();

template <typename Result>
Result failed() {
  if constexpr (std::is_pointer_v<Result>) {
    return reinterpret_cast<Result>(-1L);  // MAP_FAILED
  } else {
    return -1;
  }
}

/// Makes the call, if the rules let it.
template <typename Real, typename... Arguments>
auto through(Kind kind, std::string_view call, const Subject& subject, Real real,
             Arguments... arguments) {
  using Result = decltype(real(arguments...));
  if (intercept(kind, call, subject)) return failed<Result>();
  const Result result = real(arguments...);
  after_call();
  return result;
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace calib::test::interposer

/// The function that the tool would have called.
#define NEXT(function)                                                                        \
  ([] {                                                                                       \
    static const auto real = calib::test::interposer::next<decltype(&::function)>(#function); \
    return real;                                                                              \
  }())
