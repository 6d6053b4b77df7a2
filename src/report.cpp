#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <string_view>

#include "text.hpp"

namespace calib {
namespace {

std::string failure_text(const Failure& failure) {
  return failure.path.empty() ? failure.error : failure.path + ": " + failure.error;
}

std::string signal_name(int signal) {
  switch (signal) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    default:
      return fmt::format("signal {}", signal);
  }
}

std::string first_error_or(const Report& report, std::string_view otherwise) {
  return report.errors.empty() ? std::string(otherwise)
                               : printable(failure_text(report.errors.front()));
}

std::string interrupted_message(const Report& report) {
  const std::string name = signal_name(report.signal);
  if (report.dry_run == DryRun::yes) return fmt::format("Stopped by {}; nothing was changed", name);
  return fmt::format("Stopped by {} after {}; the next pass goes on", name,
                     count_text(report.sessions.size(), "session", "sessions"));
}

template <typename Line, typename Name>
std::vector<const Line*> sorted(const std::vector<Line>& lines, Name Line::*name) {
  std::vector<const Line*> order(lines.size());
  std::transform(lines.begin(), lines.end(), order.begin(), [](const Line& line) { return &line; });
  std::sort(order.begin(), order.end(), [name](const Line* a, const Line* b) {
    if (a->usage.allocated_bytes != b->usage.allocated_bytes) {
      return a->usage.allocated_bytes > b->usage.allocated_bytes;
    }
    return a->*name < b->*name;
  });
  return order;
}

}  // namespace

int exit_status(const Report& report) {
  switch (report.outcome) {
    case Outcome::done:
      return report.errors.empty() ? 0 : 1;
    case Outcome::failed:
      return 3;
    case Outcome::busy:
      return 4;
    case Outcome::interrupted:
      break;
  }
  return 128 + report.signal;
}

std::string message(const Report& report) {
  switch (report.outcome) {
    case Outcome::done:
      break;
    case Outcome::failed:
      return first_error_or(report, "Cleanup could not run; nothing was changed");
    case Outcome::busy:
      return first_error_or(report, "Another pass is running; nothing was changed");
    case Outcome::interrupted:
      return interrupted_message(report);
  }
  if (report.errors.empty()) return "Cleanup completed successfully";
  const std::string first = printable(failure_text(report.errors.front()));
  if (report.errors.size() == 1) return "Cleanup incomplete: " + first;
  return fmt::format("Cleanup incomplete: {} errors, the first: {}", report.errors.size(), first);
}

std::vector<const SessionLine*> largest_first(const std::vector<SessionLine>& sessions) {
  return sorted(sessions, &SessionLine::id);
}

std::vector<const OrphanLine*> largest_first(const std::vector<OrphanLine>& orphans) {
  return sorted(orphans, &OrphanLine::name);
}

std::string diagnostics(const Report& report, Color color, Priorities priorities) {
  std::string lines;
  for (const std::string& warning : report.warnings) {
    lines += diagnostic_line(Priority::warning, warning, color, priorities);
  }
  for (const Failure& failure : report.errors) {
    lines += diagnostic_line(Priority::error, failure_text(failure), color, priorities);
  }
  if (report.outcome == Outcome::interrupted) {
    lines += diagnostic_line(Priority::error, interrupted_message(report), color, priorities);
  }
  return lines;
}

std::string diagnostic_line(Priority level, const std::string& text, Color color,
                            Priorities priorities) {
  // The longest path fits, with a sentence; what names something longer keeps both its ends.
  constexpr std::size_t longest = 8192;
  constexpr std::size_t longest_end = 1024;
  if (text.size() > longest) {
    const auto cut = text.size() - longest;
    return diagnostic_line(level,
                           text.substr(0, longest - longest_end - 64) +
                               fmt::format(" [{} bytes left out] ", cut + 64) +
                               text.substr(text.size() - longest_end),
                           color, priorities);
  }
  const bool is_error = level == Priority::error;
  std::string word = is_error ? "error" : "warning";
  if (color == Color::yes) {
    word = fmt::format("{}{}\x1b[0m", is_error ? "\x1b[31m" : "\x1b[33m", word);
  }
  std::string line = fmt::format("calib-cleanup: {}: {}\n", word, printable(text));
  return priorities == Priorities::shown ? with_priority(line, level) : line;
}

}  // namespace calib
