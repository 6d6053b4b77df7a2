// All units, slice by slice.
#include "pass/slices.hpp"

#include <algorithm>

#include "support/catch.hpp"
#include "unit/pass/pass_fixture.hpp"

using namespace calib;
using namespace calib::test;
using namespace std::chrono_literals;

namespace {

/// What a whole run comes to.
struct Run {
  std::vector<std::string> gone;
  std::vector<std::string> errors;
  std::uint64_t freed_bytes = 0;
  std::uint64_t files = 0;
  int slices = 0;
  bool has_ended = false;
};

Run run_slices(PassFixture& fixture) {
  OpenedPass pass(fixture);
  const auto agenda = pass.agenda();
  NewClaims claims(agenda.plan.sessions, pass.app.uploads, fixture.stop);
  Slices slices(agenda, pass.app, claims, pass.purger, fixture.monitor());
  Run run;
  while (slices.any_left() && !run.has_ended) {
    const auto deleted = slices.next(2s);
    ++run.slices;
    for (const auto& session : deleted.sessions) {
      run.gone.emplace_back(session.id);
      run.files += session.usage.files;
    }
    for (const auto& text : texts_of(deleted.notes.errors)) run.errors.push_back(text);
    run.freed_bytes += deleted.freed_bytes;
    run.has_ended = deleted.ended != nullptr;
  }
  std::sort(run.gone.begin(), run.gone.end());
  return run;
}

}  // namespace

TEST_CASE("every unit goes, with its size and its records", "[pass][slices]") {
  PassFixture fixture;
  for (unsigned i = 1; i <= 40; ++i) fixture.add(uuid(i));
  const auto run = run_slices(fixture);
  CHECK(run.gone.size() == 40);
  CHECK(run.files == 40);
  CHECK(run.freed_bytes > 0);
  CHECK(run.errors.empty());
  CHECK(fixture.count("sessions") == 0);
  CHECK(fixture.count("calibration_images") == 0);
  CHECK(std::filesystem::is_empty(fixture.uploads_path()));
}

TEST_CASE("whoever a row held goes once that row is gone", "[pass][slices]") {
  PassFixture fixture;
  for (unsigned i = 1; i <= 3; ++i) fixture.add(uuid(i));
  // A row of the third holds the second, one of the second holds the first.
  fixture.hold(uuid(1), uuid(2));
  fixture.hold(uuid(2), uuid(3));
  const auto run = run_slices(fixture);
  CHECK(run.gone == std::vector{uuid(1), uuid(2), uuid(3)});
  CHECK(run.errors.empty());
}

TEST_CASE("whoever a row holds that stays is told of once", "[pass][slices]") {
  PassFixture fixture;
  for (unsigned i = 1; i <= 3; ++i) fixture.add(uuid(i));
  fixture.hold(uuid(1), uuid(2));
  fixture.hold(uuid(2), "");
  const auto run = run_slices(fixture);
  CHECK(run.gone == std::vector{uuid(3)});
  REQUIRE(run.errors.size() == 2);
  CHECK(fixture.stands(uuid(1)));
  CHECK(fixture.stands(uuid(2)));
}

TEST_CASE("one session that the database refuses is found by halving, and left alone",
          "[pass][slices]") {
  PassFixture fixture;
  for (unsigned i = 1; i <= 9; ++i) fixture.add(uuid(i));
  fixture.refuse_to_delete(uuid(5));
  const auto run = run_slices(fixture);
  CHECK(run.gone.size() == 8);
  CHECK_FALSE(run.has_ended);
  REQUIRE(run.errors.size() == 1);
  CHECK_THAT(run.errors[0], Catch::Matchers::ContainsSubstring(uuid(5)));
  CHECK(fixture.stands(uuid(5)));
  CHECK(fixture.count("sessions") == 1);
  CHECK(fixture.count("calibration_images") == 2);
}
