// What a database on a server may have that would lead a pass astray: it is refused before anything
// goes, or leaves whole whom it concerns.
#include <fmt/format.h>

#include "backlog.hpp"
#include "catch.hpp"
#include "changes.hpp"
#include "diagnostics.hpp"

using namespace calib::test;

namespace {

void check_refused(const Backlog& app, const std::vector<std::string>& parts) {
  const auto before = app.fingerprint();
  for (const auto& words : {std::vector<std::string>{"--dry-run"}, {}}) {
    const auto ran = run_pass(app, words);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, parts));
  }
  CHECK(changes_since(before, app) == none);
}

}  // namespace

TEST_CASE("of two tables that could be the app's sessions only the URL says which is meant",
          "[schema][roles]") {
  const Backlog app;
  const auto& live = app.live().front();
  const auto make = [&](const std::string& schema) {
    app.execute(fmt::format(
        "CREATE SCHEMA {0}; CREATE TABLE {0}.sessions (id varchar, images_dir varchar, created_at "
        "timestamp); INSERT INTO {0}.sessions VALUES ('{1}', 'uploads/{1}', '{2}')",
        schema, live, hours_ago(48)));
  };
  // The server looks for a schema of the role's own name first.
  const std::string before_the_apps = "tester";
  const auto set_path = [&](const std::string& path) {
    app.execute(
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET search_path "
        "= " +
        path + "'; END $$");
  };
  SECTION("before the app's") { make(before_the_apps); }
  SECTION("elsewhere, where they would be with another role") { make("other"); }
  SECTION("on a path that is set") {
    make("other");
    set_path("other, public");
  }
  SECTION("elsewhere, where the path that is set leaves the app's out") {
    make("other");
    set_path("other");
    app.execute(
        "CREATE TABLE other.calibration_images (id integer, session_id varchar REFERENCES "
        "public.sessions)");
  }
  SECTION("elsewhere, off the path that is set") {
    make("other");
    set_path("public");
  }
  SECTION("without images, which may be somewhere else") {
    make("other");
    app.execute("ALTER TABLE other.sessions DROP images_dir");
  }
  SECTION("a view") {
    make("other");
    app.execute("CREATE SCHEMA third; CREATE VIEW third.sessions AS TABLE other.sessions");
    app.execute("ALTER TABLE other.sessions RENAME TO mine");
  }
  check_refused(app, {app.database_shown(), "options=-csearch_path%3D"});
  CHECK(app.is_whole(live));
}

TEST_CASE(
    "a second table sessions does not matter where the URL says which is meant, or without "
    "dates",
    "[schema][roles]") {
  const Backlog app;
  const auto& live = app.live().front();
  app.execute(
      fmt::format("CREATE SCHEMA tester; CREATE TABLE tester.sessions (id varchar, images_dir "
                  "varchar, created_at timestamp); INSERT INTO tester.sessions VALUES ('{0}', "
                  "'uploads/{0}', '{1}')",
                  live, hours_ago(48)));
  std::vector<std::string> arguments;
  SECTION("the URL") {
    arguments = {"--database", app.database_option() + "&options=-csearch_path%3Dpublic"};
  }
  SECTION("no dates") {
    app.execute("ALTER SCHEMA tester RENAME TO other; ALTER TABLE other.sessions DROP created_at");
  }
  const auto ran = run_pass(app, arguments);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.is_whole(live));
  for (const auto& id : app.due()) CHECK(app.is_gone(id));
}
