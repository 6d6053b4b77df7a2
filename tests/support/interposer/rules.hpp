// What tests want to happen at which call, and the way through there for every call.
//
// CALIB_TEST_AT holds rules, separated by spaces: `<call>[/<part>]:<n>:<what>`. <call> is the name
// of one of the calls (open() is `create` where it may make a file), or `change` (every call that
// can change the world: the tool's and SQLite's), or `call` (those, those that only read, and what
// is written to standard output). <part>, where it is given, must be part of the name that the call
// is about, or of the path of the open file. <n> counts the calls that match, from 1; `*` is each
// of them, `<n>+` each from the nth on, `<n>+<m>` m of them. <what> is `kill`, `stop` (SIGSTOP, the
// test goes on with SIGCONT), `skip` (it succeeds without being made), `slow` (by the steady clock
// it takes 100 ms) or an errno. It happens before the call; `kill-after` and `stop-after` let the
// call happen first.
//
// What goes to a database server counts as a change, and its text is what the call is about: a rule
// for `send/SKIP` is for a message that holds that word; the commit of a slice is about that, and
// `send/slice` a rule for it. A connection that fails is gone.
#pragma once

#include <dlfcn.h>

#include <string_view>
#include <type_traits>

namespace calib::test::interposer {

enum class Kind { change, read, sleep };

/// What a call is about: a name, an open file, or a message.
struct Subject {
  Subject(const char* path) : name(path == nullptr ? std::string_view() : path) {}
  Subject(int file) : descriptor(file) {}
  Subject(std::string_view message) : name(message) {}
  std::string_view name;
  int descriptor = -1;

  /// The name, or the path of the open file; good until the next call on this thread.
  std::string_view text() const;
};

enum class Verdict { make, fail, skip };

/// Takes the rules from the environment, as at the first call.
void read_rules();

/// What the rules have for this call. Where it is to fail errno is set.
Verdict intercept(Kind kind, std::string_view call, const Subject& subject);

/// Whether a rule has stopped this process before.
bool was_stopped();

/// Puts the steady clock forward, as this process sees it.
void put_clock_forward(long nanoseconds);
/// Puts the steady clock forward by 100 ms.
void let_time_pass();
/// Whether the steady clock moves only where it is put forward.
bool stands_still();
/// It stands at what it is now.
void start_clock();

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
  const auto verdict = intercept(kind, call, subject);
  if (verdict == Verdict::fail) return failed<Result>();
  if (verdict == Verdict::skip) return Result{};
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
