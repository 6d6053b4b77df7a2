// The app goes on while a pass runs: what it does between two steps of the pass must come to the
// same as if it had done it before or after.
#include <fmt/format.h>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

/// The plan is made, the database is free, and no session has been touched yet.
constexpr auto between_plan_and_transaction = "unlinkat/image_:1:stop";
/// All directories are aside, and nothing is committed.
const std::string before_the_commit = at_commit("stop");

/// A pass that stands at a point, and a backlog that can be changed meanwhile.
struct StoppedPass {
  explicit StoppedPass(const std::string& point, Journal journal = Journal::rollback)
      : app(journal), settled(app.settled()), running(pass_arguments(app), at(point)) {
    if (!running.wait_until_stopped()) throw std::runtime_error("it never came to " + point);
  }
  Backlog app;
  std::string settled;
  Running running;
};

}  // namespace

TEST_CASE("a session that is uploaded while a pass runs is untouched, whatever the moment",
          "[tool][race]") {
  const auto point =
      GENERATE(as<std::string>{}, "getdents:1:stop", "getdents:2:stop", "getdents:2:stop-after",
               between_plan_and_transaction, "unlinkat/image_:4:stop");
  CAPTURE(point);
  StoppedPass pass(point, GENERATE(from_range(journals())));

  const auto fresh = pass.app.add_session(0);
  const auto ran = pass.running.finish();

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(pass.app.is_whole(fresh));
  CHECK(pass.app.faults(pass.app) == none);
  for (const auto& id : pass.app.due()) CHECK(pass.app.is_gone(id));
  CHECK(pass.app.entries() == pass.app.session_ids());
}

TEST_CASE("an upload that has only come to its row and its directory is untouched",
          "[tool][race]") {
  StoppedPass pass(GENERATE(as<std::string>{}, "getdents:1:stop", "getdents:2:stop-after"));
  const auto fresh = new_uuid();
  pass.app.add_session_row(fresh, sql_text(hours_ago(0)));
  const bool has_directory = GENERATE(true, false);
  if (has_directory) pass.app.add_directory(fresh, 1);
  CHECK(pass.running.finish().status == 0);
  CHECK(pass.app.has_session(fresh));
  CHECK(pass.app.entries().contains(fresh) == has_directory);
}

TEST_CASE("rows that an expired session gets while the pass runs go with it", "[tool][race]") {
  StoppedPass pass(between_plan_and_transaction, GENERATE(from_range(journals())));
  const auto& id = pass.app.due().front();
  pass.app.add_image_rows(id, 2);
  // PostgreSQL's foreign key refuses the app such a row.
  if (!on_postgresql()) pass.app.add_stereo_row(pass.app.due().back(), id);
  pass.app.add_directory(id, 5);
  const auto ran = pass.running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(pass.app), pass.settled) == none);
}

TEST_CASE("rows of others that take the rowids of rows that were to go stay",
          "[tool][race][sqlite]") {
  StoppedPass pass(between_plan_and_transaction);
  const auto& live = pass.app.live().front();
  // The leaked rows were the last ones: their numbers are given out again.
  const auto last = pass.app.number("SELECT max(rowid) FROM calibration_images");
  pass.app.execute("DELETE FROM calibration_images WHERE session_id = " +
                   sql_text(pass.app.leaked_key()));
  pass.app.add_image_rows(live, 2);
  REQUIRE(pass.app.number("SELECT max(rowid) FROM calibration_images") == last);
  CHECK(pass.running.finish().status == 0);
  CHECK(pass.app.rows_of(live) == 3 + 2 + 1);
  for (const auto& id : pass.app.due()) CHECK(pass.app.is_gone(id));
}

TEST_CASE("an expired session that is dated anew while the pass runs is kept whole, with a warning",
          "[tool][race]") {
  StoppedPass pass(between_plan_and_transaction, GENERATE(from_range(journals())));
  const auto& saved = pass.app.due().front();
  pass.app.execute(
      fmt::format("UPDATE sessions SET created_at = '{}' WHERE id = '{}'", hours_ago(0), saved));
  const auto ran = pass.running.finish();
  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.empty());
  CHECK(said.warnings.size() == 1);
  CHECK(lines_with(said.warnings, saved) == 1);
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 1 old session"));
  CHECK(pass.app.is_whole(saved));
  CHECK(pass.app.number("SELECT count(*) FROM stereo_calibration_results") == 2);
  CHECK(pass.app.is_gone(pass.app.due().back()));
}

TEST_CASE("an expired session that the app deletes while the pass runs is no error",
          "[tool][race]") {
  StoppedPass pass(between_plan_and_transaction);
  const auto& id = pass.app.due().front();
  SECTION("with its rows and its directory") {
    pass.app.execute(fmt::format("DELETE FROM calibration_images WHERE session_id = '{}'", id));
    pass.app.execute(fmt::format("DELETE FROM calibration_results WHERE session_id = '{}'", id));
    fs::remove_all(pass.app.uploads() / id);
  }
  SECTION("as it does: with rows left behind") { fs::remove_all(pass.app.uploads() / id); }
  SECTION("the row alone, so far") {}
  pass.app.execute(fmt::format("DELETE FROM sessions WHERE id = '{}'", id));

  const auto ran = pass.running.finish();

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(pass.app.is_gone(pass.app.due().back()));
  CHECK(run_pass(pass.app).status == 0);
  CHECK(difference(state_of(pass.app), pass.settled) == none);
}

TEST_CASE("a directory that a new session claims while the pass runs is kept, and so is its owner",
          "[tool][race]") {
  StoppedPass pass(between_plan_and_transaction);
  const auto& owner = pass.app.due().front();
  const auto fresh = new_uuid();
  pass.app.add_session_row(fresh, sql_text(hours_ago(0)), sql_text("uploads/" + owner));
  const auto ran = pass.running.finish();
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {(pass.app.uploads() / owner).string(), owner}));
  CHECK(pass.app.is_whole(owner));
  CHECK(pass.app.has_session(fresh));
  CHECK(pass.app.is_gone(pass.app.due().back()));
}

TEST_CASE("a live session that gets the directory of an expired one while the pass runs keeps it",
          "[tool][race]") {
  StoppedPass pass(between_plan_and_transaction);
  const auto& owner = pass.app.due().front();
  pass.app.execute(fmt::format("UPDATE sessions SET images_dir = 'uploads/{}' WHERE id = '{}'",
                               owner, pass.app.live().front()));
  const auto ran = pass.running.finish();
  CHECK(ran.status == 1);
  CHECK(pass.app.is_whole(owner));
  CHECK(pass.app.is_gone(pass.app.due().back()));
}

TEST_CASE("the same among very many sessions, which are not all looked at in a transaction",
          "[tool][race][threads]") {
  Backlog app(GENERATE(Journal::rollback, Journal::wal));
  app.execute(
      fmt::format("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)"
                  "INSERT INTO sessions SELECT 'other-' || i, 'uploads/other-' || i, '{}' FROM n",
                  hours_ago(0)));
  const auto& owner = app.due().front();
  Running running(pass_arguments(app), at(between_plan_and_transaction));
  REQUIRE(running.wait_until_stopped());
  app.execute(fmt::format("UPDATE sessions SET images_dir = 'uploads/{}' WHERE id = '{}'", owner,
                          app.live().front()));
  const auto ran = running.finish();
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {(app.uploads() / owner).string(), owner}));
  CHECK(app.is_whole(owner));
  CHECK(app.is_gone(app.due().back()));
}

TEST_CASE("a directory that live capture makes anew before the commit is the next pass's orphan",
          "[tool][race]") {
  StoppedPass pass(before_the_commit);
  const auto& id = pass.app.due().front();
  pass.app.add_directory(id, 1);
  const auto ran = pass.running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK_FALSE(pass.app.has_session(id));
  CHECK(pass.app.entries().contains(id));
  CHECK_FALSE(pass.app.staged_names().contains(id));
  CHECK(run_pass(pass.app).status == 0);
  CHECK(difference(state_of(pass.app), pass.settled) == none);
}

TEST_CASE("a directory that live capture makes anew is joined again where the commit fails",
          "[tool][race][faults]") {
  StoppedPass pass(at_commit("stop") + " " + at_commit("5"));
  const auto& id = pass.app.due().front();
  const auto home = pass.app.uploads() / id;
  pass.app.add_directory(id, 1, 17);
  fs::rename(home / "image_000.png", home / "live_000.png");
  CHECK(pass.running.finish().status == 1);
  CHECK(pass.app.is_whole(id));
  CHECK(fs::file_size(home / "live_000.png") == 17);
  CHECK(pass.app.faults(pass.app) == none);
  CHECK(pass.app.entries() == pass.app.session_ids());
}

TEST_CASE("a value too large to be read ends the pass once, not each session by itself",
          "[tool][race][bounded]") {
  StoppedPass pass(between_plan_and_transaction, GENERATE(from_range(journals())));
  const auto giant = sql_zeros(20'000'000);
  SECTION("in a session") {
    pass.app.execute("INSERT INTO sessions VALUES ('giant', " + giant + ", NULL)");
  }
  // On a server only the keys of sessions are looked for in what was added, and none is so large.
  if (!on_postgresql()) {
    SECTION("in a row of images") {
      pass.app.execute("INSERT INTO calibration_images (session_id, image_path) VALUES (" + giant +
                       ", 'x')");
    }
  }
  const auto ran = pass.running.finish();
  INFO(ran.err);
  CHECK(ran.status == 1);  // the orphan has gone
  CHECK(is_one_error(ran, {pass.app.database_shown(), "larger than 16 MiB"}));
  for (const auto& id : pass.app.due()) CHECK(pass.app.is_whole(id));
}

TEST_CASE("a table that comes while the pass runs leaves no row behind", "[tool][race]") {
  StoppedPass pass(between_plan_and_transaction);
  pass.app.execute(
      "CREATE TABLE notes (session_id VARCHAR REFERENCES sessions (id) ON DELETE CASCADE); INSERT "
      "INTO notes SELECT id FROM sessions");
  const auto ran = pass.running.finish();
  INFO(ran.err);
  // Nothing goes before the tables have been read again.
  CHECK(ran.status == 1);  // the orphan has gone
  CHECK(is_one_error(ran, {pass.app.database_shown(), "run again"}));
  for (const auto& id : pass.app.due()) CHECK(pass.app.rows_of(id) == 3 + 1 + 1);
  CHECK(run_pass(pass.app).status == 0);
  for (const auto& id : pass.app.due()) CHECK(pass.app.is_gone(id));
}
