// A trigger that refuses one session: it is left whole and named, and all others go, whatever the
// trigger says and whenever it says so.
#include <fmt/format.h>

#include "postgresql/postgresql_roles.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

/// Makes a function `hold()` for triggers, with these statements before its RETURN.
void make_hold(const App& app, const std::string& statements) {
  app.execute(
      fmt::format("CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {}; RETURN "
                  "old; END $$",
                  statements));
}

std::string raise(const std::string& state) {
  return fmt::format("RAISE EXCEPTION 'legal hold' USING ERRCODE = '{}'", state);
}

void hold_one(const App& app, const std::string& id, const std::string& when = "BEFORE DELETE") {
  const bool deferred = when.starts_with("COMMIT");
  app.execute(
      fmt::format("CREATE {} TRIGGER hold {} ON sessions {} FOR EACH ROW WHEN (old.id = "
                  "'{}') EXECUTE FUNCTION hold()",
                  deferred ? "CONSTRAINT" : "", deferred ? "AFTER DELETE" : when,
                  deferred ? "DEFERRABLE INITIALLY DEFERRED" : "", id));
}

/// That there are triggers is warned of.
bool is_one_error_beside(const Ran& ran, const std::vector<std::string>& parts) {
  const auto errors = diagnostics_of(ran).errors;
  return errors.size() == 1 && holds_all(errors.front(), parts);
}

void check_only_this_stays(const Backlog& app, const std::string& id, const Ran& ran,
                           const std::string& why) {
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error_beside(ran, {id, "left whole", why}));
  CHECK(app.is_whole(id));
  for (const auto& other : app.due()) CHECK((other == id || app.is_gone(other)));
  for (const auto& live : app.live()) CHECK(app.is_whole(live));
  CHECK_FALSE(fs::exists(app.staged(id)));
  CHECK(app.rows_of(app.leaked_key()) == 0);
}

}  // namespace

TEST_CASE("a trigger may refuse one session with any state", "[schema][refusal]") {
  const Backlog app;
  const auto& held = app.due().front();
  const auto [when, state] = GENERATE(table<std::string, std::string>({
      {"BEFORE DELETE", "LH001"},
      {"BEFORE DELETE", "P0001"},
      {"BEFORE DELETE", "P0002"},
      {"BEFORE DELETE", "22012"},
      {"BEFORE DELETE", "23514"},
      {"BEFORE DELETE", "25006"},
      {"BEFORE DELETE", "28000"},
      {"BEFORE DELETE", "42501"},
      {"BEFORE DELETE", "42P01"},
      {"BEFORE DELETE", "57014"},
      {"BEFORE DELETE", "0A000"},
      {"BEFORE DELETE", "HV000"},
      {"AFTER DELETE", "LH001"},
      {"AFTER DELETE", "P0001"},
      {"AFTER DELETE", "42501"},
      {"COMMIT", "LH001"},
      {"COMMIT", "P0001"},
      {"COMMIT", "42501"},
  }));
  CAPTURE(state, when);
  make_hold(app, raise(state));
  hold_one(app, held, when);
  check_only_this_stays(app, held, run_pass(app), "legal hold");
}

TEST_CASE("whatever a trigger's own statements fail by is about its session", "[schema][refusal]") {
  const Backlog app;
  const auto& held = app.due().back();
  const auto [statement, why] = GENERATE(table<std::string, std::string>(
      {{"PERFORM 1 / (length(old.id) - length(old.id))", "division by zero"},
       {"PERFORM not_there(old.id)", "not_there"},
       {"PERFORM n FROM not_there", "not_there"},
       {"PERFORM old.not_there", "not_there"},
       {"PERFORM old.id::integer", "integer"},
       {"EXECUTE 'nonsense'", "nonsense"}}));
  CAPTURE(statement);
  make_hold(app, statement);
  hold_one(app, held);
  const auto ran = run_pass(app);
  check_only_this_stays(app, held, ran, why);
  // Whose words these are.
  CHECK(ran.err.find("hold()") != std::string::npos);
}

TEST_CASE("a right that only a trigger wants is no reason for anybody else to stay",
          "[schema][refusal][roles]") {
  const Backlog app;
  const auto& held = app.due().front();
  const auto role = make_role(app, "SELECT, UPDATE, DELETE");
  app.execute("CREATE TABLE audit (id varchar)");
  make_hold(app, "INSERT INTO public.audit VALUES (old.id)");
  hold_one(app, held);
  const auto ran = run_pass(app, {"--database", url_for(app, role)});
  app.execute("DROP TABLE audit");
  check_only_this_stays(app, held, ran, "permission denied for table audit");
  drop_role(app, role);
}

TEST_CASE("a trigger may refuse the rows of a session, or a statement as a whole",
          "[schema][refusal]") {
  const Backlog app;
  const auto& held = app.due().front();
  std::string trigger;
  SECTION("a row") {
    make_hold(app, raise("LH001"));
    trigger = fmt::format(
        "BEFORE DELETE ON calibration_images FOR EACH ROW WHEN (old.session_id = "
        "'{}')",
        held);
  }
  SECTION("a statement that takes the session") {
    make_hold(app, fmt::format("IF EXISTS (SELECT 1 FROM gone WHERE id = '{}') THEN {}; END IF",
                               held, raise("LH001")));
    trigger = "AFTER DELETE ON sessions REFERENCING OLD TABLE AS gone FOR EACH STATEMENT";
  }
  SECTION("a row that the server changes for the session") {
    app.execute(
        fmt::format("CREATE TABLE extra (owner varchar REFERENCES sessions ON DELETE SET "
                    "NULL); INSERT INTO extra SELECT id FROM sessions"));
    make_hold(app, raise("LH001"));
    trigger = fmt::format("BEFORE UPDATE ON extra FOR EACH ROW WHEN (old.owner = '{}')", held);
  }
  app.execute("CREATE TRIGGER hold " + trigger + " EXECUTE FUNCTION hold()");
  const auto ran = run_pass(app);
  app.execute("DROP TABLE IF EXISTS extra");
  check_only_this_stays(app, held, ran, "legal hold");
}

TEST_CASE("what is refused by the COMMIT itself is about a session, too", "[schema][refusal]") {
  const Backlog app;
  const auto& held = app.due().front();
  // What is put off once more, by what was put off, is looked at by nothing but the commit.
  app.execute(
      "CREATE TABLE gone (id varchar); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
      "$$ BEGIN SET CONSTRAINTS hold DEFERRED; INSERT INTO gone VALUES (old.id); RETURN NULL; END "
      "$$; CREATE CONSTRAINT TRIGGER note AFTER DELETE ON sessions DEFERRABLE INITIALLY DEFERRED "
      "FOR EACH ROW EXECUTE FUNCTION note(); CREATE FUNCTION hold() RETURNS trigger LANGUAGE "
      "plpgsql AS $$ BEGIN IF new.id = '" +
      held + "' THEN " + raise("LH001") +
      "; END IF; RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON gone "
      "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold()");
  const auto ran = run_pass(app);
  app.execute("DROP TABLE gone");
  check_only_this_stays(app, held, ran, "legal hold");
}

TEST_CASE("what the server itself fails by ends the pass, and is nobody's in particular",
          "[schema][refusal]") {
  const Backlog app;
  const auto state = GENERATE(as<std::string>{}, "08006", "53000", "57P03", "58030", "XX000");
  CAPTURE(state);
  app.execute("DELETE FROM calibration_images WHERE session_id = '" + app.leaked_key() + "'");
  fs::remove_all(app.uploads() / "orphan");
  make_hold(app, raise(state));
  hold_one(app, app.due().front());
  const auto ran = run_pass(app);
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error_beside(ran, {app.database_shown(), "legal hold", state}));
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
}

TEST_CASE("a table that is another one by now is not taken for a session that is refused",
          "[schema][refusal]") {
  const Backlog app;
  make_hold(app, raise("LH001"));
  hold_one(app, app.due().front());
  // The first slice is refused; the next one's statement names a column that is gone.
  Running running(pass_arguments(app), at("send/SKIP:2:stop"));
  REQUIRE(running.wait_until_stopped());
  app.execute("ALTER TABLE calibration_images RENAME session_id TO session");
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 1);  // orphans went before
  CHECK(is_one_error_beside(ran, {app.database_shown(), "session_id", "42703"}));
  app.execute("ALTER TABLE calibration_images RENAME session TO session_id");
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
}
