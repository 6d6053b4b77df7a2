#include <algorithm>
#include <csignal>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>

#include "report/report.hpp"
#include "support/catch.hpp"
#include "unit/report/report_sample.hpp"

using calib::Charset;
using calib::Color;
using calib::DiskSpace;
using calib::DryRun;
using calib::ErrorKind;
using calib::KeptSession;
using calib::Lists;
using calib::Mode;
using calib::Outcome;
using calib::Report;
using calib::Stays;
using calib::text_report;
using calib::Verbosity;
using calib::test::large_id;
using calib::test::sample_report;
using calib::test::sample_start;
using calib::test::small_id;

namespace {

/// Of the text of a pass or dry run, the part before the lines that say under which rule, and
/// where; or these.
std::string before_circumstances(const std::string& text) {
  return text.substr(0, std::min(text.find("Stays: "), text.find("Rule: ")));
}
std::string circumstances(const Report& report) {
  const auto text = text_report(report, Verbosity::normal, Color::no);
  const auto rest = text.substr(before_circumstances(text).size());
  return rest.substr(0, rest.find("\nDisk use by age"));
}
/// What a dry run ends with.
std::string audit(const Report& report, Charset charset = Charset::ascii) {
  const auto text = text_report(report, Verbosity::normal, Color::no, Lists::whole, charset);
  return text.substr(text.find("Disk use by age"));
}

std::string normal(const Report& report) {
  return before_circumstances(text_report(report, Verbosity::normal, Color::no));
}

Report dry(Report report) {
  report.dry_run = DryRun::yes;
  return report;
}

}  // namespace

TEST_CASE("a pass that had nothing to do says so in two lines") {
  CHECK(normal(Report{}) ==
        "Cleanup completed: Deleted 0 old sessions\n"
        "Orphaned file cleanup completed: Deleted 0 directories\n");
}

TEST_CASE("the summary of a pass") {
  Report report = sample_report();
  CHECK(normal(report) ==
        "Cleanup completed: Deleted 2 old sessions\n"
        "Orphaned file cleanup completed: Deleted 1 directory\n"
        "Deleted 34 orphaned records\n"
        "Settled an interrupted pass: 1 directory restored, 3 purged\n"
        "Freed 12.0 MiB\n");

  report.sessions.resize(1);
  report.orphans.clear();
  report.orphaned_records = {{"calibration_images", 1}, {"calibration_results", 0}};
  report.recovery = {.restored = 0, .purged = 1};
  report.freed_bytes = 0;
  report.vacuumed_bytes = 2048;
  CHECK(normal(report) ==
        "Cleanup completed: Deleted 1 old session\n"
        "Orphaned file cleanup completed: Deleted 0 directories\n"
        "Deleted 1 orphaned record\n"
        "Settled an interrupted pass: 0 directories restored, 1 purged\n"
        "Vacuum gave back 2.0 KiB\n");

  report.recovery = {.restored = 2, .purged = 0};
  report.vacuumed_bytes = 0;
  CHECK(normal(report) ==
        "Cleanup completed: Deleted 1 old session\n"
        "Orphaned file cleanup completed: Deleted 0 directories\n"
        "Deleted 1 orphaned record\n"
        "Settled an interrupted pass: 2 directories restored, 0 purged\n");
}

TEST_CASE("every text says what stays, under which rule, and where") {
  Report report = sample_report();
  const std::string places =
      "Uploads folder:         /srv/app/uploads\n"
      "Database:               /srv/app/backend/calibration.db\n";
  const std::string by_age =
      "Rule:                   created before 2025-10-13 12:00 UTC (24 hours ago)\n"
      "                        and what has no session\n";
  CHECK(circumstances(report) ==
        "Stays:                  7 sessions, 8 directories, 100.0 MiB\n" + by_age + places);
  CHECK(circumstances(dry(report)) == by_age + places);

  report.kept.allocated_bytes = std::nullopt;
  CHECK(circumstances(report) ==
        "Stays:                  7 sessions, 8 directories\n" + by_age + places);
  report.kept_by_name = 2;
  CHECK(circumstances(dry(report)) ==
        by_age + "                        but for 2 sessions to keep (--keep)\n" + places);
}

TEST_CASE("a pass says what is still set aside, and what its grace has spared") {
  Report report = sample_report();
  report.staged = calib::Directories{0, 0};
  report.spared = calib::Directories{0, 0};
  const auto quiet = circumstances(report);
  CHECK(quiet.find("aside") == std::string::npos);
  CHECK(quiet.find("grace") == std::string::npos);

  report.staged = calib::Directories{3, 2U << 20U};
  CHECK_THAT(text_report(report, Verbosity::normal, Color::no),
             Catch::Matchers::ContainsSubstring(
                 "\nStill set aside:        3 directories, 2.0 MiB; the next pass settles that\n"));
  report.staged->allocated_bytes = std::nullopt;
  CHECK_THAT(text_report(report, Verbosity::normal, Color::no),
             Catch::Matchers::ContainsSubstring("aside:        3 directories; the next pass"));

  report.orphan_grace = std::chrono::minutes{90};
  report.spared = calib::Directories{1, 4096};
  const std::string spared =
      "                        but for 1 directory, 4.0 KiB, that changed\n"
      "                        in the last 90 min (--orphan-grace)\n";
  CHECK_THAT(circumstances(report), Catch::Matchers::ContainsSubstring(spared));
  CHECK_THAT(circumstances(dry(report)), Catch::Matchers::ContainsSubstring(spared));
}

TEST_CASE("a pass without --vacuum tells what that would give back, where it is worth it") {
  Report report = sample_report();
  report.database_free_bytes = (1U << 20U) - 1;
  CHECK(circumstances(report).find("--vacuum") == std::string::npos);
  report.database_free_bytes = 1U << 20U;
  CHECK_THAT(circumstances(report),
             Catch::Matchers::ContainsSubstring(
                 "Free in the database:   1.0 MiB; --vacuum gives it back\n"));
  report.vacuumed_bytes = 0;
  CHECK(circumstances(report).find("--vacuum") == std::string::npos);
  report.vacuumed_bytes = 4096;
  CHECK_THAT(normal(dry(report)),
             Catch::Matchers::ContainsSubstring(
                 "Vacuum would give back: 4.0 KiB, free now; deleted records add to it\n"));
}

TEST_CASE("a stereo result that goes although one of its sessions stays is told") {
  Report report = sample_report();
  report.halved_pairs = 2;
  CHECK_THAT(normal(report), Catch::Matchers::ContainsSubstring(
                                 "\nWith them went 2 stereo results whose other session stays\n"));
  CHECK_THAT(normal(dry(report)),
             Catch::Matchers::ContainsSubstring(
                 "\nWith them would go 2 stereo results whose other session stays\n"));
}

TEST_CASE("the rule of a pass") {
  Report report = dry(sample_report());
  report.cutoff = std::nullopt;
  const auto rule = [&] {
    const auto text = circumstances(report);
    return text.substr(0, text.find('\n'));
  };
  report.hours = 1;
  CHECK(rule() == "Rule:                   created more than 1 hour ago");
  report.mode = Mode::orphans_only;
  CHECK(rule() == "Rule:                   what has no session (--orphans-only)");
  report.mode = Mode::named;
  report.asked_for = 3;
  CHECK(rule() == "Rule:                   3 sessions by name (--session), no orphans");
}

TEST_CASE("a terminal gets the 20 largest of each list, and a line for the rest") {
  Report report = dry(sample_report());
  for (unsigned i = 0; i < 24; ++i) {
    report.orphans.push_back({.name = "small-" + std::to_string(100 + i),
                              .changed = {},
                              .usage = {.files = 2, .allocated_bytes = 1024}});
  }
  const auto largest = text_report(report, Verbosity::normal, Color::no, Lists::largest);
  const auto whole = text_report(report, Verbosity::normal, Color::no, Lists::whole);
  CHECK_THAT(largest, Catch::Matchers::ContainsSubstring("left-behind"));
  CHECK_THAT(largest, Catch::Matchers::ContainsSubstring("small-118"));
  CHECK(largest.find("small-119") == std::string::npos);
  CHECK_THAT(largest,
             Catch::Matchers::ContainsSubstring("and 5 smaller ones (-v shows all)          "
                                                "            10     5.0 KiB\n"));
  CHECK_THAT(whole, Catch::Matchers::ContainsSubstring("small-123"));
  CHECK(whole.find("smaller") == std::string::npos);
  CHECK(text_report(report, Verbosity::verbose, Color::no, Lists::largest) == whole);
}

TEST_CASE("a dry run ends with what each --hours would free") {
  const auto line = [](std::string_view created_at, std::uint64_t mib, Stays why) {
    KeptSession session;
    session.id = created_at;
    session.created_at = created_at;
    session.why = why;
    session.usage.allocated_bytes = mib << 20U;
    return session;
  };
  Report report = dry(sample_report());
  report.sessions[0].usage.allocated_bytes = 1U << 20U;  // 79 hours old
  report.sessions[1].usage.allocated_bytes = 0;          // no date
  report.orphans[0].usage.allocated_bytes = 2U << 20U;
  report.kept_sessions = {line("2025-10-14 12:00:00", 16, Stays::young),
                          line("2025-10-13 12:00:00", 8, Stays::young),  // 24 hours old
                          line("2025-07-06 12:00:00", 4, Stays::kept_by_name),
                          line("2025-10-12 10:00:00", 1, Stays::left_whole)};
  report.unclaimed_kept.allocated_bytes = 1U << 20U;
  report.unclaimed_kept_count = 2;
  report.leftovers.allocated_bytes = 4096;
  report.freed_bytes = 3U << 20U;
  report.database_bytes = 10U << 20U;
  report.database_free_bytes = 512;
  report.disk = DiskSpace{1000ULL << 20U, 600ULL << 20U, 200ULL << 20U};
  CHECK(audit(report) ==
        "Disk use by age of session\n"
        "age            sessions        size                           freed with --hours\n"
        "under 1 h             1    16.0 MiB  ####################          0    27.0 MiB\n"
        "6 to 24 h             1     8.0 MiB  ##########                    6    11.0 MiB\n"
        "--------------------------------- --hours 24 ---------------------------------\n"
        "1 to 7 d              2     2.0 MiB  ###                          24     3.0 MiB\n"
        "over 90 d             1     4.0 MiB  #####                      2160     2.0 MiB\n"
        "no usable date        1         0 B\n"
        "no session            3     3.0 MiB  (2 of them would stay)\n"
        "left by a stopped pass      4.0 KiB\n"
        "Database                   10.0 MiB, 512 B of it free (--vacuum)\n"
        "Disk                     1000.0 MiB, 75 % used, 200.0 MiB free\n");

  // The threshold is one of the ages, whatever it is.
  report.hours = 60;
  const auto text = audit(report, Charset::utf8);
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(
                       "1 to 2.5 d            1     1.0 MiB  \u2588\u258e "));
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("\u2500 --hours 60 \u2500"));
  CHECK(text.find("1 to 2.5 d") < text.find("--hours 60"));
  CHECK(text.find("--hours 60") < text.find("2.5 to 7 d"));
  report.mode = Mode::orphans_only;
  CHECK(audit(report).find(" --hours 60 ") == std::string::npos);
}

TEST_CASE("a dry run of nothing has an audit, too") {
  Report report = dry(Report{});
  CHECK(audit(report) ==
        "Disk use by age of session\n"
        "no session            0         0 B\n");
}

TEST_CASE("a verbose dry run lists what stays, and why") {
  Report report = dry(Report{});
  report.started = sample_start;
  for (const auto why : {Stays::young, Stays::kept_by_name, Stays::undated, Stays::future,
                         Stays::not_asked, Stays::left_whole}) {
    KeptSession session;
    session.id = small_id;
    session.created_at = why == Stays::undated ? "soon" : "2026-01-01";
    session.why = why;
    session.usage.allocated_bytes = 2048 + static_cast<unsigned>(why);
    report.kept_sessions.push_back(session);
  }
  report.kept_sessions[0].created_at = "2025-10-14 09:00:00";
  const auto text = text_report(report, Verbosity::verbose, Color::no);
  const auto row = [](const std::string& age, const std::string& why) {
    return small_id + "  " + std::string(8 - age.size(), ' ') + age + "     2.0 KiB  " + why + "\n";
  };
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(
                       row("-", "left whole, see the errors") + row("-", "not asked for") +
                       row("-", "dated in the future: 2026-01-01") + row("-", "no date: 'soon'") +
                       row("-", "to keep (--keep)") + row("3 h", "not old enough")));
  CHECK(normal(report).find("not old enough") == std::string::npos);
}

TEST_CASE("over the limit a dry run lists what a pass would not delete") {
  Report report = dry(sample_report());
  report.over_limit = 2;
  const auto text = normal(report);
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(
                       "More than 2 (--max-delete): a pass would delete none of these.\n"));
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(large_id));
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring(
                       "Cleanup dry run: Would delete 0 old sessions\n"
                       "Orphaned file cleanup dry run: Would delete 0 directories\n"
                       "Would settle"));
}

TEST_CASE("a pass that could not run writes nothing on stdout") {
  Report report = sample_report();
  report.outcome = GENERATE(Outcome::failed, Outcome::busy);
  CHECK(normal(report).empty());
  CHECK(normal(dry(report)).empty());
  CHECK(text_report(report, Verbosity::verbose, Color::no).empty());
}

TEST_CASE("a pass that stopped, or left something behind, does not say completed") {
  Report report = sample_report();
  const auto rest =
      "Deleted 34 orphaned records\n"
      "Settled an interrupted pass: 1 directory restored, 3 purged\n"
      "Freed 12.0 MiB\n";
  report.errors.push_back({"/app/uploads/a", "it could not be removed", ErrorKind::directory});
  CHECK(normal(report) == std::string("Cleanup incomplete: Deleted 2 old sessions\n"
                                      "Orphaned file cleanup incomplete: Deleted 1 directory\n") +
                              rest);
  report.outcome = Outcome::interrupted;
  report.signal = SIGTERM;
  CHECK(normal(report) == std::string("Cleanup stopped: Deleted 2 old sessions\n"
                                      "Orphaned file cleanup stopped: Deleted 1 directory\n") +
                              rest);
  CHECK_THAT(normal(dry(sample_report())),
             Catch::Matchers::ContainsSubstring("Cleanup dry run: Would delete"));
}

TEST_CASE("what an interrupted dry run has seen so far is not printed as an answer") {
  Report report = dry(sample_report());
  report.outcome = Outcome::interrupted;
  report.signal = SIGINT;
  CHECK(normal(report).empty());
}

TEST_CASE("quiet writes nothing on stdout") {
  CHECK(text_report(sample_report(), Verbosity::quiet, Color::yes).empty());
  CHECK(text_report(dry(sample_report()), Verbosity::quiet, Color::yes).empty());
}

TEST_CASE("verbose names each session and directory, largest first") {
  const Report report = sample_report();
  CHECK(before_circumstances(text_report(report, Verbosity::verbose, Color::yes)) ==
        "Deleted session " + large_id + " (40 files, 12.0 MiB)\n" + "Deleted session " + small_id +
            " (1 file, 8.0 KiB)\n" + "Deleted orphaned directory left-behind (2 files, 4.0 KiB)\n" +
            normal(report));
}

TEST_CASE("a dry run lists everything and changes nothing") {
  CHECK(normal(dry(sample_report())) ==
        "Dry run: nothing is changed\n"
        "\n"
        "Sessions that would be deleted\n"
        "session                                    age      files        size\n"
        "ffffffff-5f60-4718-8a9b-0c1d2e3f4a5b         -         40    12.0 MiB\n"
        "0b2d3c4e-5f60-4718-8a9b-0c1d2e3f4a5b     3.2 d          1     8.0 KiB\n"
        "\n"
        "Orphaned directories that would be deleted\n"
        "directory                                  age      files        size\n"
        "left-behind                              410 d          2     4.0 KiB\n"
        "\n"
        "Orphaned records that would be deleted\n"
        "calibration_images                          30\n"
        "calibration_results                          4\n"
        "\n"
        "Cleanup dry run: Would delete 2 old sessions\n"
        "Orphaned file cleanup dry run: Would delete 1 directory\n"
        "Would delete 34 orphaned records\n"
        "Would settle an interrupted pass: restore 1 directory, purge 3\n"
        "\n"
        "Would be freed:         12.0 MiB\n"
        "Would stay:             7 sessions, 8 directories, 100.0 MiB\n"
        "Whole uploads folder:   112.0 MiB\n");
}

TEST_CASE("a dry run of nothing has no tables") {
  Report report = dry(Report{});
  report.kept = {.sessions = 1, .directories = 1, .allocated_bytes = {}};
  report.vacuumed_bytes = 0;
  CHECK(normal(report) ==
        "Dry run: nothing is changed\n"
        "\n"
        "Cleanup dry run: Would delete 0 old sessions\n"
        "Orphaned file cleanup dry run: Would delete 0 directories\n"
        "\n"
        "Would be freed:         0 B\n"
        "Vacuum would give back: 0 B\n"
        "Would stay:             1 session, 1 directory\n");
}

TEST_CASE("a dry run reads the same when verbose") {
  const Report report = dry(sample_report());
  CHECK(text_report(report, Verbosity::verbose, Color::no) ==
        text_report(report, Verbosity::normal, Color::no));
  CHECK(report.kept_sessions.empty());
}

TEST_CASE("only headings are bold") {
  Report report = dry(sample_report());
  std::istringstream lines(text_report(report, Verbosity::normal, Color::yes));
  std::string bold;
  for (std::string line; std::getline(lines, line);) {
    if (line.find('\x1b') != std::string::npos) bold += line + '\n';
  }
  CHECK(bold ==
        "\x1b[1mDry run: nothing is changed\x1b[0m\n"
        "\x1b[1mSessions that would be deleted\x1b[0m\n"
        "\x1b[1mOrphaned directories that would be deleted\x1b[0m\n"
        "\x1b[1mOrphaned records that would be deleted\x1b[0m\n"
        "\x1b[1mDisk use by age of session\x1b[0m\n");
}

TEST_CASE("tables stay aligned under names of any kind") {
  Report report = dry(Report{});
  const auto orphan = [&](std::string name, std::uint64_t bytes) {
    report.orphans.push_back(
        {.name = std::move(name), .changed = {}, .usage = {.files = 1, .allocated_bytes = bytes}});
  };
  orphan("K\xc3\xb6ln", 1023);
  orphan("\xe7\x9b\xb8\xe6\x9c\xba", 1022);  // two characters, four columns
  orphan("a\nb\xff", 1021);
  orphan(std::string(36, 'x'), 1020);
  orphan(std::string(37, 'y'), 1019);
  report.orphaned_records = {{"none", 0}, {std::string(40, 't'), 5}};

  const auto row = [](const std::string& name, unsigned columns, const std::string& numbers) {
    return name + std::string(36 - columns, ' ') + numbers + '\n';
  };
  const std::string text = normal(report);
  CHECK_THAT(text,
             Catch::Matchers::ContainsSubstring(
                 row("directory", 9, "       age      files        size") +
                 row("K\xc3\xb6ln", 4, "         -          1      1023 B") +
                 row("\xe7\x9b\xb8\xe6\x9c\xba", 4, "         -          1      1022 B") +
                 row("a\\x0ab\\xff", 10, "         -          1      1021 B") +
                 row(std::string(36, 'x'), 36, "         -          1      1020 B") +
                 std::string(37, 'y') + '\n' + row("", 0, "         -          1      1019 B")));
  CHECK_THAT(text, Catch::Matchers::ContainsSubstring("deleted\n" + std::string(40, 't') + '\n' +
                                                      row("", 0, "         5")));
}

TEST_CASE("names on a verbose line are escaped") {
  Report report;
  report.orphans = {{.name = "a\nDeleted session b", .changed = {}, .usage = {}}};
  CHECK_THAT(text_report(report, Verbosity::verbose, Color::no),
             Catch::Matchers::ContainsSubstring(
                 "Deleted orphaned directory a\\x0aDeleted session b (0 files, 0 B)\n"));
}
