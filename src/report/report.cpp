#include "report/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <map>
#include <string_view>

#include "base/text.hpp"

namespace calib {
namespace {

constexpr std::string_view nothing_changed = "Dry run: nothing was changed";

std::string failure_text(const Failure& failure) {
  return failure.path.empty() ? failure.error : failure.path + ": " + failure.error;
}

// Of one kind there is little to see in the eleventh; and who gives everything a name of its own
// shall not fill a log either.
constexpr std::uint64_t max_lines_of_a_kind = 10;
constexpr std::uint64_t max_lines = 100;

/// Calls `write` with each line for `list`: those that are shown, and how many are not.
template <typename List, typename Kind, typename Text>
void for_each_line(const List& list, const Kind& kind_of, const Text& text_of,
                   const std::function<void(const std::string&)>& write) {
  struct Lines {
    std::uint64_t shown = 0;
    std::uint64_t all = 0;
  };
  std::map<std::string, Lines> kinds;
  for (const auto& item : list) ++kinds[kind_of(item)].all;
  list.for_each_rest(
      [&](const auto& like, std::uint64_t count) { kinds[kind_of(like)].all += count; });
  std::uint64_t lines = 0;
  std::uint64_t left_out = 0;  // of kinds that are not shown at all, or not to their tenth
  for (const auto& item : list) {
    auto& kind = kinds[kind_of(item)];
    if (kind.shown == max_lines_of_a_kind) continue;
    if (lines == max_lines) break;
    write(text_of(item));
    ++lines;
    if (++kind.shown < max_lines_of_a_kind || kind.all == kind.shown) continue;
    write(fmt::format("… and {} more of that kind", kind.all - kind.shown));
    kind.shown = kind.all = max_lines_of_a_kind;
  }
  for (const auto& [name, kind] : kinds) left_out += kind.all - kind.shown;
  if (left_out > 0) write(fmt::format("… and {} more", left_out));
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
  const bool is_dry = report.dry_run == DryRun::yes;
  if (report.errors.empty()) {
    return std::string(is_dry ? nothing_changed : "Cleanup completed successfully");
  }
  const auto start = is_dry ? fmt::format("{}; ", nothing_changed) : "Cleanup incomplete: ";
  const std::string first = printable(failure_text(report.errors.front()));
  if (report.errors.total() == 1) return start + first;
  return fmt::format("{}{} errors, the first: {}", start, report.errors.total(), first);
}

std::size_t deleted_sessions(const Report& report) {
  return report.over_limit ? 0 : report.sessions.size();
}

std::size_t deleted_directories(const Report& report) {
  return report.over_limit ? 0 : report.orphans.size();
}

std::vector<const SessionLine*> largest_first(const std::vector<SessionLine>& sessions) {
  return sorted(sessions, &SessionLine::id);
}

std::vector<const KeptSession*> largest_first(const std::vector<KeptSession>& sessions) {
  return sorted(sessions, &KeptSession::id);
}

std::vector<const OrphanLine*> largest_first(const std::vector<OrphanLine>& orphans) {
  return sorted(orphans, &OrphanLine::name);
}

std::string diagnostics(const Report& report, Color color, Priorities priorities) {
  std::string lines;
  const auto write = [&](Priority level) {
    return [&lines, color, priorities, level](const std::string& text) {
      lines += diagnostic_line(level, text, color, priorities);
    };
  };
  for_each_line(
      report.warnings, kind_of_warning, [](const std::string& warning) { return warning; },
      write(Priority::warning));
  for_each_line(report.errors, kind_of_failure, failure_text, write(Priority::error));
  if (report.outcome == Outcome::interrupted) {
    lines += diagnostic_line(Priority::error, interrupted_message(report), color, priorities);
  }
  return lines;
}

std::string diagnostic_line(Priority level, const std::string& text, Color color,
                            Priorities priorities) {
  // The longest path fits, with a sentence; what names something longer keeps both its ends.
  constexpr std::size_t longest = 8192;
  constexpr std::size_t max_end = 1024;
  if (text.size() > longest) {
    const auto cut = text.size() - longest;
    return diagnostic_line(level,
                           text.substr(0, longest - max_end - 64) +
                               fmt::format(" [{} bytes left out] ", cut + 64) +
                               text.substr(text.size() - max_end),
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
