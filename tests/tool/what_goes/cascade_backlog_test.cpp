// A backlog that takes more than one transaction: each session goes once, and the order of the
// slices decides nothing.
#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/scale.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

constexpr int backlog = 3000;
constexpr int rows_of_each = 5;  // of a session

std::string id_of(int number) { return fmt::format("{:08x}-0000-4000-8000-000000000000", number); }

/// Old sessions with three images each, a row of results, and a directory for every tenth.
void add_backlog(const App& app) {
  std::string rows;
  const auto date = hours_ago(48);
  for (int i = 0; i < backlog; ++i) {
    rows +=
        fmt::format("{}('{}', 'uploads/{}', '{}')", i == 0 ? "" : ", ", id_of(i), id_of(i), date);
  }
  app.execute(
      "BEGIN; INSERT INTO sessions VALUES " + rows +
      "; INSERT INTO calibration_images (session_id, image_path) SELECT s.id, 'x' FROM sessions s, "
      "(VALUES (1), (2), (3)) v; INSERT INTO calibration_parameters (session_id) SELECT id FROM "
      "sessions; COMMIT");
  for (int i = 0; i < backlog; i += 10) app.add_directory(id_of(i), 1, 10);
}

std::int64_t rows_left(const App& app) {
  return app.number(
      "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM calibration_images) + "
      "(SELECT count(*) FROM calibration_parameters)");
}

}  // namespace

TEST_CASE("three thousand sessions go in slices, each with exactly its own rows",
          "[tool][cascade][threads]") {
  const auto journal = GENERATE(from_range(journals()));
  App app(AppSchema::current, journal);
  add_backlog(app);
  const auto young = app.add_session(2);

  const auto ran = run_on(app, {"--json"});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  const auto report = ran.json();
  CHECK(report["deleted_sessions"] == backlog);
  std::set<std::string> ids;
  int wrong = 0;
  for (const auto& session : report["sessions"]) {
    ids.insert(session["id"].get<std::string>());
    const auto& records = session["records"];
    if (records["calibration_images"] != 3 || records["calibration_parameters"] != 1) ++wrong;
  }
  CHECK(ids.size() == backlog);
  CHECK(wrong == 0);
  CHECK(app.is_whole(young));
  CHECK(app.entries() == std::set<std::string>{young});
  CHECK(rows_left(app) == 4);
  CHECK(app.is_sound());
}

TEST_CASE("a session that a row of another one holds goes, in whichever slice the two are",
          "[tool][cascade]") {
  App app;
  add_backlog(app);
  app.execute(
      "CREATE TABLE pairs (owner VARCHAR REFERENCES sessions ON DELETE CASCADE, holds VARCHAR "
      "REFERENCES sessions)");
  const auto pair = [&](int owner, int holds) {
    app.execute(fmt::format("INSERT INTO pairs VALUES ({}, {})", sql_text(id_of(owner)),
                            sql_text(id_of(holds))));
  };
  pair(2990, 10);  // held until the slice after
  pair(10, 20);    // and what that one holds, until a later round
  pair(5, 2980);   // free when its turn comes
  pair(30, 40);    // both in one slice
  SECTION("where all go") {
    const auto ran = run_on(app, {});
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    CHECK(has_line(ran.out, "Cleanup completed: Deleted 3000 old sessions"));
    CHECK(app.entries().empty());
    CHECK(rows_left(app) == 0);
    CHECK(app.number("SELECT count(*) FROM pairs") == 0);
  }
  SECTION("and not where the one at the end stays") {
    app.execute(fmt::format("UPDATE sessions SET created_at = {} WHERE id = {}",
                            sql_text(hours_ago(1)), sql_text(id_of(2990))));
    const auto ran = run_on(app, {});
    CHECK(ran.status == 1);
    const auto said = diagnostics_of(ran);
    CHECK(said.errors.size() == 2);
    CHECK(lines_with(said.errors, "pairs.holds") == 2);
    CHECK(app.session_ids() == std::set<std::string>{id_of(10), id_of(20), id_of(2990)});
    CHECK(app.entries() == std::set<std::string>{id_of(10), id_of(20), id_of(2990)});
    CHECK(rows_left(app) == 15);
  }
}

TEST_CASE("a chain of rows, each of which holds the one before, takes no round for each",
          "[tool][cascade][chain]") {
  App app;
  add_backlog(app);
  app.execute(
      "CREATE TABLE notes (owner VARCHAR REFERENCES sessions ON DELETE CASCADE, holds VARCHAR "
      "REFERENCES sessions)");
  const int chain = scaled(backlog);
  std::string rows;
  for (int i = 1; i < chain; ++i) {
    rows +=
        fmt::format("{}({}, {})", i == 1 ? "" : ", ", sql_text(id_of(i)), sql_text(id_of(i - 1)));
  }
  app.execute("INSERT INTO notes VALUES " + rows);
  RunOptions options;
  options.seconds = 60;  // it took minutes where a round freed no more than one slice
  SECTION("where all go") {
    const auto ran = run_on(app, {}, options);
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    CHECK(rows_left(app) == 0);
    CHECK(app.entries().empty());
  }
  SECTION("and where the one at the end stays, and so all of them") {
    app.execute(fmt::format("UPDATE sessions SET created_at = {} WHERE id = {}",
                            sql_text(hours_ago(1)), sql_text(id_of(chain - 1))));
    const auto ran = run_on(app, {}, options);
    CHECK(ran.status == 1);
    // Ten of them, and how many more.
    const auto said = diagnostics_of(ran);
    CHECK(lines_with(said.errors, "notes.holds") == 10);
    CHECK(lines_with(said.errors, fmt::format("and {} more of that kind", chain - 1 - 10)) == 1);
    CHECK(rows_left(app) == chain * rows_of_each);
  }
}
