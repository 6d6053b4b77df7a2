#include "console/ask.hpp"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "base/progress.hpp"
#include "base/standard_streams.hpp"
#include "base/text.hpp"
#include "console/output.hpp"
#include "pass/pass.hpp"
#include "report/progress_line.hpp"
#include "report/report.hpp"

namespace calib {
namespace {

/// A line that Enter ends. What was typed before the question is no answer to it.
bool is_answer_yes(const std::string& question) {
  static_cast<void>(::tcflush(STDIN_FILENO, TCIFLUSH));
  write_all(STDERR_FILENO, question);
  std::string answer;
  for (char c = 0;; answer += c) {
    if (::read(STDIN_FILENO, &c, 1) != 1) return false;
    if (c == '\n') break;
  }
  return ascii_lowered(answer) == "y" || ascii_lowered(answer) == "yes";
}

}  // namespace

Report watched_pass(const Options& options, const StopFlag& stop) {
  Progress progress;
  const ProgressLine line(progress,
                          options.verbosity == Verbosity::quiet ? When::never : options.progress);
  const auto now =
      std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  return run_pass(options, now, stop, progress);
}

bool is_to_be_asked(const Options& options) {
  return options.may_ask && options.dry_run == DryRun::no && ::isatty(STDIN_FILENO) == 1 &&
         ::isatty(STDERR_FILENO) == 1;
}

std::optional<int> ask(Options& options, const StopFlag& stop) {
  auto dry_options = options;
  dry_options.dry_run = DryRun::yes;
  const auto plan = watched_pass(dry_options, stop);
  const bool goes = !plan.items.empty() && !plan.over_limit;
  // What an interrupted pass has moved aside is given back without a question.
  if (plan.outcome == Outcome::done && !goes && !plan.errors.empty() &&
      plan.recovery.restored == 0) {
    return finish(plan, dry_options);
  }
  // Nobody is asked about what comes due until the pass begins. Where the plan failed the pass
  // does, too, or it settles what a crash has left, and the next question has an answer.
  options.confirmed = Options::Confirmed{plan.items, plan.place};
  if (plan.outcome != Outcome::done || !goes) return std::nullopt;
  write_diagnostics(plan, options);
  // Nothing is begun, and no lock is held: a signal ends the process.
  const StopsAtOnce guard;
  if (stop.requested()) return 128 + stop.signal();
  if (is_answer_yes(fmt::format(
          "{}Delete these {} and {} for good? [y/N] ", plan_summary(plan),
          count_text(plan.sessions.size(), "session", "sessions"),
          count_text(plan.orphans.size() + plan.recovery.purged, "directory", "directories")))) {
    return std::nullopt;
  }
  write_all(STDERR_FILENO, "Nothing was deleted.\n");
  if (options.format == Format::text) return EXIT_SUCCESS;
  return print([&](const TextSink& write) { json_report(plan, write); }, Printed::is_all,
               EXIT_SUCCESS);
}

}  // namespace calib
