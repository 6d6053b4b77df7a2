#include "support/interposer/rules.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace calib::test::interposer {
namespace {

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

  Rules() { read(); }

  void read() {
    count = 0;
    const char* text = std::getenv("CALIB_TEST_AT");
    std::string_view rest = text == nullptr ? "" : text;
    while (!rest.empty() && count < rules.size()) {
      const auto word = rest.substr(0, rest.find(' '));
      rest.remove_prefix(word.size() == rest.size() ? word.size() : word.size() + 1);
      add(word, rules[count++]);
    }
  }

  static void add(std::string_view word, Rule& rule) {
    const auto colon = word.find(':');
    const auto second = word.find(':', colon + 1);
    rule.seen = 0;
    rule.part = {};
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

std::atomic<bool> stopped_before{false};

}  // namespace

void read_rules() { all_rules().read(); }

std::string_view Subject::text() const {
  if (descriptor < 0) return name;
  thread_local std::array<char, 4096> path{};
  std::array<char, 40> link{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", descriptor);
  const auto size = ::syscall(SYS_readlinkat, AT_FDCWD, link.data(), path.data(), path.size() - 1);
  if (size < 0) return {};
  return {path.data(), static_cast<std::size_t>(size)};
}

Verdict intercept(Kind kind, std::string_view call, const Subject& subject) {
  const int error_before = errno;
  auto& rules = all_rules();
  signal_after = 0;
  for (std::size_t i = 0; i < rules.count; ++i) {
    auto& rule = rules.rules[i];
    if (!rule.matches_call(kind, call)) continue;
    if (!rule.part.empty()) {
      if (subject.text().find(rule.part) == std::string_view::npos) continue;
    }
    const long seen = rule.seen.fetch_add(1) + 1;
    if (seen < rule.first || seen > rule.last) continue;
    if (rule.what == "kill") {
      ::kill(::getpid(), SIGKILL);
    } else if (rule.what == "stop") {
      stopped_before = true;
      ::kill(::getpid(), SIGSTOP);
    } else if (rule.what == "kill-after") {
      signal_after = SIGKILL;
    } else if (rule.what == "stop-after") {
      signal_after = SIGSTOP;
    } else if (rule.what == "slow") {
      let_time_pass();
    } else if (rule.what == "skip") {
      errno = error_before;
      return Verdict::skip;
    } else {
      errno = std::atoi(rule.what.data());
      return Verdict::fail;
    }
  }
  errno = error_before;
  return Verdict::make;
}

bool was_stopped() { return stopped_before; }

void after_call() {
  if (signal_after == 0) return;
  const int error = errno;
  ::kill(::getpid(), signal_after);
  signal_after = 0;
  errno = error;
}

}  // namespace calib::test::interposer
