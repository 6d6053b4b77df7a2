// Orphans and leftovers go only from a folder that is proven to be this database's: neither a wrong
// --uploads nor a wrong database costs anyone a directory.
#include <fmt/format.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

const std::string leftover = ".calib-cleanup.11111111-1111-4111-8111-111111111111";
const std::string uuid_named = "22222222-2222-4222-8222-222222222222";

/// These are named in one error with what to do, and still stand; nothing else is complained of.
void check_left(const App& app, const Ran& ran, const std::vector<std::string>& names,
                const std::string& remedy) {
  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  CHECK(said.errors.size() == 1);
  CHECK(lines_with(said.errors, remedy) == 1);
  CHECK(lines_with(said.errors, app.uploads().string() + ": ") == 1);
  CHECK(lines_with(said.errors, fmt::format("{} director", names.size())) == 1);
  for (const auto& name : names) {
    CHECK(lines_with(said.errors, name) == 1);
    CHECK(fs::exists(app.uploads() / name / "image_001.png"));
  }
}

}  // namespace

TEST_CASE("nothing goes from a folder in which no session has its directory", "[tool][proven]") {
  const auto dry = GENERATE(false, true);
  App app;
  const auto young = app.add_session(2);
  SECTION("the directories are gone") { fs::remove_all(app.uploads() / young); }
  SECTION("a file has the name") {
    fs::remove_all(app.uploads() / young);
    std::ofstream(app.uploads() / young) << "a file";
  }
  SECTION("a link has the name") {
    fs::remove_all(app.uploads() / young);
    fs::create_directory_symlink(app.outside(), app.uploads() / young);
  }
  SECTION("the name is only claimed, by an images_dir that names another place") {
    app.execute("UPDATE sessions SET images_dir = '/elsewhere/' || id");
  }
  for (const auto& name : {std::string("pictures"), uuid_named, leftover}) app.add_directory(name);
  const auto before = app.fingerprint();

  auto arguments = std::vector<std::string>{"--database", app.database_option()};
  if (dry) arguments.emplace_back("--dry-run");
  const auto ran = run_on(app, arguments);

  check_left(app, ran, {"pictures", uuid_named, leftover}, "check --uploads and --database");
  CHECK(app.fingerprint() == before);
}

TEST_CASE("a wrong --uploads costs nobody a directory", "[tool][proven][threads]") {
  App app;
  const auto young = app.add_session(2);
  const auto home = app.scratch("home");
  for (const auto* name : {"Documents", "Pictures", "11111111-1111-4111-8111-111111111112"}) {
    fs::create_directories(home / name);
    std::ofstream(home / name / "file") << "dear";
  }
  const auto mode = GENERATE(
      values<std::vector<std::string>>({{}, {"--orphans-only"}, {"--hours", "0"}, {"--dry-run"}}));
  auto arguments = std::vector<std::string>{"--uploads", home.string()};
  arguments.insert(arguments.end(), mode.begin(), mode.end());

  const auto ran = run_on(app, arguments);

  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  CHECK(said.errors.size() == 1);
  CHECK(lines_with(said.errors, "check --uploads and --database") == 1);
  for (const auto* name : {"Documents", "Pictures", "11111111-1111-4111-8111-111111111112"}) {
    CHECK(fs::exists(home / name / "file"));
  }
  CHECK(fs::exists(app.uploads() / young / "image_002.png"));
}

TEST_CASE("the database of another folder, or a backup from long ago, costs nobody a directory",
          "[tool][proven]") {
  App app;
  const App other;
  App old;
  const auto in_backup = old.add_session(48);
  const auto young = app.add_session(2);
  app.add_directory(leftover);
  SECTION("another app's") {
    const auto ran = run_on(app, {"--database", old.database_option()});
    check_left(app, ran, {young, leftover}, "check --uploads and --database");
  }
  SECTION("restored") {
    app.its_database().become(old.its_database());
    const auto ran = run_on(app, {"--orphans-only"});
    check_left(app, ran, {young, leftover}, "check --uploads and --database");
    CHECK(app.has_session(in_backup));
  }
  // A database on a server is always named, and so proves what an empty one can.
  if (on_postgresql()) return;
  SECTION("restored, from before the first session") {
    app.its_database().become(other.its_database());
    const auto ran = run_on(app, {});
    check_left(app, ran, {young, leftover}, "name it with --database");
  }
}

TEST_CASE("one session with its directory in the folder proves it", "[tool][proven]") {
  App app;
  const auto id = app.add_session(2);
  SECTION("a young one") {}
  SECTION("one without a date") { app.execute("UPDATE sessions SET created_at = NULL"); }
  SECTION("one in the future") {
    app.execute("UPDATE sessions SET created_at = " + sql_text(hours_ago(-5)));
  }
  SECTION("an expired one, although it is about to go") {
    app.execute("UPDATE sessions SET created_at = " + sql_text(hours_ago(48)));
  }
  SECTION("one that an interrupted pass has staged") {
    fs::rename(app.uploads() / id, app.uploads() / (".calib-cleanup." + id));
  }
  SECTION("one whose directory has another name") {
    app.execute("UPDATE sessions SET images_dir = 'uploads/pictures'");
    fs::rename(app.uploads() / id, app.uploads() / "pictures");
  }
  for (int i = 0; i < 3; ++i) app.add_session_row(new_uuid(), sql_text(hours_ago(2)));
  for (const auto& name : {std::string("orphan"), uuid_named, leftover}) app.add_directory(name);

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 2 directories"));
  for (const auto& name : {std::string("orphan"), uuid_named, leftover}) {
    CHECK_FALSE(app.entries().contains(name));
  }
}

TEST_CASE("an empty database proves nothing unless it was named", "[tool][proven][sqlite]") {
  App app;
  for (const auto& name : {std::string("pictures"), uuid_named, leftover}) app.add_directory(name);
  RunOptions options;
  SECTION("the default in the folder of --app-dir") {}
  SECTION("DATABASE_URL is empty") { options.environment["DATABASE_URL"] = ""; }
  SECTION("a .env says nothing of it") {
    std::ofstream(app.root() / ".env") << "DATABASE_URL=\nOTHER=1\n";
  }
  const auto before = app.fingerprint();

  const auto dry = run_on(app, {"--dry-run"}, options);
  check_left(app, dry, {"pictures", uuid_named, leftover}, "name it with --database");
  const auto ran = run_on(app, {}, options);

  check_left(app, ran, {"pictures", uuid_named, leftover}, "name it with --database");
  CHECK(app.fingerprint() == before);
}

TEST_CASE("with an empty database that was named, only directories named by a UUID go",
          "[tool][proven]") {
  App app;
  const std::string upper = "ABCDEFAB-0000-1000-8000-00000000000A";
  const std::string almost = "22222222-2222-4222-8222-22222222222g";
  const std::string longer = uuid_named + "0";
  const std::string odd_leftover = ".calib-cleanup.pictures";
  for (const auto& name :
       {std::string("pictures"), uuid_named, upper, almost, longer, leftover, odd_leftover}) {
    app.add_directory(name);
  }
  std::vector<std::string> arguments;
  RunOptions options;
  const auto path = app.database_option();
  const auto url = app.database_url();
  SECTION("by --database") { arguments = {"--database", path}; }
  SECTION("by --database, as a URL") { arguments = {"--database", url}; }
  SECTION("by its environment variable") { options.environment["CALIB_CLEANUP_DATABASE"] = path; }
  SECTION("by the configuration file") {
    std::ofstream(app.scratch("config.toml")) << fmt::format("database = \"{}\"\n", path);
    arguments = {"--config", app.scratch("config.toml").string()};
  }
  SECTION("by DATABASE_URL") { options.environment["DATABASE_URL"] = url; }
  SECTION("by backend/.env") {
    std::ofstream(app.root() / "backend" / ".env") << "DATABASE_URL=" << url << '\n';
  }
  SECTION("by .env above the app's root") {
    fs::remove(app.root() / "backend" / ".env");
    std::ofstream(app.root().parent_path() / ".env") << "DATABASE_URL=" << url << '\n';
  }
  auto dry_arguments = arguments;
  dry_arguments.emplace_back("--dry-run");
  const auto before = app.fingerprint();
  const std::vector<std::string> left{"pictures", almost, longer, odd_leftover};

  check_left(app, run_on(app, dry_arguments, options), left, "only directories named by a UUID go");
  CHECK(app.fingerprint() == before);
  const auto ran = run_on(app, arguments, options);

  check_left(app, ran, left, "remove by hand");
  CHECK(has_line(ran.out, "Orphaned file cleanup incomplete: Deleted 2 directories"));
  CHECK(app.entries() == std::set<std::string>(left.begin(), left.end()));
}

TEST_CASE("an empty database that was named settles a folder of UUIDs without a word",
          "[tool][proven]") {
  App app;
  app.add_directory(uuid_named);
  app.add_directory(leftover);

  const auto ran = run_on(app, {"--database", app.database_option()});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.entries().empty());
}

TEST_CASE("expired sessions go from an unproven folder, too, with a warning; no directory does",
          "[tool][proven]") {
  App app;
  const auto due = app.add_session(48);
  const auto elsewhere = app.scratch("elsewhere");
  fs::create_directories(elsewhere / "pictures");

  const auto ran = run_on(app, {"--uploads", elsewhere.string()});

  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  CHECK(said.errors.size() == 1);
  CHECK(lines_with(said.warnings, elsewhere.string()) == 1);
  CHECK(fs::exists(elsewhere / "pictures"));
  CHECK(fs::exists(app.uploads() / due / "image_002.png"));
}

TEST_CASE("names in the folder print on one line, whatever bytes they hold", "[tool][proven]") {
  App app;
  app.add_directory("a\nb\x1b[2J\xff");

  const auto ran = run_on(app, {});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"a\\x0ab\\x1b[2J\\xff"}));
}

TEST_CASE("a million directories that are not proven make one line", "[tool][proven][threads]") {
  App app;
  for (int i = 0; i < 2000; ++i) app.add_directory(fmt::format("pictures-{:04}", i), 0);
  app.add_session_row("elsewhere", sql_text(hours_ago(2)));

  const auto ran = run_on(app, {});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.uploads().string(), "2000 directories", "pictures-0000",
                           "pictures-0009 and 1990 more", "remove them by hand"}));
  CHECK(app.entries().size() == 2000);
}

TEST_CASE("what a pass has proven holds for the next one, which is told so",
          "[tool][proven][linux]") {
  App app;
  app.add_session(48);
  app.add_directory("left-behind");
  const auto first = run_on(app, {"--json", "--orphan-grace", "1000"});
  REQUIRE(first.status == 0);
  REQUIRE(app.session_ids().empty());
  const auto proof = first.json().at("proof").get<std::string>();

  // Nothing proves it by now, and another proof is none.
  const auto unproven = run_on(app, {"--orphans-only", "--json"});
  CHECK(unproven.status == 1);
  CHECK(unproven.json().at("proof").is_null());
  CHECK(run_on(app, {"--orphans-only", "--proof", "0123456789abcdef"}).status == 1);
  App other;
  other.add_directory("left-behind");
  CHECK(run_on(other, {"--orphans-only", "--proof", proof}).status == 1);
  CHECK(app.entries() == std::set<std::string>{"left-behind"});
  CHECK(other.entries() == std::set<std::string>{"left-behind"});

  // Where there is a session, its directory has to prove it.
  const auto young = app.add_session(1);
  fs::remove_all(app.uploads() / young);
  CHECK(run_on(app, {"--orphans-only", "--proof", proof}).status == 1);
  CHECK(app.entries() == std::set<std::string>{"left-behind"});
  app.execute("DELETE FROM calibration_images");
  app.execute("DELETE FROM sessions");

  const auto second = run_on(app, {"--orphans-only", "--json", "--proof", proof});
  CHECK(second.status == 0);
  CHECK(second.json().at("proof").is_null());  // it does not renew itself
  CHECK(app.entries().empty());
}
