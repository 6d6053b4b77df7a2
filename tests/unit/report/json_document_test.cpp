#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "report/report.hpp"
#include "support/catch.hpp"
#include "unit/report/report_sample.hpp"

using calib::json_report;
using calib::Outcome;
using calib::Report;
using calib::test::failure;
using calib::test::sample_report;
using Json = nlohmann::ordered_json;

namespace {

std::string text_of(const Report& report) {
  std::string text;
  json_report(report, [&](std::string_view part) { text += part; });
  return text;
}

Json parsed(const Report& report) { return Json::parse(text_of(report)); }

Report report_of_many() {
  Report report = sample_report();
  const calib::SessionLine line = report.sessions.front();
  report.sessions.assign(10'000, line);
  report.sessions.back().usage.allocated_bytes = 1'000'000;
  return report;
}

}  // namespace

TEST_CASE("the whole document, keys in their order") {
  Report report = sample_report();
  report.warnings = {"1 session without a creation time was kept"};
  report.vacuumed_bytes = 4096;
  report.staged = calib::Directories{2, std::nullopt};
  const Json expected = Json::parse(R"({
    "message": "Cleanup completed successfully",
    "deleted_sessions": 2,
    "deleted_orphaned_directories": 1,
    "dry_run": false,
    "status": 0,
    "hours": 24.0,
    "cutoff": "2025-10-13T12:00:00.000000Z",
    "proof": null,
    "database": "/srv/app/backend/calibration.db",
    "uploads": "/srv/app/uploads",
    "sessions": [
      {"id": "ffffffff-5f60-4718-8a9b-0c1d2e3f4a5b", "created_at": null, "age_seconds": null, "directory": "large",
       "files": 40, "allocated_bytes": 12582912, "apparent_bytes": 12500000,
       "records": {"calibration_images": 40, "calibration_results": 1,
                   "live_capture_sessions": 3}},
      {"id": "0b2d3c4e-5f60-4718-8a9b-0c1d2e3f4a5b", "created_at": "2025-10-11 05:00:00.000000", "age_seconds": 284400,
       "directory": "0b2d3c4e-5f60-4718-8a9b-0c1d2e3f4a5b",
       "files": 1, "allocated_bytes": 8192, "apparent_bytes": 5000,
       "records": {"calibration_images": 1}}],
    "orphans": [
      {"name": "left-behind", "changed_at": "2024-08-30T12:00:00.000000Z", "files": 2,
       "allocated_bytes": 4096, "apparent_bytes": 17}],
    "orphaned_records": {"calibration_images": 30, "calibration_results": 4},
    "halved_stereo_results": 0,
    "recovered": {"restored": 1, "purged": 3},
    "kept": {"sessions": 7, "directories": 8, "allocated_bytes": 104857600},
    "staged": {"directories": 2, "allocated_bytes": null},
    "spared_orphans": null,
    "freed_bytes": 12595200,
    "uploads_allocated_bytes": 117452800,
    "database_free_bytes": null,
    "vacuumed_bytes": 4096,
    "duration_seconds": 1.5,
    "warnings": ["1 session without a creation time was kept"],
    "errors": []
  })");
  Json document = parsed(report);
  CHECK(document.at("version") == CALIB_CLEANUP_VERSION);
  document.erase("version");
  CHECK(document.dump(2) == expected.dump(2));
}

TEST_CASE("the document is one, indented, and ends its line") {
  Report report = sample_report();
  report.warnings = {"first", "second\nline"};
  report.errors = {failure("path", "error"), failure("path", "error")};
  for (const auto& each : {Report{}, report, report_of_many()}) {
    const std::string text = text_of(each);
    CHECK((text == Json::parse(text).dump(2, ' ', true) + '\n'));
  }
}

TEST_CASE("lists without entries are still lists, and what is not known is null") {
  const Json document = parsed(Report{});
  for (const auto* key : {"sessions", "orphans", "warnings", "errors"}) {
    CAPTURE(key);
    CHECK(document.at(key) == Json::array());
  }
  CHECK(document.at("orphaned_records") == Json::object());
  for (const auto* key : {"sessions", "directories", "allocated_bytes"}) {
    CAPTURE(key);
    CHECK(document.at("kept").at(key).is_null());
  }
  CHECK(document.at("staged").is_null());
  CHECK(document.at("spared_orphans").is_null());
  CHECK(document.at("database_free_bytes").is_null());
  CHECK(document.at("uploads_allocated_bytes").is_null());
  CHECK(document.at("vacuumed_bytes").is_null());
  CHECK(document.at("cutoff").is_null());
}

TEST_CASE("hours and cutoff are there only where sessions go by age") {
  Report report = sample_report();
  report.mode = GENERATE(calib::Mode::orphans_only, calib::Mode::named);
  const Json document = parsed(report);
  CHECK(document.at("hours").is_null());
  CHECK(document.at("cutoff").is_null());
}

TEST_CASE("one entry of a list is no pair") {
  // nlohmann takes a list of two strings for a key and its value.
  Report report;
  report.warnings = {"first", "second"};
  report.errors = {failure("path", "error")};
  const Json document = parsed(report);
  CHECK(document.at("warnings") == Json::array({"first", "second"}));
  CHECK(document.at("errors").dump() == R"([{"path":"path","error":"error"}])");
}

TEST_CASE("a pass that failed says why") {
  Report report;
  report.outcome = Outcome::failed;
  report.errors = {failure("/srv/app/backend/calibration.db", "no such file")};
  const Json document = parsed(report);
  CHECK(document.at("status") == 3);
  CHECK(document.at("message") == "/srv/app/backend/calibration.db: no such file");
  CHECK(document.at("errors").at(0).at("path") == "/srv/app/backend/calibration.db");

  report.outcome = Outcome::interrupted;
  report.signal = SIGINT;
  CHECK(parsed(report).at("status") == 130);
}

TEST_CASE("a dry run says so, and what a run would delete") {
  Report report = sample_report();
  report.dry_run = calib::DryRun::yes;
  const Json document = parsed(report);
  CHECK(document.at("dry_run") == true);
  CHECK(document.at("deleted_sessions") == 2);
  CHECK(document.at("deleted_orphaned_directories") == 1);
}

TEST_CASE("a dry run that did not come to its end has counted nothing") {
  Report report;
  report.dry_run = calib::DryRun::yes;
  report.outcome = Outcome::failed;
  const Json document = parsed(report);
  for (const auto* key : {"kept_sessions", "by_age", "undated", "unclaimed_kept", "disk"}) {
    CAPTURE(key);
    CHECK(document.at(key).is_null());
  }
}

TEST_CASE("names of any bytes make a valid document") {
  const std::string bad = "a\xff\n\x1b\"";
  const std::string shown = "a\\xff\n\x1b\"";
  Report report = sample_report();
  report.sessions[0] = {.id = bad,
                        .created_at = bad,
                        .created = {},
                        .directory = bad,
                        .usage = {},
                        .records = {1, 1, 0}};
  report.sessions.resize(1);
  report.tables = {bad, "calibration_results"};  // shorter than the records
  report.orphans[0].name = bad;
  report.orphaned_records = {{bad, 1}, {"empty", 0}};
  report.database = bad;
  report.uploads = bad;
  report.warnings = {bad};
  report.errors = {failure(bad, bad)};

  const Json document = parsed(report);
  const Json& session = document.at("sessions").at(0);
  CHECK(session.at("id") == shown);
  CHECK(session.at("created_at") == shown);
  CHECK(session.at("directory") == shown);
  CHECK(session.at("records").dump() == Json({{shown, 1}, {"calibration_results", 1}}).dump());
  CHECK(document.at("orphans").at(0).at("name") == shown);
  CHECK(document.at("orphaned_records").dump() == Json({{shown, 1}}).dump());
  CHECK(document.at("database") == shown);
  CHECK(document.at("uploads") == shown);
  CHECK(document.at("warnings").at(0) == shown);
  CHECK(document.at("errors").at(0).at("path") == shown);
  CHECK(document.at("errors").at(0).at("error") == shown);
  CHECK(document.at("message") == "Cleanup incomplete: a\\xff\\x0a\\x1b\": a\\xff\\x0a\\x1b\"");
}

TEST_CASE("thousands of sessions fit into a document") {
  const Json document = parsed(report_of_many());
  CHECK(document.at("sessions").size() == 10'000);
  CHECK(document.at("sessions").at(0).at("allocated_bytes") == 1'000'000);
}

TEST_CASE("a large document is written in small parts") {
  std::size_t parts = 0;
  std::size_t largest = 0;
  std::size_t bytes = 0;
  json_report(report_of_many(), [&](std::string_view part) {
    ++parts;
    bytes += part.size();
    largest = std::max(largest, part.size());
  });
  CHECK(bytes > 2'000'000);
  CHECK(largest < 100'000);
  CHECK(parts < 100);
}
