// What role and database may have set for whoever connects: a pass has its own settings where they
// matter.
#include <fmt/format.h>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

void set_for_all(const App& app, const std::string& setting) {
  app.execute("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET " + setting +
              "'; END $$");
}

}  // namespace

TEST_CASE("keys that travel as text are exact, whatever is set about how they read", "[schema]") {
  const Backlog app;
  app.execute(fmt::format(
      "CREATE TABLE parts (k double precision, d date, i interval, b bytea, session_id varchar "
      "REFERENCES sessions ON DELETE CASCADE, PRIMARY KEY (k, d, i, b)); INSERT INTO parts VALUES "
      "(1.1, '2025-02-01', '-1 day 2 hours', 'a', '{}'), (1, '2025-02-01', '-1 day 2 hours', 'a', "
      "'{}'); CREATE TABLE bits (k double precision, d date, i interval, b bytea, FOREIGN KEY (k, "
      "d, i, b) REFERENCES parts ON DELETE CASCADE); INSERT INTO bits SELECT k, d, i, b FROM parts",
      app.due().front(), app.live().front()));
  set_for_all(app, "extra_float_digits = -15");
  set_for_all(app, "datestyle = ''SQL, DMY''");
  set_for_all(app, "intervalstyle = ''sql_standard''");
  set_for_all(app, "bytea_output = ''escape''");
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_gone(app.due().front()));
  CHECK(app.text("SELECT string_agg(k::text, ' ') FROM parts") == "1");
  CHECK(app.text("SELECT string_agg(k::text, ' ') FROM bits") == "1");
}

TEST_CASE("a commit waits for the server's disk, and for another server only where that is set",
          "[schema]") {
  const Backlog app;
  const auto [set, used] = GENERATE(table<std::string, std::string>(
      {{"off", "local"}, {"local", "local"}, {"on", "on"}, {"remote_apply", "remote_apply"}}));
  CAPTURE(set);
  app.execute(
      "CREATE TABLE seen (setting varchar); CREATE FUNCTION note() RETURNS trigger LANGUAGE "
      "plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); "
      "RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER note AFTER DELETE ON calibration_results "
      "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()");
  set_for_all(app, "synchronous_commit = " + set);
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.text("SELECT string_agg(DISTINCT setting, ' ') FROM seen") == used);
}

TEST_CASE("the server ends a pass that has not said anything for an hour", "[schema]") {
  const Backlog app;
  app.execute(
      "CREATE TABLE seen (setting varchar); CREATE FUNCTION note() RETURNS trigger LANGUAGE "
      "plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES "
      "(current_setting('idle_session_timeout')); RETURN NULL; END $$; CREATE TRIGGER note AFTER "
      "DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION note()");
  set_for_all(app, "idle_session_timeout = ''50ms''");
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.text("SELECT string_agg(DISTINCT setting, ' ') FROM seen") == "1h");
}
