// What a database on a server may have that would lead a pass astray: it is refused before anything
// goes, or leaves whole whom it concerns.
#include <fmt/format.h>

#include <fstream>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

void check_refused(const Backlog& app, const std::vector<std::string>& parts,
                   const RunOptions& options = {}) {
  const auto before = app.fingerprint();
  for (const auto& words : {std::vector<std::string>{"--dry-run"}, {}}) {
    const auto ran = run_on(app, words, options);
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
  RunOptions options;
  SECTION("where the environment says which") {
    make("other");
    options.environment["PGOPTIONS"] = "-c search_path=other";
  }
  SECTION("where a service file says which") {
    make("other");
    const auto services = app.scratch("services");
    std::ofstream(services) << "[calib]\noptions=-c search_path=other\n";
    options.environment = {{"PGSERVICE", "calib"}, {"PGSERVICEFILE", services.string()}};
  }
  check_refused(app, {app.database_shown(), "options=-csearch_path%3D"}, options);
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

TEST_CASE("a foreign key that only a partition has stops a pass before it begins", "[schema]") {
  const Backlog app;
  std::string table = "notes_1";
  SECTION("from a partition") {
    app.execute(
        "CREATE TABLE notes (n integer, session_id varchar) PARTITION BY RANGE (n); CREATE TABLE "
        "notes_1 PARTITION OF notes FOR VALUES FROM (0) TO (10); ALTER TABLE notes_1 ADD "
        "CONSTRAINT of_one FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE");
  }
  SECTION("to a partition of sessions") {
    table = "extra";
    app.execute(
        "ALTER TABLE sessions RENAME TO early; CREATE TABLE sessions (LIKE early INCLUDING ALL) "
        "PARTITION BY RANGE (id); ALTER TABLE sessions ATTACH PARTITION early DEFAULT");
    for (const auto* child :
         {"calibration_images", "calibration_results", "calibration_parameters",
          "stereo_calibration_results", "live_capture_sessions", "calibration_quality_metrics"}) {
      app.execute(fmt::format("ALTER TABLE {0} DROP CONSTRAINT {0}_session_id_fkey", child));
    }
    app.execute(
        "CREATE TABLE extra (session_id varchar CONSTRAINT of_one REFERENCES early ON DELETE "
        "CASCADE); INSERT INTO extra SELECT id FROM sessions");
  }
  SECTION("to a partition of what hangs on sessions") {
    table = "extra";
    app.execute(
        "CREATE TABLE notes (n integer PRIMARY KEY, session_id varchar REFERENCES sessions ON "
        "DELETE CASCADE) PARTITION BY RANGE (n); CREATE TABLE notes_1 PARTITION OF notes FOR "
        "VALUES FROM (0) TO (10); CREATE TABLE extra (note integer CONSTRAINT of_one REFERENCES "
        "notes_1 ON DELETE CASCADE)");
  }
  check_refused(app, {"of_one", table});
}

TEST_CASE("sessions that are one partition of more of them are not taken for all", "[schema]") {
  const Backlog app;
  app.execute(
      "CREATE TABLE every_session (LIKE sessions INCLUDING ALL) PARTITION BY RANGE (id); ALTER "
      "TABLE every_session ATTACH PARTITION sessions DEFAULT");
  check_refused(app, {"partition", "every_session"});
}

TEST_CASE("keys of partitioned tables as such are obeyed", "[schema]") {
  const Backlog app;
  app.execute(
      "CREATE TABLE notes (n integer PRIMARY KEY, session_id varchar REFERENCES sessions ON "
      "DELETE CASCADE) PARTITION BY RANGE (n); CREATE TABLE notes_1 PARTITION OF notes FOR "
      "VALUES FROM (0) TO (10); CREATE TABLE extra (note integer REFERENCES notes ON DELETE "
      "CASCADE); INSERT INTO notes SELECT row_number() OVER (), id FROM sessions; INSERT INTO "
      "extra SELECT n FROM notes; CREATE TABLE other (n integer PRIMARY KEY) PARTITION BY RANGE "
      "(n); CREATE TABLE other_1 PARTITION OF other FOR VALUES FROM (0) TO (10); CREATE TABLE "
      "nobodys (n integer REFERENCES other_1)");
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.number("SELECT count(*) FROM notes") == 2);
  CHECK(app.number("SELECT count(*) FROM extra JOIN notes ON n = note") == 2);
  CHECK(app.number("SELECT count(*) FROM extra") == 2);
}

TEST_CASE("a session whose rows a trigger keeps is left whole and named, and hinders nobody",
          "[schema]") {
  const Backlog app;
  const auto& kept = app.due().front();
  app.execute(
      "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$");
  SECTION("of its own") {
    app.execute(
        fmt::format("CREATE TRIGGER keep BEFORE DELETE ON calibration_images FOR EACH ROW WHEN "
                    "(old.session_id = '{}') EXECUTE FUNCTION keep()",
                    kept));
  }
  SECTION("of a partition of its own") {
    app.execute(fmt::format(
        "CREATE TABLE notes (n integer, owner varchar REFERENCES sessions ON DELETE CASCADE) "
        "PARTITION BY RANGE (n); CREATE TABLE notes_1 PARTITION OF notes DEFAULT; INSERT INTO "
        "notes SELECT 1, id FROM sessions; CREATE TRIGGER keep BEFORE DELETE ON notes_1 FOR EACH "
        "ROW WHEN (old.owner = '{}') EXECUTE FUNCTION keep()",
        kept));
  }
  SECTION("further down") {
    app.execute(fmt::format(
        "CREATE TABLE notes (n integer PRIMARY KEY, owner varchar REFERENCES sessions ON "
        "DELETE CASCADE); CREATE TABLE extra (note integer REFERENCES notes ON DELETE CASCADE); "
        "INSERT INTO notes SELECT CASE WHEN id = '{}' THEN 0 ELSE row_number() OVER () END, id "
        "FROM sessions; INSERT INTO extra SELECT n FROM notes; CREATE TRIGGER keep BEFORE DELETE "
        "ON extra FOR EACH ROW WHEN (old.note = 0) EXECUTE FUNCTION keep()",
        kept));
  }
  SECTION("the row of the session") {
    app.execute(
        fmt::format("CREATE TRIGGER keep BEFORE DELETE ON sessions FOR EACH ROW WHEN (old.id = "
                    "'{}') EXECUTE FUNCTION keep()",
                    kept));
  }
  SECTION("the row of the session, which it puts back") {
    const auto when = GENERATE(as<std::string>{}, "TRIGGER back AFTER DELETE ON sessions",
                               "CONSTRAINT TRIGGER back AFTER DELETE ON sessions DEFERRABLE "
                               "INITIALLY DEFERRED");
    app.execute(fmt::format(
        "CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO sessions "
        "SELECT old.*; RETURN NULL; END $$; CREATE {} FOR EACH ROW WHEN (old.id = '{}') EXECUTE "
        "FUNCTION back()",
        when, kept));
  }
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto errors = diagnostics_of(ran).errors;
  CHECK(errors.size() == 1);
  CHECK(lines_with(errors, kept) == 1);
  CHECK(lines_with(errors, "left whole") == 1);
  CHECK(app.is_whole(kept));
  CHECK(app.is_gone(app.due().back()));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}
