// Whoever is asked for by name is gone at the end, or the status is 1: also where others change the
// session meanwhile, and where a damaged index hides it.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <signal.h>
#include <sqlite3.h>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

/// Something that goes before the sessions do, so that a pass can be stopped there.
constexpr auto before_the_sessions = "unlinkat/image_:1:stop";
void add_leftover(const App& app) { app.add_directory(".calib-cleanup." + new_uuid(), 1); }

/// The index by which sessions are found by their ids knows nothing of this one any more.
void hide_from_index(const App& app, const std::string& id) {
  SQLite::Database file(app.database().string(), SQLite::OPEN_READWRITE);
  sqlite3_db_config(file.getHandle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
  file.exec(fmt::format(
      "CREATE TABLE decoy (id VARCHAR NOT NULL PRIMARY KEY); INSERT INTO decoy (rowid, id) SELECT "
      "rowid, id FROM sessions WHERE id <> {}; PRAGMA writable_schema=ON; UPDATE sqlite_schema SET "
      "rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_decoy_1') "
      "WHERE name = 'sqlite_autoindex_sessions_1'; DELETE FROM sqlite_schema WHERE tbl_name = "
      "'decoy'",
      sql_text(id)));
}

/// The same of all rows of images, by an index that SQLite takes to be the best way to them.
void hide_images_from_index(const App& app) {
  SQLite::Database file(app.database().string(), SQLite::OPEN_READWRITE);
  sqlite3_db_config(file.getHandle(), SQLITE_DBCONFIG_DEFENSIVE, 0, nullptr);
  file.exec(
      "CREATE INDEX by_session ON calibration_images (session_id); CREATE TABLE decoy "
      "(session_id); "
      "CREATE INDEX by_decoy ON decoy (session_id); ANALYZE; UPDATE sqlite_stat1 SET stat = "
      "'1000000 1' WHERE idx = 'by_session'; PRAGMA writable_schema=ON; UPDATE sqlite_schema SET "
      "rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'by_decoy') WHERE name = "
      "'by_session'; DELETE FROM sqlite_schema WHERE tbl_name = 'decoy'");
}

bool row_and_images_stand(const App& app, const std::string& id) {
  return app.number("SELECT count(*) FROM sessions NOT INDEXED WHERE id = " + sql_text(id)) == 1 &&
         fs::exists(app.uploads() / id / "image_002.png");
}

}  // namespace

TEST_CASE("a session that is asked for by name and changes meanwhile is planned again",
          "[tool][race][named]") {
  const Backlog app(GENERATE(from_range(journals())));
  const auto& id = app.live().front();
  add_leftover(app);
  Running running(pass_arguments(app, {"--session", id}), at(before_the_sessions));
  REQUIRE(running.wait_until_stopped());
  SECTION("its time") {
    app.execute(
        fmt::format("UPDATE sessions SET created_at = '{}' WHERE id = '{}'", hours_ago(9), id));
  }
  SECTION("its directory") {
    fs::rename(app.uploads() / id, app.uploads() / "renamed");
    app.execute(
        fmt::format("UPDATE sessions SET images_dir = 'uploads/renamed' WHERE id = '{}'", id));
  }
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 1 old session"));
  CHECK(app.is_gone(id));
  CHECK_FALSE(fs::exists(app.uploads() / "renamed"));
  CHECK(app.is_whole(app.live().back()));
  for (const auto& due : app.due()) CHECK(app.is_whole(due));
}

TEST_CASE("of a session that is planned again it is said why it stays", "[tool][race][named]") {
  const Backlog app;
  const auto& id = app.live().front();
  add_leftover(app);
  Running running(pass_arguments(app, {"--session", id}), at(before_the_sessions));
  REQUIRE(running.wait_until_stopped());
  app.execute(fmt::format("UPDATE sessions SET images_dir = '/elsewhere' WHERE id = '{}'", id));
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"/elsewhere", fmt::format("session {} is left whole", id)}));
  CHECK(app.has_session(id));
  CHECK(fs::exists(app.uploads() / id / "image_000.png"));
}

TEST_CASE("a session that goes by itself meanwhile is no failure", "[tool][race][named]") {
  const Backlog app;
  const auto& id = app.live().front();
  add_leftover(app);
  Running running(pass_arguments(app, {"--session", id, "--session", app.due().front()}),
                  at(before_the_sessions));
  REQUIRE(running.wait_until_stopped());
  app.execute(
      fmt::format("DELETE FROM calibration_images WHERE session_id = '{0}'; DELETE FROM "
                  "calibration_results WHERE session_id = '{0}'; DELETE FROM sessions "
                  "WHERE id = '{0}'",
                  id));
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_gone(app.due().front()));
}

TEST_CASE("a session that changes each time is left, and that is no success",
          "[tool][race][named][sqlite]") {
  const Backlog app;
  const auto& id = app.live().front();
  const auto& other = app.live().back();
  Running running(pass_arguments(app, {"--session", id, "--session", other}),
                  at("lock/calibration.db:*:stop"));
  int changes = 0;
  while (running.wait_until_stopped()) {
    // Whenever the database is free.
    SQLite::Database database(app.database().string(), SQLite::OPEN_READWRITE);
    const auto sql = fmt::format("UPDATE sessions SET created_at = '{}' WHERE id = '{}'",
                                 hours_ago(++changes), id);
    const int result = database.tryExec(sql);
    CHECK((result == SQLITE_OK || result == SQLITE_BUSY));
    running.signal(SIGCONT);
  }
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"session " + id, "changed each time"}));
  CHECK(app.is_whole(id));
  CHECK(app.is_gone(other));
}

TEST_CASE("whom a damaged index hides stays, and that is no success", "[tool][named][sqlite]") {
  const Backlog app;
  const bool by_name = GENERATE(true, false);
  const auto& id = app.due().front();
  const auto& other = app.due().back();
  hide_from_index(app, id);
  REQUIRE_FALSE(app.has_session(id));
  std::vector<std::string> arguments;
  if (by_name) arguments = {"--session", id, "--session", other};

  const auto ran = run_pass(app, arguments);

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"session " + id, "an index", "REINDEX"}));
  CHECK(row_and_images_stand(app, id));
  CHECK_FALSE(app.has_session(other));

  app.execute("REINDEX");
  const auto again = run_pass(app, by_name ? std::vector<std::string>{"--session", id} : none);
  CHECK(again.status == 0);
  CHECK(app.is_gone(id));
}

TEST_CASE("records that a damaged index hides keep their session", "[tool][named][sqlite]") {
  const Backlog app;
  const auto& id = app.due().front();
  const auto rows = app.number("SELECT count(*) FROM calibration_images NOT INDEXED");
  hide_images_from_index(app);
  const auto ran = run_pass(app, {"--session", id});
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran,
                     {app.database().string(), "an index of the database is damaged", "REINDEX"}));
  CHECK(row_and_images_stand(app, id));
  CHECK(app.number("SELECT count(*) FROM calibration_images NOT INDEXED") == rows);
  app.execute("REINDEX");
  CHECK(run_pass(app, {"--session", id}).status == 0);
  CHECK(app.is_gone(id));
}
