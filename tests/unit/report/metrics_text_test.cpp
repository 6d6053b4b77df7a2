#include <csignal>
#include <map>
#include <random>
#include <sstream>
#include <string>

#include "report/report.hpp"
#include "support/catch.hpp"
#include "unit/report/report_sample.hpp"

using calib::ErrorKind;
using calib::metrics_text;
using calib::Outcome;
using calib::Report;
using calib::test::failed_report;
using calib::test::failure;
using calib::test::sample_report;

namespace {

const std::string success = "calib_cleanup_last_success_timestamp_seconds";

/// Sample name with labels -> value, of a text in which every metric is described before its
/// samples, as a gauge, once.
std::map<std::string, std::string> samples(const std::string& text) {
  std::map<std::string, std::string> found;
  std::string described;
  std::string previous;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line); previous = line) {
    CAPTURE(line);
    if (line.rfind("# HELP ", 0) == 0) {
      described = line.substr(7, line.find(' ', 7) - 7);
      REQUIRE(described.rfind("calib_cleanup_", 0) == 0);
      REQUIRE(line.back() == '.');
    } else if (line.rfind("# TYPE ", 0) == 0) {
      REQUIRE(line == "# TYPE " + described + " gauge");
      REQUIRE(previous.rfind("# HELP " + described + ' ', 0) == 0);
    } else {
      const auto space = line.find(' ');
      const std::string name = line.substr(0, space);
      REQUIRE(name.substr(0, name.find('{')) == described);
      REQUIRE(line.find_first_not_of("0123456789.", space + 1) == std::string::npos);
      REQUIRE(found.emplace(name, line.substr(space + 1)).second);
    }
  }
  REQUIRE((text.empty() || text.back() == '\n'));
  return found;
}

/// What `previous` leads to in a pass that failed; empty where there is no time of a success.
std::string carried(const std::string& previous) {
  const auto found = samples(metrics_text(failed_report(), previous));
  const auto at = found.find(success);
  return at == found.end() ? "" : at->second;
}

}  // namespace

TEST_CASE("the metrics of a pass that went well") {
  Report report = sample_report();
  report.warnings = {"a", "b"};
  const std::map<std::string, std::string> expected{
      {"calib_cleanup_last_run_timestamp_seconds", "1760443201.500000"},
      {success, "1760443201.500000"},
      {"calib_cleanup_duration_seconds", "1.500000"},
      {"calib_cleanup_status", "0"},
      {"calib_cleanup_sessions_deleted", "2"},
      {"calib_cleanup_sessions_kept", "7"},
      {"calib_cleanup_orphaned_directories_deleted", "1"},
      {"calib_cleanup_directories_kept", "8"},
      {"calib_cleanup_orphaned_records_deleted", "34"},
      {"calib_cleanup_freed_bytes", "12595200"},
      {"calib_cleanup_uploads_bytes", "117452800"},
      {"calib_cleanup_errors{kind=\"session\"}", "0"},
      {"calib_cleanup_errors{kind=\"directory\"}", "0"},
      {"calib_cleanup_errors{kind=\"orphan\"}", "0"},
      {"calib_cleanup_errors{kind=\"records\"}", "0"},
      {"calib_cleanup_errors{kind=\"database\"}", "0"},
      {"calib_cleanup_errors{kind=\"busy\"}", "0"},
      {"calib_cleanup_errors{kind=\"limit\"}", "0"},
      {"calib_cleanup_errors{kind=\"output\"}", "0"},
      {"calib_cleanup_errors{kind=\"interrupted\"}", "0"},
      {"calib_cleanup_warnings", "2"}};
  CHECK(samples(metrics_text(report, "")) == expected);
}

TEST_CASE("the metrics begin as Prometheus wants them") {
  CHECK(metrics_text(sample_report(), "").substr(0, 214) ==
        "# HELP calib_cleanup_last_run_timestamp_seconds When the last pass ended, as Unix time.\n"
        "# TYPE calib_cleanup_last_run_timestamp_seconds gauge\n"
        "calib_cleanup_last_run_timestamp_seconds 1760443201.500000\n"
        "# HELP calib_");
}

TEST_CASE("errors are counted by kind") {
  Report report;
  report.errors = {failure("", "", ErrorKind::session), failure("", "", ErrorKind::limit),
                   failure("", "", ErrorKind::limit), failure("", "", ErrorKind::interrupted),
                   failure("", "", ErrorKind::busy)};
  auto found = samples(metrics_text(report, ""));
  CHECK(found["calib_cleanup_errors{kind=\"session\"}"] == "1");
  CHECK(found["calib_cleanup_errors{kind=\"directory\"}"] == "0");
  CHECK(found["calib_cleanup_errors{kind=\"limit\"}"] == "2");
  CHECK(found["calib_cleanup_errors{kind=\"interrupted\"}"] == "1");
  CHECK(found["calib_cleanup_errors{kind=\"busy\"}"] == "1");
  CHECK(found["calib_cleanup_status"] == "1");
}

TEST_CASE("what is not known is left out") {
  Report report = failed_report();
  report.total_bytes.reset();
  CHECK(samples(metrics_text(report, "")).count("calib_cleanup_uploads_bytes") == 0);
  CHECK(samples(metrics_text(report, "")).count(success) == 0);
  CHECK(samples(metrics_text(report, "")).count("calib_cleanup_sessions_kept") == 1);

  report.outcome = GENERATE(Outcome::failed, Outcome::busy);
  const auto found = samples(metrics_text(report, ""));
  CHECK(found.count("calib_cleanup_sessions_kept") == 0);
  CHECK(found.count("calib_cleanup_directories_kept") == 0);
  CHECK(found.count("calib_cleanup_sessions_deleted") == 1);
}

TEST_CASE("the time of the last success is carried over") {
  Report earlier = sample_report();
  earlier.started -= std::chrono::hours{1};
  const std::string previous = metrics_text(earlier, "");
  CHECK(carried(previous) == "1760439601.500000");
  // … and over a second failure.
  CHECK(carried(metrics_text(failed_report(), previous)) == "1760439601.500000");
  // A success has a time of its own.
  CHECK(samples(metrics_text(sample_report(), previous))[success] == "1760443201.500000");

  Report interrupted = sample_report();
  interrupted.outcome = Outcome::interrupted;
  interrupted.signal = SIGTERM;
  CHECK(samples(metrics_text(interrupted, previous))[success] == "1760439601.500000");
}

TEST_CASE("a previous text is believed only where it is ours") {
  CHECK(carried(success + " 1760439601.500000\n") == "1760439601.500000");
  CHECK(carried(success + " 1760439601.500000") == "1760439601.500000");
  CHECK(carried("x\n\n" + success + " 0.000000\ny") == "0.000000");
  CHECK(carried(success + " 1760443201.500000\n") == "1760443201.500000");

  const std::string line = GENERATE(
      as<std::string>{}, "", " ", " 1760439601", " 1760439601.5", " 1760439601.5000000",
      " -1760439601.500000", " +1760439601.500000", "  1760439601.500000", " 1760439601.500000 ",
      " 1760439601.500000\r", " 1760439601.500000 1760439601", " 1.76e9", " 1e400", " NaN", " +Inf",
      " 0x1.000000", " .500000", " .", " 1760439601.50000x", " 1760439601,500000",
      " 176043x601.500000", " 99999999999999999999999999.000000", " 9223372036855.000000",
      " 9223372036854775807.000000", " 1760443201.500001", "{a=\"b\"} 1760439601.500000",
      "s 1760439601.500000", "\t1760439601.500000");
  CAPTURE(line);
  CHECK(carried(success + line + "\n").empty());
  // Nor is it believed beside one that is good: who wrote the one may have written the other.
  if (line.rfind(' ', 0) == 0) {
    CHECK(carried(success + " 1760439601.500000\n" + success + line + "\n").empty());
  }
}

TEST_CASE("no previous text harms") {
  CHECK(carried(success + " 1760439601.500000\n" + success + " 1760439601.500000\n").empty());
  CHECK(carried("# " + success + " 1760439601.500000\n").empty());
  CHECK(carried(" " + success + " 1760439601.500000\n").empty());
  CHECK(carried(success + std::string(1, '\0') + " 1760439601.500000\n").empty());

  std::mt19937 random(20251014);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same bytes each time
  for (int round = 0; round < 200; ++round) {
    std::string bytes = success + ' ';
    for (auto n = random() % 40; n > 0; --n) bytes += static_cast<char>(random() % 256);
    samples(metrics_text(failed_report(), bytes));
  }
}
