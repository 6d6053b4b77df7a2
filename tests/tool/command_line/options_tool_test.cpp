// How the executable takes its options: wrong usage, the three layers, where it looks by itself.
#include <fmt/format.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

namespace {

fs::path write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

/// Status 2 and one line, and nothing was opened: all that a pass would open answers 3.
void check_refused(const Words& arguments, const Variables& environment,
                   const std::vector<std::string>& parts) {
  App app;
  app.add_session(48);
  app.add_directory("left-behind");
  const auto before = app.fingerprint();
  CAPTURE(arguments, environment);
  const auto refused = [&](const Ran& ran) {
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(is_one_error(ran, parts));
  };
  refused(run_on(app, arguments, {.environment = environment}));
  CHECK(changes_since(before, app) == none);

  write(app.database(), "no database");
  write(app.root() / "backend" / ".env", "DATABASE_URL=mysql://db");
  fs::remove_all(app.uploads());
  refused(run_on(app, arguments, {.environment = environment}));

  Words nowhere{"--app-dir", app.scratch("nowhere").string()};
  nowhere.insert(nowhere.end(), arguments.begin(), arguments.end());
  refused(run_tool(nowhere, {.environment = environment}));
  CHECK_FALSE(fs::exists(app.scratch("nowhere")));
}

}  // namespace

TEST_CASE("wrong usage is status 2, one line that names it, and opens nothing", "[tool][usage]") {
  check_refused({"--hours", "x"}, {}, {"--hours", "'x'"});
  check_refused({"--hours=-1"}, {}, {"--hours"});
  check_refused({"--hours", "nan"}, {}, {"--hours"});
  check_refused({"--hours", "inf"}, {}, {"--hours"});
  check_refused({"--hours"}, {}, {"--hours"});
  check_refused({"--hours", "1", "--hours", "2"}, {}, {"--hours"});
  check_refused({"--dryrun"}, {}, {"--dryrun", "--dry-run"});
  check_refused({"48"}, {}, {"48"});
  check_refused({"--max-delete", "-1"}, {}, {"-1"});
  check_refused({"--max-delete=1.5"}, {}, {"--max-delete"});
  check_refused({"--jobs", "0"}, {}, {"--jobs"});
  check_refused({"--lock-wait", "soon"}, {}, {"--lock-wait"});
  check_refused({"--color", "red"}, {}, {"--color"});
  check_refused({"--quiet", "--verbose"}, {}, {"--quiet", "--verbose"});
  check_refused({"--session="}, {}, {"--session"});
  check_refused({"--json", "--hours", "x"}, {}, {"--hours"});
  check_refused({"--metrics", "--dry-run"}, {}, {"--metrics"});
}

TEST_CASE("what people write who know other tools is answered with what to write",
          "[tool][usage]") {
  check_refused({"-hours", "24"}, {}, {"unknown option -hours", "did you mean --hours?"});
  check_refused({"-dry-run"}, {}, {"unknown option -dry-run", "did you mean --dry-run?"});
  check_refused({"-h24"}, {}, {"-h24", "--hours 24", "-h is for help"});
  check_refused({"-nh24"}, {}, {"-2"});
  check_refused({"--hours", "24h"}, {}, {"'24h'", "(in hours: 24)"});
  check_refused({"--hours", "1d"}, {}, {"'1d'", "(in hours: 24)"});
  check_refused({"--hours", "1.5 days"}, {}, {"(in hours: 36)"});
  check_refused({"--hours", "90min"}, {}, {"(in hours: 1.5)"});
  check_refused({"--orphan-grace", "1h"}, {}, {"'1h'", "(in minutes: 60)"});
  check_refused({"--orphan-grace", "2d"}, {}, {"(in minutes: 2880)"});
  check_refused({"--lock-wait", "5m"}, {}, {"'5m'", "(in seconds: 300)"});
  check_refused({"--older-than", "24"}, {}, {"--older-than", "write --hours N"});
  check_refused({"--days", "7"}, {}, {"--days", "--hours N, 24 for each day"});
  check_refused({"24"}, {}, {"'24'", "did you mean --hours 24?"});
  const auto id = new_uuid();
  check_refused({id}, {}, {id, "did you mean --session"});
  check_refused({"--metrics", "-"}, {}, {"--metrics", "writes a file"});
}

TEST_CASE("letters of flags stand together, and the last one may have a value", "[tool][usage]") {
  App app;
  const auto old_one = app.add_session(48);
  CHECK(run_on(app, {"-nv"}).status == 0);
  CHECK(run_on(app, {"-nj2"}).status == 0);
  CHECK(run_tool({"-nh"}).out.starts_with("Deletes expired"));
  CHECK(app.is_whole(old_one));
  CHECK(run_on(app, {"-vj2"}).status == 0);
  CHECK(app.is_gone(old_one));
}

TEST_CASE("without --app-dir it is the working directory, by its name", "[tool][usage]") {
  App app;
  app.add_session(48);
  const auto moved = app.scratch("elsewhere");
  fs::create_directory(moved);
  const auto lost = run_tool({}, {.directory = moved});
  CHECK(lost.status == 3);
  CHECK(is_one_error(lost, {moved.string() + "/uploads", "--app-dir"}));
  const auto there = run_tool({"--json", "--dry-run"}, {.directory = app.root()});
  CHECK(there.json().at("database") == app.database().string());
  CHECK(there.json().at("uploads") == app.uploads().string());
}

TEST_CASE("a variable that is not known is wrong usage: a mistyped one must not delete",
          "[tool][usage]") {
  check_refused({}, {{"CALIB_CLEANUP_DRYRUN", "1"}},
                {"CALIB_CLEANUP_DRYRUN", "CALIB_CLEANUP_DRY_RUN"});
  check_refused({}, {{"CALIB_CLEANUP_HOUR", "48"}}, {"CALIB_CLEANUP_HOUR"});
  check_refused({"--dry-run"}, {{"CALIB_CLEANUP_XYZ", ""}}, {"CALIB_CLEANUP_XYZ"});
  check_refused({}, {{"CALIB_CLEANUP_DRY_RUN", "maybe"}}, {"CALIB_CLEANUP_DRY_RUN"});
  check_refused({}, {{"CALIB_CLEANUP_DRY_RUN", ""}}, {"CALIB_CLEANUP_DRY_RUN"});
  check_refused({}, {{"CALIB_CLEANUP_SESSION", "x"}}, {"CALIB_CLEANUP_SESSION"});
  check_refused({}, {{"CALIB_CLEANUP_CONFIG", "x"}}, {"CALIB_CLEANUP_CONFIG"});
  // Right or wrong, it counts also where a stronger layer decides.
  check_refused({"--hours", "24"}, {{"CALIB_CLEANUP_HOUR", "24"}}, {"CALIB_CLEANUP_HOUR"});
}

TEST_CASE("a configuration file that is wrong in any line is wrong usage", "[tool][usage]") {
  const TempDir folder;
  const auto file = folder / "config.toml";
  for (const auto* text : {"dryrun = true\n", "hours = 48\nhour = 1\n", "hours = \"48\"\n",
                           "hours = \n", "session = \"x\"\n", "dry-run = 1\n"}) {
    write(file, text);
    check_refused({"--config", file.string()}, {}, {file.string()});
  }
  check_refused({"--config", (folder / "missing").string()}, {}, {(folder / "missing").string()});
}

TEST_CASE("the command line beats the environment, which beats the file", "[tool][layers]") {
  App app;
  const TempDir folder;
  const auto file = write(folder / "config.toml", "hours = 1000\ndry-run = true\n");
  const auto ancient = app.add_session(5000);
  const auto older = app.add_session(500);
  const auto old_one = app.add_session(50);
  const auto young = app.add_session(5);
  const auto wanted = [&](const Words& arguments, const Variables& environment) {
    Words all{"--config", file.string(), "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto ran = run_on(app, all, {.environment = environment});
    CHECK(ran.status == 0);
    return ran.json();
  };
  const auto before = app.fingerprint();
  const auto by_file = wanted({}, {});
  CHECK(by_file.at("hours") == 1000.0);
  CHECK(by_file.at("dry_run") == true);
  CHECK(by_file.at("deleted_sessions") == 1);
  CHECK(wanted({}, {{"CALIB_CLEANUP_HOURS", "100"}}).at("deleted_sessions") == 2);
  CHECK(wanted({"--hours", "10"}, {{"CALIB_CLEANUP_HOURS", "100"}}).at("deleted_sessions") == 3);
  CHECK(changes_since(before, app) == none);

  const auto real = wanted({}, {{"CALIB_CLEANUP_DRY_RUN", "0"}});
  CHECK(real.at("dry_run") == false);
  CHECK(app.session_ids() == std::set{older, old_one, young});
  CHECK(app.is_gone(ancient));
}

TEST_CASE("the environment alone is enough", "[tool][layers][sqlite]") {
  App app;
  const auto old_one = app.add_session(3);
  const auto moved = app.root() / "data.db";
  const auto images = app.root() / "pictures";
  fs::rename(app.database(), moved);
  fs::rename(app.uploads(), images);
  const Ran ran = run_tool({}, {.environment = {{"CALIB_CLEANUP_DATABASE", moved.string()},
                                                {"CALIB_CLEANUP_UPLOADS", images.string()},
                                                {"CALIB_CLEANUP_HOURS", "2"},
                                                {"CALIB_CLEANUP_JOBS", "1"},
                                                {"CALIB_CLEANUP_JSON", "yes"}}});
  CHECK(ran.status == 0);
  CHECK(ran.json().at("deleted_sessions") == 1);
  CHECK(ran.json().at("database") == moved.string());
  CHECK(ran.json().at("uploads") == images.string());
  CHECK_FALSE(fs::exists(images / old_one));
}

TEST_CASE("without options it works on the app in the working directory", "[tool][places]") {
  App app;
  const auto old_one = app.add_session(48);
  CHECK(run_tool({}, {.directory = app.root()}).status == 0);
  CHECK(app.is_gone(old_one));
}

TEST_CASE("relative sqlite URLs start at --app-dir, plain paths at the working directory",
          "[tool][places][sqlite]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto in_backend = app.root() / "backend";
  const auto database = [&](const Words& arguments, const Variables& environment) {
    Words all{"--app-dir", app.root().string(), "--dry-run", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto ran = run_tool(all, {.environment = environment, .directory = in_backend});
    CHECK(ran.status == 0);
    return ran.json().at("deleted_sessions");
  };
  CHECK(database({"--database", "calibration.db"}, {}) == 1);
  CHECK(database({"--database", "sqlite:///backend/calibration.db"}, {}) == 1);
  CHECK(database({}, {{"DATABASE_URL", "sqlite:///backend/calibration.db"}}) == 1);
  CHECK(database({}, {{"DATABASE_URL", "sqlite:///" + app.database().string()}}) == 1);
  CHECK(database({}, {{"DATABASE_URL", ""}}) == 1);
}

TEST_CASE("a DATABASE_URL that cannot be served is status 3, never the default database",
          "[tool][places]") {
  App app;
  app.add_session(48);
  app.add_directory("left-behind");
  const auto* const url =
      GENERATE("postgresql://app:s3cret@db/calib", "mysql://app:s3cret@db/calib", "sqlite://",
               "sqlite:///backend/other.db", "app:s3cret@db");
  const bool from_file = GENERATE(false, true);
  Variables environment;
  if (from_file) {
    write(app.root() / "backend" / ".env", fmt::format("DATABASE_URL={}\n", url));
  } else {
    environment.emplace("DATABASE_URL", url);
  }
  const auto before = app.fingerprint();
  CAPTURE(url, from_file);
  const auto ran = run_on(app, {}, {.environment = environment});
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(diagnostics_of(ran).errors.size() == 1);
  CHECK(diagnostics_of(ran).strays.empty());
  CHECK_THAT(ran.err, !Catch::Matchers::ContainsSubstring("s3cret"));
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("help and version are answered on stdout, and open nothing", "[tool][usage]") {
  const auto* const name = GENERATE("--version", "-V");
  const auto version = run_tool({name, "--app-dir", "/nonexistent"});
  CHECK(version.status == 0);
  CHECK(version.err.empty());
  CHECK(lines_of(version.out).size() == 1);
  CHECK_THAT(version.out, Catch::Matchers::Matches("calib-cleanup [0-9]+\\.[0-9]+\\.[0-9]+\n"));

  const auto* const help_name = GENERATE("--help", "-h");
  const auto help =
      run_tool({help_name, "--hours", "x"}, {.environment = {{"CALIB_CLEANUP_DRYRUN", "1"}}});
  CHECK(help.status == 0);
  CHECK(help.err.empty());
  for (const auto* option :
       {"--hours",      "--orphans-only", "--session",  "--keep",     "--yes",
        "--dry-run",    "--app-dir",      "--database", "--uploads",  "--orphan-grace",
        "--max-delete", "--lock-wait",    "--jobs",     "--vacuum",   "--json",
        "--metrics",    "--quiet",        "--verbose",  "--progress", "--color",
        "--config",     "--version",      "--help"}) {
    CHECK_THAT(help.out, Catch::Matchers::ContainsSubstring(option));
  }
}
