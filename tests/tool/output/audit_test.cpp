// What a dry run says of the disk: by age, what stays and why, database and file system.
#include <sys/statvfs.h>

#include <map>

#include "support/catch.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("one dry run tells what each --hours would free", "[tool][audit]") {
  App app;
  for (const double age : {0.5, 0.5, 30.0, 30.0, 24.0 * 40, 24.0 * 400}) app.add_session(age);
  app.add_directory("left-behind");
  const auto report = run_on(app, {"--dry-run", "--json"}).json();
  const auto& by_age = report.at("by_age");
  REQUIRE(by_age.size() == 4);
  const std::vector<double> from{0, 24, 720, 2160};
  for (std::size_t i = 0; i < from.size(); ++i) {
    CAPTURE(i);
    CHECK(by_age[i].at("from_hours") == from[i]);
    CHECK(by_age[i].at("sessions") == (i < 2 ? 2 : 1));
    // A dry run with that many hours says the same.
    const auto hours = std::to_string(from[i]);
    const auto chosen = run_on(app, {"--dry-run", "--json", "--hours", hours}).json();
    CHECK(by_age[i].at("freed_bytes") == chosen.at("freed_bytes"));
  }
  CHECK(by_age[3].at("to_hours").is_null());
  CHECK(report.at("undated").at("sessions") == 0);
}

TEST_CASE("a dry run lists what stays, with its size and why", "[tool][audit]") {
  App app;
  const auto young = app.add_session(1);
  const auto kept = app.add_session(48);
  const auto outside = app.add_session(48);
  app.execute("UPDATE sessions SET images_dir = '/elsewhere' WHERE id = '" + outside + "'");
  const auto undated = app.add_session(48);
  app.execute("UPDATE sessions SET created_at = NULL WHERE id = '" + undated + "'");
  const auto old_one = app.add_session(48);
  const auto ran = run_on(app, {"--dry-run", "--json", "--keep", kept});
  std::map<std::string, std::string> why;
  std::uint64_t bytes = 0;
  const auto report = ran.json();
  for (const auto& session : report.at("kept_sessions")) {
    why[session.at("id")] = session.at("why");
    bytes += session.at("allocated_bytes").get<std::uint64_t>();
    CHECK((session.at("id") == outside || session.at("files") == 3));
    CHECK(session.at("age_seconds").is_null() == (session.at("id") == undated));
  }
  CHECK(why == std::map<std::string, std::string>{{young, "young"},
                                                  {kept, "kept_by_name"},
                                                  {outside, "left_whole"},
                                                  {undated, "undated"}});
  CHECK(bytes > 0);
  CHECK(bytes < report.at("kept").at("allocated_bytes"));

  const auto text = run_on(app, {"--dry-run", "--verbose", "--keep", kept});
  CHECK_THAT(text.out, ContainsSubstring("Sessions that would stay\n"));
  CHECK_THAT(text.out, ContainsSubstring("to keep (--keep)\n"));
  CHECK_THAT(text.out, ContainsSubstring("no date\n"));
  // A pass has no audit.
  CHECK_FALSE(run_on(app, {"--json", "--keep", kept}).json().contains("by_age"));
  CHECK(app.is_gone(old_one));
}

TEST_CASE("a dry run tells how large the database is, and of what is free of it and of the disk",
          "[tool][audit][sqlite]") {
  App app;
  app.add_session(1);
  const auto bytes = app.number(
      "SELECT (SELECT page_count FROM pragma_page_count) * page_size "
      "FROM pragma_page_size");
  const auto report = run_on(app, {"--dry-run", "--json"}).json();
  CHECK(report.at("database_bytes") == bytes);
  CHECK(report.at("database_free_bytes") == 0);
  struct statvfs status {};
  REQUIRE(::statvfs(app.uploads().c_str(), &status) == 0);
  CHECK(report.at("disk").at("bytes") == status.f_blocks * status.f_frsize);
}

TEST_CASE("bars are drawn with what the locale has", "[tool][audit]") {
  App app;
  app.add_session(48);
  const auto bars = [&](const std::string& locale) {
    return run_on(app, {"--dry-run"}, {.environment = {{"LC_ALL", locale}}}).out;
  };
  CHECK_THAT(bars("C"), ContainsSubstring("####"));
  CHECK_THAT(bars("C.UTF-8"), ContainsSubstring("\u2588\u2588"));
}
