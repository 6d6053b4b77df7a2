// Rows that no foreign key places, end to end: they stay, and somebody is told, once for each
// table.
#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

const std::vector<std::string> only_look{"--dry-run"};

/// As pandas.to_sql and CREATE TABLE AS make one.
void add_keyless_table(const App& app) {
  app.execute("CREATE TABLE notes AS SELECT id, session_id FROM calibration_images");
}

}  // namespace

TEST_CASE("rows of a table without a key stay, and are named as left behind", "[tool][unplaced]") {
  App app(GENERATE(AppSchema::june_2025, AppSchema::october_2025, AppSchema::current));
  const auto due = app.add_session(48, 4);
  const auto young = app.add_session(2, 3);
  add_keyless_table(app);
  for (const auto& arguments : {only_look, none}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(
        is_one_error(ran, {app.database_shown(), "notes.session_id has no foreign key to sessions",
                           "its rows stay", "4 rows of 1 session that goes (" + due + ")"}));
  }
  CHECK(!app.has_session(due));
  CHECK(!app.entries().contains(due));
  CHECK(app.number("SELECT count(*) FROM calibration_images") == 3);
  CHECK(app.number("SELECT count(*) FROM notes") == 7);

  // From here on it is an old story, and no failure of this pass.
  for (const auto& arguments : {only_look, none, std::vector<std::string>{"--orphans-only"}}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(is_one_warning(ran, {"notes.session_id", "4 rows of sessions that are gone"}));
  }
  const auto document = run_on(app, {"--dry-run", "--json"}).json();
  CHECK(document["warnings"].size() == 1);
  // Who deletes a session by name wants to know of that one.
  const auto named = run_on(app, {"--session", young, "--dry-run"});
  CHECK(named.status == 1);
  CHECK(is_one_error(named, {"3 rows of 1 session that goes (" + young + ")"}));
  app.execute("DELETE FROM notes WHERE session_id = " + sql_text(young));
  const auto alone = run_on(app, {"--session", young});
  CHECK(alone.status == 0);
  CHECK(alone.err.empty());
  CHECK(app.number("SELECT count(*) FROM notes") == 4);
}

TEST_CASE("rows that go along by another key are not left behind", "[tool][unplaced]") {
  App app;
  const auto due = app.add_session(48, 4);
  app.add_session(2, 3);
  const std::string key = GENERATE(
      "image_id INTEGER REFERENCES calibration_images ON DELETE CASCADE, session_id VARCHAR",
      "image_id INTEGER, session_id VARCHAR, FOREIGN KEY (session_id, image_id) REFERENCES "
      "calibration_images (session_id, id) ON DELETE CASCADE");
  CAPTURE(key);
  app.execute(
      "CREATE UNIQUE INDEX one ON calibration_images (session_id, id);"
      "CREATE TABLE corners (" +
      key +
      ");"
      "INSERT INTO corners SELECT id, session_id FROM calibration_images;");
  const bool is_loose = GENERATE(false, true);
  // A NULL in a key means that it refers to nothing.
  if (is_loose) app.execute("INSERT INTO corners VALUES (NULL, " + sql_text(due) + ")");
  for (const auto& arguments : {only_look, none}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == (is_loose ? 1 : 0));
    if (is_loose) {
      CHECK(
          is_one_error(ran, {"corners.session_id", "1 row of 1 session that goes (" + due + ")"}));
    } else {
      CHECK(ran.err.empty());
    }
  }
  CHECK(app.number("SELECT count(*) FROM corners") == (is_loose ? 4 : 3));
}

TEST_CASE("rows whose other key refers to nothing that is there are left behind, and told of",
          "[tool][unplaced][sqlite]") {
  App app;
  const auto due = app.add_session(48, 4);
  app.add_session(2, 3);
  const std::string key =
      GENERATE("other INTEGER REFERENCES calibration_images ON DELETE CASCADE",
               "other VARCHAR REFERENCES sessions ON DELETE CASCADE",
               "other INTEGER, FOREIGN KEY (session_id, other) REFERENCES calibration_images "
               "(session_id, id) ON DELETE CASCADE");
  CAPTURE(key);
  // The app deletes images without a look at the keys.
  app.execute(
      "CREATE UNIQUE INDEX one ON calibration_images (session_id, id);"
      "CREATE TABLE corners (session_id VARCHAR, " +
      key +
      ");"
      "INSERT INTO corners VALUES (" +
      sql_text(due) + ", 999)");
  for (const auto& arguments : {only_look, none}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {"corners.session_id", "1 row of 1 session that goes (" + due + ")"}));
  }
  CHECK(!app.has_session(due));
  CHECK(!app.entries().contains(due));
  CHECK(app.number("SELECT count(*) FROM corners") == 1);
}

TEST_CASE("a table without a key whose sessions all stand says nothing", "[tool][unplaced]") {
  App app;
  app.add_session(2);
  add_keyless_table(app);
  app.execute(
      "CREATE TABLE log (session_id VARCHAR, sessions VARCHAR); INSERT INTO log VALUES "
      "('no-uuid', 'x'), (NULL, 'x'), ('', 'x')");
  for (const auto& arguments : {only_look, none}) {
    const auto ran = run_on(app, arguments);
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
  }
}

TEST_CASE("rows of a session that a row holds are not left behind by it", "[tool][unplaced]") {
  App app;
  const auto held = app.add_session(48);
  add_keyless_table(app);
  app.execute(
      "CREATE TABLE reports (about VARCHAR REFERENCES sessions); INSERT INTO reports SELECT "
      "id FROM sessions");
  for (const auto& arguments : {only_look, none}) {
    const auto ran = run_on(app, arguments);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {held, "reports.about"}));
  }
}

TEST_CASE("where sessions was renamed and made anew, its rows are told of on every pass",
          "[tool][unplaced][sqlite]") {
  App app;
  app.execute(
      "ALTER TABLE sessions RENAME TO sessions_old; CREATE TABLE sessions (id VARCHAR NOT NULL "
      "PRIMARY KEY, images_dir VARCHAR NOT NULL, created_at DATETIME);");
  const bool is_gone = GENERATE(true, false);
  const std::string why = is_gone ? "refers to no table that is there (sessions_old)"
                                  : "refers to sessions_old, not to sessions";
  if (is_gone) app.execute("DROP TABLE sessions_old");
  const auto due = app.add_session(48);
  const auto young = app.add_session(2);
  const auto all = app.rows();
  const auto in_images = "calibration_images.session_id " + why + "; its rows stay";
  const auto in_results = "calibration_results.session_id " + why + "; its rows stay";
  for (const auto& arguments : {only_look, none}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 1);
    const auto said = diagnostics_of(ran);
    CHECK(said.warnings.empty());
    CHECK(said.errors.size() == 2);
    CHECK(lines_with(said.errors, in_images) == 1);
    CHECK(lines_with(said.errors, in_results) == 1);
  }
  CHECK(app.session_ids() == std::set<std::string>{young});
  CHECK(!app.entries().contains(due));
  CHECK(app.number("SELECT count(*) FROM calibration_images") == 6);
  const auto ran = run_on(app, {"--orphans-only"});
  INFO(ran.err);
  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.empty());
  CHECK(lines_with(said.warnings, in_images) == 1);
  CHECK(lines_with(said.warnings,
                   "3 rows of sessions that are gone, 3 rows of sessions that stay") >= 1);
}

TEST_CASE("rows of a session that stays never go by a key that is not unique",
          "[tool][unplaced][sqlite]") {
  App app;
  const auto due = app.add_session(48);
  const auto young = app.add_session(2);
  // Every upload has an image of each of these names.
  app.execute(
      "CREATE TABLE corners (path VARCHAR REFERENCES calibration_images (image_path) ON DELETE "
      "CASCADE, n INTEGER); UPDATE calibration_images SET image_path = substr(image_path, -7);"
      "UPDATE calibration_images SET image_path = 'mine' WHERE id = 1;"
      "INSERT INTO corners SELECT image_path, id FROM calibration_images");
  for (const auto& arguments : {only_look, none}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {"corners.path refers to calibration_images (image_path), which is not "
                             "unique; its rows stay: 1 row of 1 session that goes (" +
                             due + "), 4 rows that nobody can place"}));
  }
  CHECK(app.is_gone(due));
  CHECK(app.is_whole(young));
  CHECK(app.number("SELECT count(*) FROM corners") == 6);
}
