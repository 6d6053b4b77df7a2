// A small report with something of everything, for the tests of report/.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "report/report.hpp"

namespace calib::test {

inline constexpr Instant sample_start =
    std::chrono::sys_days{std::chrono::year{2025} / 10 / 14} + std::chrono::hours{12};

inline const std::string small_id = "0b2d3c4e-5f60-4718-8a9b-0c1d2e3f4a5b";
inline const std::string large_id = "ffffffff-5f60-4718-8a9b-0c1d2e3f4a5b";

/// Two sessions (the smaller one first), one orphan, leaked records, a recovery: a pass that went
/// well.
inline Report sample_report() {
  using std::chrono::hours;
  Report report;
  report.hours = 24;
  report.cutoff = sample_start - hours{24};
  report.started = sample_start;
  report.database = "/srv/app/backend/calibration.db";
  report.uploads = "/srv/app/uploads";
  report.tables = {"calibration_images", "calibration_results", "live_capture_sessions"};
  report.sessions = {
      {.id = small_id,
       .created_at = "2025-10-11 05:00:00.000000",
       .created = sample_start - hours{79},
       .directory = small_id,
       .usage = {.files = 1, .allocated_bytes = 8192, .apparent_bytes = 5000},
       .records = {1, 0, 0}},
      {.id = large_id,
       .created_at = "",
       .created = std::nullopt,
       .directory = "large",
       .usage = {.files = 40, .allocated_bytes = 12'582'912, .apparent_bytes = 12'500'000},
       .records = {40, 1, 3}}};
  report.orphans = {{.name = "left-behind",
                     .changed = sample_start - hours{24 * 410},
                     .usage = {.files = 2, .allocated_bytes = 4096, .apparent_bytes = 17}}};
  report.orphaned_records = {{"calibration_images", 30}, {"calibration_results", 4}};
  report.recovery = {.restored = 1, .purged = 3};
  report.kept = {.sessions = 7, .directories = 8, .allocated_bytes = 104'857'600};
  report.freed_bytes = 12'595'200;
  report.total_bytes = 117'452'800;
  report.duration = std::chrono::milliseconds{1500};
  return report;
}

inline Failure failure(std::string path, std::string error, ErrorKind kind = ErrorKind::directory) {
  return {std::move(path), std::move(error), kind};
}

/// The same, with one error: status 1.
inline Report failed_report() {
  Report report = sample_report();
  report.errors = {failure("a", "b")};
  return report;
}

}  // namespace calib::test
