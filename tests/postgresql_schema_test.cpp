// What a database on a server may have that SQLite's have not: types and collations, schemas and
// search paths, rules, partitions, and what changes while a pass runs.
#include <fmt/format.h>
#include <signal.h>

#include "backlog.hpp"
#include "catch.hpp"
#include "changes.hpp"
#include "diagnostics.hpp"

using namespace calib::test;

namespace {

const std::vector<std::string> none;

}  // namespace

TEST_CASE("keys of a fixed length are compared in full", "[schema]") {
  const Backlog app;
  // A foreign key that is made anew looks at all rows, and these dangle.
  app.execute(
      "CREATE TABLE aside AS SELECT * FROM calibration_images; TRUNCATE calibration_images, "
      "stereo_calibration_results");
  app.execute("ALTER TABLE calibration_images ALTER session_id TYPE character(80)");
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
  SECTION("a foreign key that takes rows along") {
    app.execute(fmt::format(
        "CREATE TABLE extra (session_id varchar); INSERT INTO extra VALUES ('{}'); ALTER TABLE "
        "extra ADD FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE",
        app.due().front()));
    CHECK(running.finish().status == 0);
    CHECK(app.number("SELECT count(*) FROM extra") == 0);
  }
  SECTION("a foreign key of a row that hangs on one") {
    app.execute(
        "CREATE TABLE extra (image integer); INSERT INTO extra SELECT min(id) FROM "
        "calibration_images; ALTER TABLE extra ADD FOREIGN KEY (image) REFERENCES "
        "calibration_images (id)");
    CHECK(running.finish().status == 1);
    CHECK(app.is_whole(app.due().front()));
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
