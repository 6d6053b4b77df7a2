#include "report/report.hpp"

#include <csignal>

#include "support/catch.hpp"
#include "unit/report/report_sample.hpp"

using calib::Color;
using calib::Outcome;
using calib::Priorities;
using calib::Priority;
using calib::Report;
using calib::test::failure;
using calib::test::sample_report;

TEST_CASE("the exit status says how it ended") {
  Report report;
  CHECK(calib::exit_status(report) == 0);
  report.warnings = {"a warning is no error"};
  CHECK(calib::exit_status(report) == 0);
  report.errors = {failure("x", "y")};
  CHECK(calib::exit_status(report) == 1);
  report.outcome = Outcome::failed;
  CHECK(calib::exit_status(report) == 3);
  report.outcome = Outcome::busy;
  CHECK(calib::exit_status(report) == 4);
  report.outcome = Outcome::interrupted;
  report.signal = SIGTERM;
  CHECK(calib::exit_status(report) == 143);
  report.errors.clear();
  report.signal = SIGINT;
  CHECK(calib::exit_status(report) == 130);
}

TEST_CASE("the message of a pass that went well is the app's") {
  Report report = sample_report();
  report.warnings = {"1 session without a creation time was kept"};
  CHECK(calib::message(report) == "Cleanup completed successfully");
}

TEST_CASE("the message of an incomplete pass names the first error") {
  Report report = sample_report();
  report.errors = {failure("/srv/app/uploads/a\nb", "Operation not permitted")};
  CHECK(calib::message(report) ==
        "Cleanup incomplete: /srv/app/uploads/a\\x0ab: Operation not permitted");
  report.errors.push_back(failure("", "second"));
  report.errors.push_back(failure("", "third"));
  CHECK(
      calib::message(report) ==
      "Cleanup incomplete: 3 errors, the first: /srv/app/uploads/a\\x0ab: Operation not permitted");
}

TEST_CASE("the message of a dry run says that nothing was changed") {
  Report report = sample_report();
  report.dry_run = calib::DryRun::yes;
  CHECK(calib::message(report) == "Dry run: nothing was changed");
  report.errors = {failure("session x", "no such session")};
  CHECK(calib::message(report) == "Dry run: nothing was changed; session x: no such session");
  report.errors.push_back(failure("", "second"));
  CHECK(calib::message(report) ==
        "Dry run: nothing was changed; 2 errors, the first: session x: no such session");
}

TEST_CASE("the message of a pass that could not run is its error") {
  Report report;
  report.outcome = GENERATE(Outcome::failed, Outcome::busy);
  report.errors = {failure("/srv/app/uploads", "another pass is running"), failure("", "more")};
  CHECK(calib::message(report) == "/srv/app/uploads: another pass is running");
  report.errors = {failure("", "no such database")};
  CHECK(calib::message(report) == "no such database");
}

TEST_CASE("there is a message even where no error was given") {
  Report report;
  report.outcome = Outcome::failed;
  CHECK(calib::message(report) == "Cleanup could not run; nothing was changed");
  report.outcome = Outcome::busy;
  CHECK(calib::message(report) == "Another pass is running; nothing was changed");
}

TEST_CASE("the message of an interrupted pass names the signal") {
  Report report = sample_report();
  report.outcome = Outcome::interrupted;
  report.signal = SIGTERM;
  CHECK(calib::message(report) == "Stopped by SIGTERM after 2 sessions; the next pass goes on");
  report.sessions.resize(1);
  report.signal = SIGINT;
  CHECK(calib::message(report) == "Stopped by SIGINT after 1 session; the next pass goes on");
  report.signal = SIGHUP;
  CHECK(calib::message(report) == "Stopped by SIGHUP after 1 session; the next pass goes on");
  report.signal = 34;
  CHECK(calib::message(report) == "Stopped by signal 34 after 1 session; the next pass goes on");
  report.dry_run = calib::DryRun::yes;
  CHECK(calib::message(report) == "Stopped by signal 34; nothing was changed");
}

TEST_CASE("diagnostics are a line each, warnings first") {
  Report report;
  CHECK(calib::diagnostics(report, Color::no, Priorities::left_out).empty());
  report.warnings = {"1 session was kept", "no room for --vacuum"};
  report.errors = {failure("/srv/app/uploads/a", "Operation not permitted"),
                   failure("", "the disk is full")};
  CHECK(calib::diagnostics(report, Color::no, Priorities::left_out) ==
        "calib-cleanup: warning: 1 session was kept\n"
        "calib-cleanup: warning: no room for --vacuum\n"
        "calib-cleanup: error: /srv/app/uploads/a: Operation not permitted\n"
        "calib-cleanup: error: the disk is full\n");
}

TEST_CASE("a diagnostic stays one line whatever bytes are in it") {
  Report report;
  report.warnings = {"a\nb"};
  report.errors = {failure("\x1b[2J\xff", "c\r\nd")};
  CHECK(calib::diagnostics(report, Color::no, Priorities::left_out) ==
        "calib-cleanup: warning: a\\x0ab\n"
        "calib-cleanup: error: \\x1b[2J\\xff: c\\x0d\\x0ad\n");
}

TEST_CASE("in the journal each diagnostic has its priority") {
  Report report;
  report.warnings = {"a\nb"};
  report.errors = {failure("x", "c")};
  CHECK(calib::diagnostics(report, Color::no, Priorities::shown) ==
        "<4>calib-cleanup: warning: a\\x0ab\n"
        "<3>calib-cleanup: error: x: c\n");
}

TEST_CASE("only the word is coloured") {
  CHECK(calib::diagnostic_line(Priority::error, "x\x1b[0m", Color::yes, Priorities::left_out) ==
        "calib-cleanup: \x1b[31merror\x1b[0m: x\\x1b[0m\n");
  CHECK(calib::diagnostic_line(Priority::warning, "x", Color::yes, Priorities::left_out) ==
        "calib-cleanup: \x1b[33mwarning\x1b[0m: x\n");
}

TEST_CASE("the largest comes first, ties by name") {
  std::vector<calib::OrphanLine> orphans;
  for (const auto& [name, bytes] : {std::pair{"c", 1U}, {"b", 5U}, {"a", 1U}, {"d", 9U}}) {
    orphans.push_back({.name = name, .changed = {}, .usage = {.allocated_bytes = bytes}});
  }
  std::string names;
  for (const calib::OrphanLine* orphan : calib::largest_first(orphans)) names += orphan->name;
  CHECK(names == "dbac");

  const Report report = sample_report();
  const auto sessions = calib::largest_first(report.sessions);
  REQUIRE(sessions.size() == 2);
  CHECK(sessions[0] == &report.sessions[1]);
  CHECK(sessions[1] == &report.sessions[0]);
}
