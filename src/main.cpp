// calib-cleanup deletes expired calibration sessions: their records and their directories of
// images, together or not at all.
//
// The map of src/, one folder a line. Each may include only what stands above it here, and not all
// of that: folders.txt says what, and the build holds it. scripts/include_graph.py prints who
// includes whom.
//
//   base/              knows nothing of sessions: files, text, time, threads, how to stop
//   model/             the nouns: options, sessions, entries, the report, what ends a pass
//   webapp/            what the web app writes: its .env, database URLs, paths of images
//   cli/               command line, environment, configuration file -> Options
//   uploads/           the folder: list, stage, restore, measure, purge
//   store/             what a pass needs of a database, and what its foreign keys say
//   store/sqlite/      … in a file of SQLite
//   store/postgresql/  … on a PostgreSQL server
//   plan/              pure: listing + sessions + rules + now -> Plan
//   report/            what was done, as values: as text, JSON, metrics; the line on a terminal
//   pass/              the steps: pass.cpp calls them in their order
//   main.cpp           parse -> run -> print -> exit status; the one catch-all
#include <fmt/format.h>
#include <malloc.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>

#include "base/progress.hpp"
#include "base/standard_streams.hpp"
#include "base/stop.hpp"
#include "base/text.hpp"
#include "cli/command_line.hpp"
#include "model/options.hpp"
#include "pass/pass.hpp"
#include "report/journal_priority.hpp"
#include "report/progress_line.hpp"
#include "report/report.hpp"
#include "store/list_ids.hpp"

namespace {

using namespace calib;

constexpr int status_failure = 1;
constexpr int status_usage = 2;
constexpr int status_unable = 3;

StopFlag stop;

Color color_for(When when, int descriptor) {
  if (when == When::automatic) return ::isatty(descriptor) == 1 ? Color::yes : Color::no;
  return when == When::always ? Color::yes : Color::no;
}

Priorities priorities_of(int descriptor) {
  return priorities_for(descriptor, std::getenv("JOURNAL_STREAM"));
}

void complain(const std::string& text) {
  const char* no_color = std::getenv("NO_COLOR");
  const auto when = no_color != nullptr && *no_color != '\0' ? When::never : When::automatic;
  write_all(STDERR_FILENO, diagnostic_line(Priority::error, text, color_for(when, STDERR_FILENO),
                                           priorities_of(STDERR_FILENO)));
}

/// Results go out when the work is done; that they cannot is an error of its own.
int print(const std::function<void(const TextSink&)>& results, int status) {
  std::error_code error;
  results([&](std::string_view part) {
    if (!error) error = write_all(STDOUT_FILENO, part);
  });
  if (!error) return status;
  complain(fmt::format("standard output: {}; the work itself ended with status {}", error.message(),
                       status));
  return status == 0 ? status_failure : status;
}

int print(const std::string& text, int status) {
  return print([&](const TextSink& write) { write(text); }, status);
}

/// What a terminal here can show: setlocale(3)'s order of variables.
Charset charset_of_locale() {
  for (const auto* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const auto locale = ascii_lowered(value);
    const bool is_utf8 =
        locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
    return is_utf8 ? Charset::utf8 : Charset::ascii;
  }
  return Charset::ascii;
}

void write_results(const Report& report, const Options& options, const TextSink& write) {
  // A document is for a program, wherever it goes.
  if (options.format == Format::json) return json_report(report, write);
  const auto lists = ::isatty(STDOUT_FILENO) == 1 ? Lists::largest : Lists::whole;
  const auto text = text_report(report, options.verbosity, color_for(options.color, STDOUT_FILENO),
                                lists, charset_of_locale());
  const bool shown = priorities_of(STDOUT_FILENO) == Priorities::shown;
  write(shown ? with_priority(text, Priority::information) : text);
}

Report watched_pass(const Options& options) {
  Progress progress;
  const ProgressLine line(progress,
                          options.verbosity == Verbosity::quiet ? When::never : options.progress);
  const auto now =
      std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  return run_pass(options, now, stop, progress);
}

void write_diagnostics(const Report& report, const Options& options) {
  write_all(STDERR_FILENO, diagnostics(report, color_for(options.color, STDERR_FILENO),
                                       priorities_of(STDERR_FILENO)));
}

/// Writes what there is to say of it; the exit status.
int finish(Report report, const Options& options) {
  if (options.metrics && report.dry_run == DryRun::no) {
    try {
      write_metrics(report, *options.metrics);
    } catch (const std::system_error& error) {
      report.errors.push_back({"",
                               fmt::format("the metrics could not be written: {}", error.what()),
                               ErrorKind::output});
    }
  }
  const int status = print([&](const TextSink& write) { write_results(report, options, write); },
                           exit_status(report));
  write_diagnostics(report, options);
  return status;
}

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

/// Shows what would go, and asks. Where no pass is to follow, the status to end with; where one is,
/// `options` has what was confirmed.
std::optional<int> ask(Options& options) {
  auto dry_options = options;
  dry_options.dry_run = DryRun::yes;
  const auto plan = watched_pass(dry_options);
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
  return print([&](const TextSink& write) { json_report(plan, write); }, EXIT_SUCCESS);
}

int run(Options options) {
  const bool is_asked = options.may_ask && options.dry_run == DryRun::no &&
                        ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
  // Nobody else needs to know what each thing is that would go.
  options.may_ask = is_asked;
  if (is_asked) {
    if (const auto status = ask(options)) return *status;
  }
  return finish(watched_pass(options), options);
}

/// Lists of a million sessions go back to the system when they are let go. By default the GNU C
/// library sees large blocks come and go, and keeps larger ones from then on.
void give_memory_back() {
#ifdef __GLIBC__
  constexpr int max_kept = 1 << 20;
  static_cast<void>(::mallopt(M_MMAP_THRESHOLD, max_kept));
  // A threshold that is set is no longer raised by itself, so that what each slice takes for
  // SQLite's pages would go back and come anew, page by page.
  constexpr int max_unused = 8 << 20;
  static_cast<void>(::mallopt(M_TRIM_THRESHOLD, max_unused));
#endif
}

}  // namespace

int main(int argc, char** argv) {
  try {
    give_memory_back();
    keep_standard_descriptors();
    install_signal_handlers(stop);
    Environment environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      environment.emplace_back(*variable);
    }
    const auto parsed = parse_options({argv + (argc > 0 ? 1 : 0), argv + argc}, environment);
    if (const auto* information = std::get_if<InformationText>(&parsed)) {
      return print(information->text, EXIT_SUCCESS);
    }
    if (const auto* request = std::get_if<SessionIdsRequest>(&parsed)) {
      return print(session_ids(request->database, stop), EXIT_SUCCESS);
    }
    return run(std::get<Options>(parsed));
  } catch (const UsageError& error) {
    complain(error.what());
    return status_usage;
  } catch (const std::exception& error) {
    complain(error.what());
    return status_unable;
  }
}
