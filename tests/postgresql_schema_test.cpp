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
