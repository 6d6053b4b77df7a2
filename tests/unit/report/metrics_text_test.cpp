#include <csignal>
#include <filesystem>
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

/// As sample_report() has it.
const std::string label = "uploads=\"/srv/app/uploads\"";
const std::string labelled_success = success + "{" + label + "}";

/// A sample's name in samples().
std::string named(const std::string& metric, const std::string& labels = "") {
  return "calib_cleanup_" + metric + "{" + labels + label + "}";
}

std::string errors_of(const std::string& kind) { return named("errors", "kind=\"" + kind + "\","); }

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
      const auto space = line.rfind(' ');
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
  const auto at = found.find(labelled_success);
  return at == found.end() ? "" : at->second;
}

}  // namespace

TEST_CASE("the metrics of a pass that went well") {
  Report report = sample_report();
  report.warnings = {"a", "b"};
  const std::map<std::string, std::string> expected{
      {named("last_run_timestamp_seconds"), "1760443201.500000"},
      {labelled_success, "1760443201.500000"},
      {named("duration_seconds"), "1.500000"},
      {named("status"), "0"},
      {named("sessions_deleted"), "2"},
      {named("sessions_kept"), "7"},
      {named("orphaned_directories_deleted"), "1"},
      {named("directories_kept"), "8"},
      {named("orphaned_records_deleted"), "34"},
      {named("freed_bytes"), "12595200"},
      {named("uploads_bytes"), "117452800"},
      {errors_of("session"), "0"},
      {errors_of("directory"), "0"},
      {errors_of("orphan"), "0"},
      {errors_of("records"), "0"},
      {errors_of("database"), "0"},
      {errors_of("uploads"), "0"},
      {errors_of("busy"), "0"},
      {errors_of("limit"), "0"},
      {errors_of("output"), "0"},
      {errors_of("interrupted"), "0"},
      {named("warnings"), "2"},
      {named("info", "version=\"" CALIB_CLEANUP_VERSION "\","), "1"}};
  CHECK(samples(metrics_text(report, "")) == expected);
}

TEST_CASE("the metrics begin as Prometheus wants them") {
  CHECK(metrics_text(sample_report(), "").substr(0, 242) ==
        "# HELP calib_cleanup_last_run_timestamp_seconds When the last pass ended, as Unix time.\n"
        "# TYPE calib_cleanup_last_run_timestamp_seconds gauge\n"
        "calib_cleanup_last_run_timestamp_seconds{uploads=\"/srv/app/uploads\"} "
        "1760443201.500000\n"
        "# HELP calib_");
}

TEST_CASE("errors are counted by kind") {
  Report report;
  report.uploads = sample_report().uploads;
  report.errors = {failure("", "", ErrorKind::session), failure("", "", ErrorKind::limit),
                   failure("", "", ErrorKind::limit),   failure("", "", ErrorKind::interrupted),
                   failure("", "", ErrorKind::busy),    failure("", "", ErrorKind::uploads)};
  auto found = samples(metrics_text(report, ""));
  CHECK(found[errors_of("session")] == "1");
  CHECK(found[errors_of("directory")] == "0");
  CHECK(found[errors_of("limit")] == "2");
  CHECK(found[errors_of("interrupted")] == "1");
  CHECK(found[errors_of("busy")] == "1");
  CHECK(found[errors_of("uploads")] == "1");
  CHECK(found[errors_of("database")] == "0");
  CHECK(found[named("status")] == "1");
}

TEST_CASE("the label is the folder's absolute path, as the format wants it") {
  const auto label_of = [](const std::string& uploads) {
    Report report;
    report.uploads = uploads;
    const auto text = metrics_text(report, "");
    const auto start = text.find("calib_cleanup_status{uploads=\"") + 30;
    return text.substr(start, text.find("\"} 0\n", start) - start);
  };
  CHECK(label_of("/a b,c}/uploads") == "/a b,c}/uploads");
  CHECK(label_of("/a\"b\\c\nd") == R"(/a\"b\\c\nd)");
  CHECK(label_of("/a\xff") == R"(/a\\xff)");
  CHECK(label_of("/ümlaut") == "/ümlaut");
  // However it is written.
  CHECK(label_of("/srv/app//x/../uploads/") == "/srv/app/uploads");
  CHECK(label_of("/") == "/");
  CHECK(label_of("uploads") == (std::filesystem::current_path() / "uploads").string());
}

TEST_CASE("what is not known is left out") {
  Report report = failed_report();
  report.total_bytes.reset();
  CHECK(samples(metrics_text(report, "")).count(named("uploads_bytes")) == 0);
  CHECK(samples(metrics_text(report, "")).count(labelled_success) == 0);
  CHECK(samples(metrics_text(report, "")).count(named("sessions_kept")) == 1);

  report.outcome = GENERATE(Outcome::failed, Outcome::busy);
  const auto found = samples(metrics_text(report, ""));
  CHECK(found.count(named("sessions_kept")) == 0);
  CHECK(found.count(named("directories_kept")) == 0);
  CHECK(found.count(named("sessions_deleted")) == 1);
}

TEST_CASE("the time of the last success is carried over") {
  Report earlier = sample_report();
  earlier.started -= std::chrono::hours{1};
  const std::string previous = metrics_text(earlier, "");
  CHECK(carried(previous) == "1760439601.500000");
  // … and over a second failure.
  CHECK(carried(metrics_text(failed_report(), previous)) == "1760439601.500000");
  // A success has a time of its own.
  CHECK(samples(metrics_text(sample_report(), previous))[labelled_success] == "1760443201.500000");

  Report interrupted = sample_report();
  interrupted.outcome = Outcome::interrupted;
  interrupted.signal = SIGTERM;
  CHECK(samples(metrics_text(interrupted, previous))[labelled_success] == "1760439601.500000");
}

TEST_CASE("a previous text is believed only where it is ours") {
  // Before there was a label.
  CHECK(carried(success + " 1760439601.500000\n") == "1760439601.500000");
  CHECK(carried(labelled_success + " 1760439601.500000\n") == "1760439601.500000");
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
  CHECK(carried(labelled_success + line + "\n").empty());
  // Nor is it believed beside one that is good: who wrote the one may have written the other.
  if (line.rfind(' ', 0) == 0) {
    CHECK(carried(success + " 1760439601.500000\n" + success + line + "\n").empty());
  }
}

TEST_CASE("another folder's success is not this one's") {
  Report other = sample_report();
  other.uploads = "/srv/other/uploads";
  CHECK(carried(metrics_text(other, "")).empty());
  CHECK(carried(metrics_text(other, "") + metrics_text(sample_report(), "")) ==
        "1760443201.500000");
}

TEST_CASE("no previous text harms") {
  CHECK(carried(success + " 1760439601.500000\n" + success + " 1760439601.500000\n").empty());
  CHECK(carried(success + " 1760439601.500000\n" + labelled_success + " 1760439601.500000\n")
            .empty());
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
