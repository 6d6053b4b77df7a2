// --json: always one document, with the keys that the app's endpoint and its programs go by.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

namespace {

const std::string all_done = "Cleanup completed successfully";

bool is_count(const Json& value) { return value.is_number_unsigned(); }

bool is_table_of_counts(const Json& value) {
  if (!value.is_object()) return false;
  for (const auto& count : value) {
    if (!is_count(count)) return false;
  }
  return true;
}

bool is_count_or_null(const Json& value) { return is_count(value) || value.is_null(); }
bool is_text_or_null(const Json& value) { return value.is_string() || value.is_null(); }

/// The whole of stdout is one document with every key of the contract, of its type.
Json checked(const Ran& ran) {
  INFO(ran.out);
  // parse() takes nothing but white space behind the document.
  const auto json = Json::parse(ran.out);
  REQUIRE(json.is_object());
  CHECK(ran.out.back() == '\n');
  CHECK(json.at("message").is_string());
  CHECK(is_count(json.at("deleted_sessions")));
  CHECK(is_count(json.at("deleted_orphaned_directories")));
  CHECK(json.at("dry_run").is_boolean());
  CHECK((json.at("hours").is_number() || json.at("hours").is_null()));
  CHECK(is_text_or_null(json.at("cutoff")));
  CHECK(json.at("hours").is_null() == json.at("cutoff").is_null());
  CHECK(json.at("database").is_string());
  CHECK(json.at("uploads").is_string());
  REQUIRE(json.at("sessions").is_array());
  for (const auto& session : json.at("sessions")) {
    CHECK(session.at("id").is_string());
    CHECK(is_text_or_null(session.at("created_at")));
    CHECK(session.at("directory").is_string());
    for (const auto* key : {"files", "allocated_bytes", "apparent_bytes"}) {
      CHECK(is_count(session.at(key)));
    }
    CHECK(is_table_of_counts(session.at("records")));
  }
  CHECK(json.at("sessions").size() == json.at("deleted_sessions"));
  REQUIRE(json.at("orphans").is_array());
  CHECK(json.at("orphans").size() == json.at("deleted_orphaned_directories"));
  CHECK(is_table_of_counts(json.at("orphaned_records")));
  CHECK(is_count_or_null(json.at("kept").at("sessions")));
  CHECK(is_count_or_null(json.at("kept").at("directories")));
  CHECK(is_count_or_null(json.at("kept").at("allocated_bytes")));
  for (const auto* key : {"staged", "spared_orphans"}) {
    CAPTURE(key);
    if (json.at(key).is_null()) continue;
    CHECK(is_count(json.at(key).at("directories")));
    CHECK(is_count_or_null(json.at(key).at("allocated_bytes")));
  }
  CHECK(is_count(json.at("halved_stereo_results")));
  CHECK(is_count_or_null(json.at("database_free_bytes")));
  CHECK(is_count(json.at("freed_bytes")));
  CHECK(json.at("duration_seconds").is_number());
  CHECK(json.at("duration_seconds") >= 0);
  REQUIRE(json.at("warnings").is_array());
  for (const auto& warning : json.at("warnings")) CHECK(warning.is_string());
  REQUIRE(json.at("errors").is_array());
  for (const auto& error : json.at("errors")) {
    CHECK(error.at("path").is_string());
    CHECK(error.at("error").is_string());
  }
  const auto went_well = json.at("dry_run") ? "Dry run: nothing was changed" : all_done;
  CHECK((json.at("message") == went_well) == (ran.status == 0));
  CHECK(json.at("errors").empty() == (ran.status == 0));
  return json;
}

void check_nothing_done(const Json& json) {
  CHECK(json.at("deleted_sessions") == 0);
  CHECK(json.at("deleted_orphaned_directories") == 0);
  CHECK(json.at("orphaned_records").empty());
  CHECK(json.at("freed_bytes") == 0);
}

struct FullApp : App {
  FullApp() {
    old_one = add_session(48, 5);
    young = add_session(1);
    add_directory("left-behind");
    add_image_rows(new_uuid(), 6);
  }
  std::string old_one;
  std::string young;
};

}  // namespace

TEST_CASE("the document of a pass and of a dry run holds the contract's keys", "[tool][json]") {
  FullApp app;
  Words arguments{"--json"};
  // None of these may add to stdout, or take the document away.
  const auto* const extra =
      GENERATE("", "--quiet", "--verbose", "--dry-run", "--color=always", "--progress=always");
  if (*extra != '\0') arguments.emplace_back(extra);
  CAPTURE(extra);

  const auto ran = run_on(app, arguments);

  CHECK(ran.status == 0);
  CHECK_THAT(ran.err, !Catch::Matchers::ContainsSubstring("calib-cleanup:"));
  const auto json = checked(ran);
  CHECK(json.at("deleted_sessions") == 1);
  CHECK(json.at("deleted_orphaned_directories") == 1);
  CHECK(json.at("database") == app.database_shown());
  CHECK(json.at("uploads") == app.uploads().string());
  const auto& session = json.at("sessions").front();
  CHECK(session.at("id") == app.old_one);
  CHECK(session.at("directory") == app.old_one);
  CHECK(session.at("files") == 5);
  CHECK(json.at("orphaned_records") == Json{{"calibration_images", 6}});
  CHECK(json.at("kept").at("sessions") == 1);
  CHECK(json.at("kept").at("directories") == 1);
}

TEST_CASE("created_at is given as the database has it, or null", "[tool][json]") {
  App app(schemas_with_dates_as_text().front());
  const auto dated = new_uuid();
  const auto undated = new_uuid();
  const auto unreadable = new_uuid();
  app.add_session_row(dated, "'2025-10-14 10:44:04.320609'");
  app.add_session_row(undated, "NULL");
  app.add_session_row(unreadable, "'yesterday'");
  const auto ran =
      run_on(app, {"--json", "--session", dated, "--session", undated, "--session", unreadable});
  std::map<std::string, Json> created;
  const auto json = checked(ran);
  for (const auto& session : json.at("sessions")) {
    created[session.at("id")] = session.at("created_at");
  }
  CHECK(created == std::map<std::string, Json>{{dated, "2025-10-14 10:44:04.320609"},
                                               {undated, nullptr},
                                               {unreadable, "yesterday"}});
}

TEST_CASE("hours and cutoff are there where sessions go by age, else null", "[tool][json]") {
  FullApp app;
  const auto of = [&](const Words& more, const std::map<std::string, std::string>& environment) {
    Words all{"--json", "--dry-run"};
    all.insert(all.end(), more.begin(), more.end());
    return checked(run_on(app, all, {.environment = environment}));
  };
  CHECK(of({}, {}).at("hours") == 24.0);
  CHECK(of({"--hours", "1.5"}, {}).at("hours") == 1.5);
  CHECK(of({"--orphans-only", "--hours", "1.5"}, {}).at("hours").is_null());
  CHECK(of({"--session", app.young}, {}).at("hours").is_null());
  CHECK(of({"--session", app.young}, {{"CALIB_CLEANUP_HOURS", "1.5"}}).at("hours").is_null());

  auto earliest = hours_ago(1.5);
  const auto json = of({"--hours", "1.5"}, {});
  const auto latest = hours_ago(1.5);
  auto cutoff = json.at("cutoff").get<std::string>();
  REQUIRE_THAT(cutoff, Catch::Matchers::Matches("[-0-9]{10}T[:0-9]{8}\\.[0-9]{6}Z"));
  cutoff[10] = ' ';
  cutoff.pop_back();
  CHECK(earliest <= cutoff);
  CHECK(cutoff <= latest);
}

TEST_CASE("a pass that leaves something says what, in the document and on stderr", "[tool][json]") {
  FullApp app;
  const auto linked = new_uuid();
  app.add_session_row(linked, sql_text(hours_ago(48)));
  fs::create_directory_symlink(app.outside(), app.uploads() / linked);
  const auto ran = run_on(app, {"--json"});
  CHECK(ran.status == 1);
  const auto json = checked(ran);
  CHECK(json.at("deleted_sessions") == 1);
  REQUIRE(json.at("errors").size() == 1);
  CHECK(json.at("errors").front().at("path") == (app.uploads() / linked).string());
  CHECK(is_one_error(ran, {(app.uploads() / linked).string(), "symbolic link"}));
  CHECK_THAT(json.at("message").get<std::string>(), Catch::Matchers::ContainsSubstring(linked));
}

TEST_CASE("a pass that cannot run writes its document, too: status 3", "[tool][json]") {
  FullApp app;
  RunOptions options;
  SECTION("no database") { app.lose_database(); }
  if (!on_postgresql()) {
    SECTION("no database at all") { std::ofstream(app.database()) << std::string(5000, 'x'); }
  }
  SECTION("another app's") { app.execute("ALTER TABLE sessions RENAME COLUMN created_at TO at"); }
  SECTION("no uploads folder") { fs::remove_all(app.uploads()); }
  SECTION("a database of another kind") {
    options.environment["DATABASE_URL"] = "postgresql://app:s3cret@db/calib";
  }
  SECTION("a database of a kind that nobody knows") {
    options.environment["DATABASE_URL"] = "mysql://app:s3cret@db/calib";
  }
  const auto before = app.fingerprint();
  for (const bool dry : {false, true}) {
    Words arguments{"--json"};
    if (dry) arguments.emplace_back("--dry-run");
    const auto ran = run_on(app, arguments, options);
    CHECK(ran.status == 3);
    CHECK(diagnostics_of(ran).errors.size() == 1);
    CHECK(diagnostics_of(ran).strays.empty());
    CHECK_THAT(ran.out + ran.err, !Catch::Matchers::ContainsSubstring("s3cret"));
    CHECK(changes_since(before, app) == none);
    REQUIRE_FALSE(ran.out.empty());
    check_nothing_done(checked(ran));
  }
}

TEST_CASE("a pass that finds a lock writes its document, too: status 4", "[tool][json][locks]") {
  const FullApp app;
  const auto before = app.fingerprint();
  int folder = -1;
  std::unique_ptr<DatabaseUser> writer;
  SECTION("another pass") {
    folder = ::open(app.uploads().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(::flock(folder, LOCK_EX | LOCK_NB) == 0);
  }
  SECTION("the app writes") { writer = app.writer(); }
  SECTION("the app commits") { writer = app.sole_user(); }
  const auto ran = run_on(app, {"--json", "--lock-wait", "0.05"});
  CHECK(ran.status == 4);
  CHECK(is_one_error(ran, {"--lock-wait"}));
  check_nothing_done(checked(ran));
  writer.reset();
  CHECK(changes_since(before, app) == none);
  if (folder >= 0) ::close(folder);
}

TEST_CASE("wrong usage writes no document: nothing was opened that it could tell of",
          "[tool][json][usage]") {
  const auto ran = run_tool({"--json", "--hours", "x"});
  CHECK(ran.status == 2);
  CHECK(ran.out.empty());
}
