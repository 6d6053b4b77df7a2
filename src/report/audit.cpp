#include "report/audit.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace calib {
namespace {

/// Ages that people think in: an hour, a quarter of a day, a day, a week, a month, a quarter.
constexpr std::array usual_hours{0.0, 1.0, 6.0, 24.0, 7 * 24.0, 30 * 24.0, 90 * 24.0};

std::vector<AgeRow> rows_of(const Report& report) {
  std::vector<double> begins(usual_hours.begin(), usual_hours.end());
  if (report.mode == Mode::expired) begins.push_back(report.hours);
  std::sort(begins.begin(), begins.end());
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  std::vector<AgeRow> rows(begins.size());
  for (std::size_t i = 0; i < begins.size(); ++i) {
    rows[i].from_hours = begins[i];
    if (i + 1 < begins.size()) rows[i].to_hours = begins[i + 1];
  }
  return rows;
}

}  // namespace

Audit audit_of(const Report& report) {
  Audit audit;
  auto rows = rows_of(report);
  for (const auto& orphan : report.orphans) audit.unclaimed_bytes += orphan.usage.allocated_bytes;
  std::vector<std::uint64_t> goes(rows.size());
  const auto add = [&](const std::optional<Instant>& created, const Usage& usage, bool may_go) {
    if (!created || *created > report.started) {
      ++audit.undated;
      audit.undated_bytes += usage.allocated_bytes;
      return;
    }
    const double age =
        std::chrono::duration<double, std::ratio<3600>>(report.started - *created).count();
    // As old as that is not older: it stays.
    const auto row = std::find_if(rows.rbegin(), rows.rend(), [&](const AgeRow& one) {
      return age > one.from_hours || one.from_hours == 0;
    });
    ++row->sessions;
    row->allocated_bytes += usage.allocated_bytes;
    if (may_go) goes[static_cast<std::size_t>(rows.rend() - row) - 1] += usage.allocated_bytes;
  };
  for (const auto& session : report.sessions) add(session.created, session.usage, true);
  for (const auto& session : report.kept_sessions) {
    add(session.created(), session.usage,
        session.why != Stays::kept_by_name && session.why != Stays::left_whole);
  }
  std::uint64_t freed = audit.unclaimed_bytes + report.leftovers.allocated_bytes;
  // By name no orphans go, but by age they would.
  if (report.mode == Mode::named) freed += report.unclaimed_kept.allocated_bytes;
  for (std::size_t i = rows.size(); i-- > 0;) {
    freed += goes[i];
    rows[i].freed_bytes = freed;
    // What it is exactly is known of this one.
    const bool is_asked = report.mode == Mode::expired && !report.over_limit;
    if (is_asked && rows[i].from_hours == report.hours) rows[i].freed_bytes = report.freed_bytes;
  }
  std::erase_if(rows, [](const AgeRow& row) { return row.sessions == 0; });
  audit.ages = std::move(rows);
  return audit;
}

}  // namespace calib
