#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

#include "report/audit.hpp"
#include "report/report.hpp"

namespace calib {
namespace {

/// A UUID fits.
constexpr std::size_t name_columns = 36;

/// A screen has some 24 lines.
constexpr std::size_t shown_of_largest = 20;

constexpr double full_bar = 20;
constexpr std::size_t audit_columns = 78;

void heading(std::string& out, std::string_view text, Color color) {
  out += color == Color::yes ? fmt::format("\x1b[1m{}\x1b[0m\n", text) : fmt::format("{}\n", text);
}

std::string age_of(const std::optional<Instant>& since, const Report& report) {
  return since ? age_text(report.started - *since) : "-";
}

/// Whether `text` is at most `columns` wide, as fmt counts when it pads: characters of double width
/// count twice, bytes do not count.
bool fits(std::string_view text, std::size_t columns) {
  if (is_printable_ascii(text)) return text.size() <= columns;
  return fmt::format("{:<{}}", text, columns + 1).size() > text.size();
}

/// Padded on the right. fmt looks at every character for its width, for which most names give no
/// reason.
void left_aligned(std::string& out, std::string_view text, std::size_t columns) {
  if (is_printable_ascii(text)) {
    out += text;
    if (text.size() < columns) out.append(columns - text.size(), ' ');
  } else {
    out += fmt::format("{:<{}}", text, columns);
  }
}

/// Padded on the left. ASCII.
void right_aligned(std::string& out, std::string_view text, std::size_t columns) {
  if (text.size() < columns) out.append(columns - text.size(), ' ');
  out += text;
}

void table_row(std::string& out, std::string_view name, std::string_view age,
               std::string_view files, std::string_view size) {
  // A longer name stands on a line of its own, and its numbers below, where they belong.
  if (!fits(name, name_columns)) {
    out += name;
    out += '\n';
    name = {};
  }
  left_aligned(out, name, name_columns);
  out += "  ";
  right_aligned(out, age, 8);
  out += "  ";
  right_aligned(out, files, 9);
  out += "  ";
  right_aligned(out, size, 10);
  out += '\n';
}

void usage_row(std::string& out, std::string_view name, const std::string& age,
               const Usage& usage) {
  table_row(out, printable(name), age, fmt::to_string(usage.files),
            size_text(usage.allocated_bytes));
}

/// As many of them as are shown: largest first.
template <typename Line>
std::vector<const Line*> shown(const std::vector<Line>& lines, Lists lists) {
  auto order = largest_first(lines);
  if (lists == Lists::largest && order.size() > shown_of_largest) order.resize(shown_of_largest);
  return order;
}

/// What stands for those that are not shown.
template <typename Line>
void rest_row(std::string& out, const std::vector<Line>& lines,
              const std::vector<const Line*>& largest) {
  if (largest.size() == lines.size()) return;
  Usage rest;
  for (const auto& line : lines) rest += line.usage;
  for (const auto* line : largest) {
    rest.files -= line->usage.files;
    rest.allocated_bytes -= line->usage.allocated_bytes;
  }
  usage_row(out,
            fmt::format("and {} (-v shows all)",
                        count_text(lines.size() - largest.size(), "smaller one", "smaller ones")),
            "", rest);
}

void sessions_table(std::string& out, const Report& report, Color color, Lists lists) {
  if (report.sessions.empty()) return;
  heading(out, "Sessions that would be deleted", color);
  table_row(out, "session", "age", "files", "size");
  const auto lines = shown(report.sessions, lists);
  for (const auto* line : lines) {
    usage_row(out, line->id, age_of(line->created, report), line->usage);
  }
  rest_row(out, report.sessions, lines);
  out += '\n';
}

void orphans_table(std::string& out, const Report& report, Color color, Lists lists) {
  if (report.orphans.empty()) return;
  heading(out, "Orphaned directories that would be deleted", color);
  table_row(out, "directory", "age", "files", "size");
  const auto lines = shown(report.orphans, lists);
  for (const auto* line : lines) {
    usage_row(out, line->name, age_of(line->changed, report), line->usage);
  }
  rest_row(out, report.orphans, lines);
  out += '\n';
}

std::uint64_t orphaned_rows(const Report& report) {
  std::uint64_t rows = 0;
  for (const auto& [table, count] : report.orphaned_records) rows += count;
  return rows;
}

void orphaned_records_table(std::string& out, const Report& report, Color color) {
  if (orphaned_rows(report) == 0) return;
  heading(out, "Orphaned records that would be deleted", color);
  for (const auto& [table, rows] : report.orphaned_records) {
    if (rows == 0) continue;
    const std::string name = printable(table);
    if (!fits(name, name_columns)) {
      out += fmt::format("{}\n{:{}}  {:>8}\n", name, "", name_columns, rows);
    } else {
      out += fmt::format("{:<{}}  {:>8}\n", name, name_columns, rows);
    }
  }
  out += '\n';
}

/// How a pass ended, in one word. One that left something behind is not completed.
std::string_view ending(const Report& report) {
  if (report.outcome == Outcome::interrupted) return "stopped";
  return report.errors.empty() ? "completed" : "incomplete";
}

/// The two lines that people grep the app's log for, word for word, then what else there is to say.
void summary(std::string& out, const Report& report) {
  const bool dry = report.dry_run == DryRun::yes;
  const auto ended = ending(report);
  const auto line = [&](std::string_view real, std::string_view would, const std::string& what) {
    out += fmt::format("{} {}\n", dry ? would : real, what);
  };
  line(fmt::format("Cleanup {}: Deleted", ended), "Cleanup dry run: Would delete",
       count_text(deleted_sessions(report), "old session", "old sessions"));
  line(fmt::format("Orphaned file cleanup {}: Deleted", ended),
       "Orphaned file cleanup dry run: Would delete",
       count_text(deleted_directories(report), "directory", "directories"));
  if (const std::uint64_t rows = orphaned_rows(report); rows != 0 && !report.over_limit) {
    line("Deleted", "Would delete", count_text(rows, "orphaned record", "orphaned records"));
  }
  if (report.halved_pairs != 0 && !report.over_limit) {
    line("With them went", "With them would go",
         count_text(report.halved_pairs, "stereo result", "stereo results") +
             " whose other session stays");
  }
  const auto& [restored, purged] = report.recovery;
  if (restored != 0 || purged != 0) {
    const std::string directories = count_text(restored, "directory", "directories");
    line("Settled an interrupted pass:", "Would settle an interrupted pass:",
         dry ? fmt::format("restore {}, purge {}", directories, purged)
             : fmt::format("{} restored, {} purged", directories, purged));
  }
  if (dry) return;  // the bytes follow in a block of their own
  if (report.freed_bytes != 0) line("Freed", "", size_text(report.freed_bytes));
  if (report.vacuumed_bytes.value_or(0) != 0) {
    line("Vacuum gave back", "", size_text(*report.vacuumed_bytes));
  }
}

std::string rule_text(const Report& report) {
  switch (report.mode) {
    case Mode::named:
      return count_text(report.asked_for, "session", "sessions") +
             " by name (--session), no orphans";
    case Mode::orphans_only:
      return "what has no session (--orphans-only)";
    case Mode::expired:
      break;
  }
  const auto ago = fmt::format("{} {} ago", report.hours, report.hours == 1 ? "hour" : "hours");
  if (!report.cutoff) return "created more than " + ago;
  return fmt::format("created before {} ({})", format_minute(*report.cutoff), ago);
}

std::string what_stays(const Report& report) {
  const auto& kept = report.kept;
  std::vector<std::string> parts;
  if (kept.sessions) parts.push_back(count_text(*kept.sessions, "session", "sessions"));
  if (kept.directories) {
    parts.push_back(count_text(*kept.directories, "directory", "directories"));
  }
  if (kept.allocated_bytes) parts.push_back(size_text(*kept.allocated_bytes));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string directories_text(const Directories& directories) {
  auto text = count_text(directories.count, "directory", "directories");
  if (directories.allocated_bytes) text += ", " + size_text(*directories.allocated_bytes);
  return text;
}

/// What is free in the database is worth a word, and a vacuum, from here on.
constexpr std::uint64_t min_free_bytes = 1U << 20U;

void row(std::string& out, std::string_view label, std::string_view value) {
  out += fmt::format("{:<24}{}\n", label, value);
}

/// What is left, what decided, and where: nobody has to guess what a pass did.
void circumstances(std::string& out, const Report& report) {
  if (report.dry_run == DryRun::no) {
    if (report.staged && report.staged->count > 0) {
      row(out,
          "Still set aside:", directories_text(*report.staged) + "; the next pass settles that");
    }
    if (const auto stays = what_stays(report); !stays.empty()) row(out, "Stays:", stays);
    const auto free = report.database_free_bytes.value_or(0);
    if (!report.vacuumed_bytes && free >= min_free_bytes) {
      row(out, "Free in the database:", size_text(free) + "; --vacuum gives it back");
    }
  }
  row(out, "Rule:", rule_text(report));
  if (report.mode == Mode::expired) row(out, "", "and what has no session");
  if (report.kept_by_name > 0) {
    row(out, "",
        fmt::format("but for {} to keep (--keep)",
                    count_text(report.kept_by_name, "session", "sessions")));
  }
  if (report.spared && report.spared->count > 0) {
    row(out, "", fmt::format("but for {}, that changed", directories_text(*report.spared)));
    row(out, "",
        fmt::format("in the last {:g} min (--orphan-grace)",
                    std::chrono::duration<double, std::ratio<60>>(report.orphan_grace).count()));
  }
  row(out, "Uploads folder:", printable(report.uploads));
  row(out, "Database:", printable(report.database));
}

/// How much would go, and how much there is.
void balance(std::string& out, const Report& report) {
  row(out, "Would be freed:", size_text(report.freed_bytes));
  if (report.vacuumed_bytes) {
    const bool frees_records = deleted_sessions(report) + orphaned_rows(report) > 0;
    row(out, "Vacuum would give back:",
        size_text(*report.vacuumed_bytes) +
            (frees_records ? ", free now; deleted records add to it" : ""));
  }
  row(out, "Would stay:", what_stays(report));
  if (report.total_bytes) row(out, "Whole uploads folder:", size_text(*report.total_bytes));
}

/// Why a session stays, in a few words.
std::string why_text(const KeptSession& session) {
  switch (session.why) {
    case Stays::young:
      return "not old enough";
    case Stays::kept_by_name:
      return "to keep (--keep)";
    case Stays::undated:
      return session.created_at.empty()
                 ? "no date"
                 : fmt::format("no date: '{}'", printable(session.created_at));
    case Stays::future:
      return fmt::format("dated in the future: {}", printable(session.created_at));
    case Stays::not_asked:
      return "not asked for";
    case Stays::left_whole:
      break;
  }
  return "left whole, see the errors";
}

void kept_table(std::string& out, const Report& report, Color color) {
  if (report.kept_sessions.empty()) return;
  heading(out, "Sessions that would stay", color);
  const auto line = [&](std::string_view name, std::string_view age, std::string_view size,
                        std::string_view why) {
    left_aligned(out, name, name_columns);
    out += fmt::format("  {:>8}  {:>10}  {}\n", age, size, why);
  };
  line("session", "age", "size", "why");
  for (const auto* session : largest_first(report.kept_sessions)) {
    line(printable(session->id), age_of(session->created(), report),
         size_text(session->usage.allocated_bytes), why_text(*session));
  }
  out += '\n';
}

void spared_table(std::string& out, const Report& report, Color color) {
  if (report.spared_orphans.empty()) return;
  heading(out, "Orphaned directories that would stay for now (--orphan-grace)", color);
  table_row(out, "directory", "age", "files", "size");
  for (const auto* orphan : largest_first(report.spared_orphans)) {
    usage_row(out, orphan->name, age_of(orphan->changed, report), orphan->usage);
  }
  out += '\n';
}

std::string hours_text(double hours) { return fmt::format("{:g}", hours); }

/// `6 to 24 h`, `1 to 7 d`, `over 90 d`.
std::string ages_text(const AgeRow& row) {
  const auto is_days = [](double hours) { return hours >= 24; };
  const auto one = [&](double hours) {
    return is_days(hours) ? hours_text(hours / 24) + " d" : hours_text(hours) + " h";
  };
  if (!row.to_hours) return "over " + one(row.from_hours);
  if (row.from_hours == 0) return "under " + one(*row.to_hours);
  if (is_days(row.from_hours)) {
    return fmt::format("{} to {} d", hours_text(row.from_hours / 24),
                       hours_text(*row.to_hours / 24));
  }
  if (*row.to_hours <= 24) {
    return fmt::format("{} to {} h", hours_text(row.from_hours), hours_text(*row.to_hours));
  }
  return fmt::format("{} to {}", one(row.from_hours), one(*row.to_hours));
}

/// As long, of `full_bar` columns, as `part` is of `whole`.
std::string bar(std::uint64_t part, std::uint64_t whole, Charset charset) {
  const double columns =
      whole == 0 ? 0 : full_bar * static_cast<double>(part) / static_cast<double>(whole);
  if (charset == Charset::ascii)
    return std::string(static_cast<std::size_t>(std::lround(columns)), '#');
  constexpr std::array<std::string_view, 8> eighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto count = static_cast<std::size_t>(std::lround(columns * 8));
  std::string text;
  for (std::size_t i = 0; i < count / 8; ++i) text += "█";
  return text.append(eighths.at(count % 8));
}

/// A line across, with what the dry run's --hours is.
std::string threshold_line(double hours, Charset charset) {
  const auto label = fmt::format(" --hours {} ", hours_text(hours));
  const std::size_t dashes = label.size() < audit_columns ? audit_columns - label.size() : 0;
  std::string line;
  const std::string_view dash = charset == Charset::utf8 ? "─" : "-";
  for (std::size_t i = 0; i < dashes; ++i) {
    if (i == dashes / 2) line += label;
    line += dash;
  }
  return line + '\n';
}

/// Where the disk goes, and what each --hours would give back.
void audit_table(std::string& out, const Report& report, Color color, Charset charset) {
  const auto audit = audit_of(report);
  out += '\n';
  heading(out, "Disk use by age of session", color);
  if (!audit.ages.empty()) {
    out += fmt::format("{:<15}{:>8}  {:>10}  {:<20}  {:>21}\n", "age", "sessions", "size", "",
                       "freed with --hours");
  }
  std::uint64_t most = 0;
  for (const auto& row : audit.ages) most = std::max(most, row.allocated_bytes);
  bool is_marked = report.mode != Mode::expired;
  const auto mark = [&](double from_hours) {
    if (is_marked || from_hours < report.hours) return;
    if (!audit.ages.empty()) out += threshold_line(report.hours, charset);
    is_marked = true;
  };
  for (const auto& row : audit.ages) {
    mark(row.from_hours);
    out += fmt::format("{:<15}{:>8}  {:>10}  {:<20}  {:>9}  {:>10}\n", ages_text(row), row.sessions,
                       size_text(row.allocated_bytes), bar(row.allocated_bytes, most, charset),
                       hours_text(row.from_hours), size_text(row.freed_bytes));
  }
  mark(report.hours);
  const auto line = [&](std::string_view what, std::uint64_t count, std::uint64_t bytes,
                        std::string_view more) {
    out += fmt::format("{:<15}{:>8}  {:>10}{}\n", what, count, size_text(bytes), more);
  };
  if (audit.undated > 0) line("no usable date", audit.undated, audit.undated_bytes, "");
  const auto kept = report.unclaimed_kept_count;
  line("no session", report.orphans.size() + kept,
       audit.unclaimed_bytes + report.unclaimed_kept.allocated_bytes,
       kept == 0 ? "" : fmt::format("  ({} of them would stay)", kept));
  if (report.leftovers.allocated_bytes > 0) {
    out += fmt::format("{:<25}{:>10}\n", "left by a stopped pass",
                       size_text(report.leftovers.allocated_bytes));
  }
  if (report.database_bytes) {
    const auto free =
        report.database_free_bytes
            ? fmt::format(", {} of it free (--vacuum)", size_text(*report.database_free_bytes))
            : "";
    out += fmt::format("{:<25}{:>10}{}\n", "Database", size_text(*report.database_bytes), free);
  }
  if (report.disk) {
    const auto& disk = *report.disk;
    const auto usable = disk.used_bytes + disk.available_bytes;
    out += fmt::format(
        "{:<25}{:>10}, {:.0f} % used, {} free\n", "Disk", size_text(disk.bytes),
        usable == 0 ? 0.0
                    : 100 * static_cast<double>(disk.used_bytes) / static_cast<double>(usable),
        size_text(disk.available_bytes));
  }
}

std::string in_brackets(const Usage& usage) {
  return fmt::format("({}, {})", count_text(usage.files, "file", "files"),
                     size_text(usage.allocated_bytes));
}

void deleted_names(std::string& out, const Report& report) {
  for (const SessionLine* line : largest_first(report.sessions)) {
    out += fmt::format("Deleted session {} {}\n", printable(line->id), in_brackets(line->usage));
  }
  for (const OrphanLine* line : largest_first(report.orphans)) {
    out += fmt::format("Deleted orphaned directory {} {}\n", printable(line->name),
                       in_brackets(line->usage));
  }
}

}  // namespace

std::string plan_summary(const Report& report) {
  std::string out;
  summary(out, report);
  balance(out, report);
  circumstances(out, report);
  return out;
}

std::string text_report(const Report& report, Verbosity verbosity, Color color, Lists lists,
                        Charset charset) {
  // Where nothing was done there is nothing to sum up: the error on stderr says it all.
  const bool nothing_ran = report.outcome == Outcome::failed || report.outcome == Outcome::busy;
  // What a dry run has seen when it is stopped looks like an answer, and is none.
  const bool cut_short = report.outcome == Outcome::interrupted && report.dry_run == DryRun::yes;
  if (verbosity == Verbosity::quiet || nothing_ran || cut_short) return {};

  if (verbosity == Verbosity::verbose) lists = Lists::whole;
  std::string out;
  if (report.dry_run == DryRun::yes) {
    heading(out, "Dry run: nothing is changed", color);
    out += '\n';
    if (report.over_limit) {
      out += fmt::format("More than {} (--max-delete): a pass would delete none of these.\n\n",
                         *report.over_limit);
    }
    sessions_table(out, report, color, lists);
    orphans_table(out, report, color, lists);
    orphaned_records_table(out, report, color);
    if (verbosity == Verbosity::verbose) {
      kept_table(out, report, color);
      spared_table(out, report, color);
    }
    summary(out, report);
    out += '\n';
    balance(out, report);
  } else {
    if (verbosity == Verbosity::verbose) deleted_names(out, report);
    summary(out, report);
  }
  circumstances(out, report);
  if (report.dry_run == DryRun::yes) audit_table(out, report, color, charset);
  return out;
}

}  // namespace calib
