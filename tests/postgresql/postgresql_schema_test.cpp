// What a database on a server may have that SQLite's have not: types and collations, schemas and
// search paths, rules, partitions, and what changes while a pass runs.
#include <fmt/format.h>
#include <signal.h>

#include "postgresql/postgresql_roles.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

TEST_CASE("keys of a fixed length, or of a domain, are compared in full", "[schema]") {
  const Backlog app;
  // A foreign key that is made anew looks at all rows, and these dangle.
  app.execute(
      "CREATE TABLE aside AS SELECT * FROM calibration_images; TRUNCATE calibration_images, "
      "stereo_calibration_results");
  app.execute("CREATE DOMAIN key_text AS varchar CHECK (length(value) <= 80)");
  app.execute(fmt::format("ALTER TABLE calibration_images ALTER session_id TYPE {}",
                          GENERATE(as<std::string>{}, "character(80)", "key_text")));
  if (GENERATE(false, true)) app.execute("ALTER TABLE sessions ALTER id TYPE character(36)");
  app.execute("INSERT INTO calibration_images SELECT * FROM aside; DROP TABLE aside");
  const auto settled = app.settled();
  CHECK(settled.find(app.due().front()) == std::string::npos);
  CHECK(settled.find(app.leaked_key()) == std::string::npos);
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(difference(state_of(app), settled) == none);
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}

TEST_CASE("whatever else a deletion sets off happens, also where it came while the pass ran",
          "[schema]") {
  const Backlog app;
  const auto images = 3 * app.due().size();
  app.execute(
      "CREATE TABLE log (text varchar); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN INSERT INTO public.log VALUES (old.session_id); RETURN old; END $$");
  const std::string trigger =
      "CREATE TRIGGER note AFTER DELETE ON calibration_images FOR EACH ROW EXECUTE FUNCTION "
      "note();";
  Running running(pass_arguments(app), {.interpose = "renameat2:1:stop", .seconds = 120});
  REQUIRE(running.wait_until_stopped());
  const auto noted = [&] { return app.number("SELECT count(*) FROM log"); };
  SECTION("a trigger") {
    app.execute(trigger);
    CHECK(running.finish().status == 0);
    CHECK(noted() >= static_cast<std::int64_t>(images));
  }
  SECTION("but not a trigger for what is replicated") {
    app.execute(trigger + "ALTER TABLE calibration_images ENABLE REPLICA TRIGGER note");
    CHECK(running.finish().status == 0);
    CHECK(noted() == 0);
  }
  SECTION("or is left for a pass that knows of it, as foreign keys are") {
    app.execute(GENERATE(
        as<std::string>{},
        "CREATE TABLE extra (owner varchar); INSERT INTO extra SELECT id FROM sessions; ALTER "
        "TABLE extra ADD FOREIGN KEY (owner) REFERENCES sessions (id) ON DELETE CASCADE",
        "CREATE TABLE extra (image integer); INSERT INTO extra SELECT id FROM calibration_images "
        "WHERE session_id IN (SELECT id FROM sessions); ALTER TABLE extra ADD FOREIGN KEY (image) "
        "REFERENCES calibration_images (id) ON DELETE CASCADE"));
    const auto ran = running.finish();
    CHECK(ran.status == 1);  // the orphan has gone
    CHECK(is_one_error(ran, {"run again"}));
    for (const auto& id : app.due()) CHECK(app.is_whole(id));
    CHECK(run_pass(app).status == 0);
  }
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
  CHECK(app.is_gone(app.due().back()));
}

TEST_CASE("nothing that somebody puts in the way of the server's own names is ever called",
          "[schema][roles]") {
  const Backlog app;
  // With it the server looks at the foreign keys itself.
  app.execute("CREATE TABLE extra (session_id varchar REFERENCES sessions ON DELETE SET NULL)");
  const auto settled = app.settled();
  app.execute(
      "CREATE SCHEMA trap; CREATE FUNCTION trap.is_equal(varchar, varchar) RETURNS boolean "
      "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$; CREATE OPERATOR trap.= "
      "(LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = trap.is_equal)");
  for (const auto* type : {"text", "oid", "name", "bigint"}) {
    app.execute(fmt::format(
        "CREATE FUNCTION trap.is_equal({0}, {0}) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'called'; END $$; CREATE OPERATOR trap.= (LEFTARG = {0}, RIGHTARG = {0}, "
        "FUNCTION = trap.is_equal)",
        type));
  }
  for (const auto* call : {"count(varchar)", "octet_length(text)", "count(text)"}) {
    app.execute(fmt::format(
        "CREATE FUNCTION trap.{} RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "'called'; END $$",
        call));
  }
  const auto path = GENERATE(as<std::string>{}, "trap%2Cpublic", "trap%2Cpublic%2Cpg_catalog");
  const auto url = app.database_option() + "&options=-csearch_path%3D" + path;
  const auto dry = run_pass(app, {"--dry-run", "--database", url});
  INFO(dry.err);
  CHECK(dry.status == 0);
  const auto ran = run_pass(app, {"--vacuum", "--database", url});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(app), settled) == none);
}

TEST_CASE("keys that may be equal though they differ are none that the app has made", "[schema]") {
  const Backlog app;
  app.execute("TRUNCATE stereo_calibration_results; DELETE FROM calibration_images WHERE " +
              fmt::format("session_id = '{}'", app.leaked_key()));
  app.execute(
      "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
  SECTION("a key that ignores case") {
    app.execute("ALTER TABLE calibration_images ALTER session_id TYPE varchar COLLATE loose");
  }
  SECTION("an id that ignores case") {
    app.execute("ALTER TABLE sessions ALTER id TYPE varchar COLLATE loose");
  }
  SECTION("a key to another column, whose name differs in case alone") {
    app.execute(
        "ALTER TABLE sessions ADD \"ID\" varchar UNIQUE; UPDATE sessions SET \"ID\" = "
        "upper(id); CREATE TABLE other (session_id varchar REFERENCES sessions (\"ID\")); INSERT "
        "INTO other SELECT \"ID\" FROM sessions");
  }
  const auto before = app.fingerprint();
  for (const auto& words : {std::vector<std::string>{"--dry-run"}, {}}) {
    const auto ran = run_pass(app, words);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {app.database_shown(), "not the calibration app's"}));
  }
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a column whose name differs from that of another in case alone confuses nobody",
          "[schema]") {
  const Backlog app;
  app.execute(
      "CREATE TABLE wide (\"ID\" integer, id varchar PRIMARY KEY, images_dir varchar NOT NULL, "
      "created_at timestamp); INSERT INTO wide SELECT 1, * FROM sessions");
  for (const auto* table :
       {"calibration_images", "calibration_results", "calibration_parameters",
        "stereo_calibration_results", "live_capture_sessions", "calibration_quality_metrics"}) {
    app.execute(fmt::format(
        "ALTER TABLE {0} DROP CONSTRAINT {0}_session_id_fkey; ALTER TABLE {0} ADD FOREIGN KEY "
        "(session_id) REFERENCES wide (id) ON DELETE CASCADE NOT VALID",
        table));
  }
  app.execute("DROP TABLE sessions; ALTER TABLE wide RENAME TO sessions");
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  for (const auto& id : app.due()) CHECK(app.is_gone(id));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}

TEST_CASE("a rule that makes something else of a deletion stops a pass before it begins",
          "[schema]") {
  const Backlog app;
  app.execute(
      "CREATE RULE keep AS ON DELETE TO sessions DO INSTEAD UPDATE sessions SET created_at = NULL "
      "WHERE id = old.id RETURNING old.*");
  const auto before = app.fingerprint();
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {"sessions", "keep"}));
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a database that is set to replicate has its foreign keys looked at all the same",
          "[schema][roles]") {
  const Backlog app;
  app.execute(
      "CREATE TABLE extra (session_id varchar REFERENCES sessions ON DELETE SET NULL); INSERT INTO "
      "extra SELECT id FROM sessions");
  const auto settled = app.settled();
  app.execute(
      "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET "
      "session_replication_role = replica'; END $$");
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(difference(state_of(app), settled) == none);
  CHECK(app.number("SELECT count(*) FROM extra WHERE session_id IS NULL") == 2);
}

TEST_CASE("tables whose names read alike with a dot between are told apart", "[schema]") {
  const Backlog app;
  const auto make = [&](const std::string& schema, const std::string& table, const char* action) {
    app.execute(
        fmt::format("CREATE SCHEMA {0}; CREATE TABLE {0}.{1} (session_id varchar "
                    "REFERENCES sessions ON DELETE {2}); INSERT INTO {0}.{1} SELECT '{3}'",
                    schema, table, action, app.due().front()));
  };
  make("\"a.b\"", "c", "CASCADE");
  make("a", "\"b.c\"", "SET NULL");
  const auto ran = run_pass(app, {"--json"});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.is_gone(app.due().front()));
  CHECK(app.number("SELECT count(*) FROM \"a.b\".\"c\"") == 0);
  CHECK(app.number("SELECT count(*) FROM \"a\".\"b.c\" WHERE session_id IS NULL") == 1);
  const auto document = ran.json();
  for (const auto& session : document.at("sessions")) {
    if (session.at("id") == app.due().front()) CHECK(session.at("records").at("\"a.b\".c") == 1);
  }
}

TEST_CASE("rows that no foreign key places stay on a server, too, and are told of", "[schema]") {
  const Backlog app;
  const auto& due = app.due();
  struct Case {
    std::string sql;
    std::string why;
  };
  const auto c = GENERATE(values<Case>({
      {"CREATE TABLE notes AS SELECT id AS session_id FROM sessions",
       "notes.session_id has no foreign key to sessions"},
      {"CREATE TABLE notes (n integer, session_id text) PARTITION BY RANGE (n); CREATE TABLE "
       "notes_1 PARTITION OF notes DEFAULT; INSERT INTO notes SELECT 1, id FROM sessions",
       "notes.session_id has no foreign key to sessions"},
      // An heir has the columns of the app's table, and not its keys.
      {"CREATE TABLE notes () INHERITS (calibration_images); INSERT INTO notes (id, session_id, "
       "image_path) SELECT -row_number() OVER (), id, '' FROM sessions",
       "notes.session_id has no foreign key to sessions"},
      {"CREATE SCHEMA early; CREATE TABLE early.sessions AS SELECT id FROM sessions; ALTER TABLE "
       "early.sessions ADD PRIMARY KEY (id); CREATE TABLE notes (session_id varchar REFERENCES "
       "early.sessions ON DELETE CASCADE); INSERT INTO notes SELECT id FROM sessions",
       "notes.session_id refers to early.sessions, not to sessions"},
      // What goes along with an image is no matter of this column.
      {"CREATE TABLE notes (image integer REFERENCES calibration_images ON DELETE CASCADE, "
       "session_id text); INSERT INTO notes SELECT NULL, id FROM sessions; INSERT INTO notes "
       "SELECT "
       "i.id, s.id FROM sessions s JOIN calibration_images i ON i.session_id = s.id WHERE "
       "s.created_at < now() - interval '1 day'",
       "notes.session_id has no foreign key to sessions"},
  }));
  CAPTURE(c.sql);
  app.execute(c.sql);
  for (const auto& words : {std::vector<std::string>{"--dry-run"}, {}}) {
    const auto ran = run_pass(app, words);
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {app.database_shown(), c.why,
                             "its rows stay: 2 rows of 2 sessions "
                             "that go (",
                             due.front(), due.back()}));
  }
  for (const auto& id : due) CHECK(!app.has_session(id));
  CHECK(app.number("SELECT count(*) FROM notes") == 4);
  const auto again = run_pass(app);
  INFO(again.err);
  CHECK(again.status == 0);
  // What stands among the sessions that it refers to is no concern of these.
  if (c.why.find("refers to") != std::string::npos) {
    CHECK(again.err.empty());
  } else {
    CHECK(is_one_warning(again, {c.why, "2 rows of sessions that are gone"}));
  }
}

TEST_CASE("a keyless column may have another type than the ids of sessions", "[schema]") {
  const Backlog app;
  app.execute(
      "TRUNCATE stereo_calibration_results; DROP TABLE stereo_calibration_results; DO $$ DECLARE k "
      "record; BEGIN FOR k IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE "
      "contype = 'f' LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.t, k.conname); END "
      "LOOP; END $$; ALTER TABLE sessions ALTER id TYPE uuid USING id::uuid");
  app.execute(
      fmt::format("CREATE TABLE notes (session_id text); INSERT INTO notes VALUES ('{}'), "
                  "('stereo_{}_{}'), ('{}'), ('17'), (NULL)",
                  app.due().front(), app.live().front(), app.leaked_key(), app.leaked_key()));
  const auto ran = run_pass(app, {"--dry-run"});
  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto errors = diagnostics_of(ran).errors;
  CHECK(lines_with(errors,
                   "notes.session_id has no foreign key to sessions; its rows stay: 1 row "
                   "of 1 session that goes (" +
                       app.due().front() + "), 2 rows of sessions that are gone") == 1);
  CHECK(lines_with(errors, "calibration_images.session_id has no foreign key to sessions") == 1);
}

TEST_CASE("a foreign key that is not validated takes its rows along", "[schema]") {
  const Backlog app;
  app.execute(
      "CREATE TABLE notes AS SELECT id AS session_id FROM sessions; ALTER TABLE notes ADD FOREIGN "
      "KEY (session_id) REFERENCES sessions ON DELETE CASCADE NOT VALID");
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.number("SELECT count(*) FROM notes") == 2);
}

TEST_CASE("tables of other schemas are other apps', whatever their columns are called",
          "[schema]") {
  const Backlog app;
  app.execute(
      "CREATE SCHEMA shop; CREATE TABLE shop.basket AS SELECT id AS session_id FROM sessions");
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.number("SELECT count(*) FROM shop.basket") == 4);
}

TEST_CASE("a keyless table that a role may not read whole is told of, and stops nobody",
          "[schema][roles]") {
  const Backlog app;
  const auto role = make_role(app, "SELECT");
  app.execute("CREATE TABLE notes AS SELECT id AS session_id FROM sessions");
  std::string why = "this role may not read it";
  if (GENERATE(false, true)) {
    app.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY; GRANT SELECT ON notes TO " + role);
    why = "a policy hides rows of it from this role";
  }
  const auto ran = run_pass(app, {"--dry-run", "--database", url_for(app, role)});
  drop_role(app, role);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(is_one_warning(ran, {"notes.session_id has no foreign key to sessions", why}));
}
