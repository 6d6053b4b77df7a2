// The executable on a real app folder: what everybody uses first.
#include "support/catch.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

TEST_CASE("expired sessions go with records and directories, the others stay", "[tool]") {
  const auto schema = GENERATE(AppSchema::june_2025, AppSchema::october_2025, AppSchema::current);
  const auto journal = GENERATE(from_range(journals()));
  App app(schema, journal);
  const auto old_one = app.add_session(48);
  const auto young = app.add_session(2);
  const auto older = app.add_session(24.5, 5);

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 0 directories"));
  CHECK(app.is_gone(old_one));
  CHECK(app.is_gone(older));
  CHECK(app.is_whole(young));
  CHECK(app.is_sound());
}
