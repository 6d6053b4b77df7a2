#include "console/output.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/standard_streams.hpp"
#include "base/text.hpp"
#include "report/journal_priority.hpp"

namespace calib {
namespace {

constexpr int status_failure = 1;

Color color_for(When when, int descriptor) {
  if (when == When::automatic) return is_screen(descriptor) ? Color::yes : Color::no;
  return when == When::always ? Color::yes : Color::no;
}

Priorities priorities_of(int descriptor) {
  return priorities_for(descriptor, std::getenv("JOURNAL_STREAM"));
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

}  // namespace

void complain(const std::string& text) {
  const char* no_color = std::getenv("NO_COLOR");
  const auto when = no_color != nullptr && *no_color != '\0' ? When::never : When::automatic;
  write_all(STDERR_FILENO, diagnostic_line(Priority::error, text, color_for(when, STDERR_FILENO),
                                           priorities_of(STDERR_FILENO)));
}

int print(const std::function<void(const TextSink&)>& results, Printed printed, int status) {
  std::error_code error;
  results([&](std::string_view part) {
    if (!error) error = write_all(STDOUT_FILENO, part);
  });
  if (!error) return status;
  // As a shell has it of du and ls, which the signal ends.
  if (printed == Printed::is_all && error == std::errc::broken_pipe) return 128 + SIGPIPE;
  complain(fmt::format("standard output: {}; the work itself ended with status {}", error.message(),
                       status));
  return status == 0 ? status_failure : status;
}

int print(const std::string& text, int status) {
  return print([&](const TextSink& write) { write(text); }, Printed::is_all, status);
}

void write_diagnostics(const Report& report, const Options& options) {
  write_all(STDERR_FILENO, diagnostics(report, color_for(options.color, STDERR_FILENO),
                                       priorities_of(STDERR_FILENO)));
}

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
  const auto printed = report.dry_run == DryRun::yes ? Printed::is_all : Printed::tells_of_work;
  const int status = print([&](const TextSink& write) { write_results(report, options, write); },
                           printed, exit_status(report));
  write_diagnostics(report, options);
  return status;
}

}  // namespace calib
