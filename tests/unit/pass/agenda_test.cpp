// What a pass is to do, from a real folder and a real database.
#include "pass/agenda.hpp"

#include <algorithm>

#include "base/staged_name.hpp"
#include "support/catch.hpp"
#include "unit/pass/pass_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

std::vector<std::string> names_of(const std::vector<OrphanLine>& orphans) {
  std::vector<std::string> names;
  for (const auto& orphan : orphans) names.push_back(orphan.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("an agenda has the old sessions and the orphans", "[pass][agenda]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add_young(uuid(2));
  fixture.make_directory(uuid(3));
  OpenedPass pass(fixture);

  const auto agenda = pass.agenda();
  CHECK(ids_in(agenda.plan.sessions) == std::vector{uuid(1)});
  CHECK(agenda.units.size() == 1);
  CHECK(names_of(agenda.unclaimed.orphans) == std::vector{uuid(3)});
  CHECK(agenda.plan.sessions_seen == 2);
  CHECK(agenda.survey.tables == std::vector<std::string>{"calibration_images", "holders"});
  CHECK_FALSE(agenda.refused);
  CHECK(texts_of(agenda.notes.errors).empty());
}

TEST_CASE("more than the limit is an agenda with nothing on it", "[pass][agenda]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add_young(uuid(2));
  fixture.make_directory(uuid(3));
  const int limit = GENERATE(1, 2);
  fixture.options.max_delete = limit;
  OpenedPass pass(fixture);

  const auto agenda = pass.agenda();
  CHECK(agenda.refused == (limit == 1));
  CHECK(agenda.units.empty() == (limit == 1));
  CHECK(agenda.unclaimed.empty() == (limit == 1));
  REQUIRE(agenda.notes.errors.size() == (limit == 1 ? 1 : 0));
  if (limit == 1) CHECK(agenda.notes.errors.front().kind == ErrorKind::limit);
}

TEST_CASE("a directory that is younger than its database ends the whole agenda", "[pass][agenda]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.make_directory(uuid(3));
  OpenedPass pass(fixture);
  const auto age = std::chrono::minutes(GENERATE(9, 11));
  pass.times.database_changed = pass.times.now - age;

  const auto agenda = pass.agenda();
  const bool is_foreign = age > std::chrono::minutes(10);
  CHECK(agenda.refused == is_foreign);
  CHECK(agenda.units.empty() == is_foreign);
  CHECK(agenda.unclaimed.empty() == is_foreign);
  REQUIRE(agenda.notes.errors.size() == (is_foreign ? 1 : 0));
  if (is_foreign) {
    CHECK(agenda.notes.errors.front().path == fixture.uploads_path() / uuid(3));
    CHECK(agenda.notes.errors.front().kind == ErrorKind::orphan);
  }
}

TEST_CASE("an orphan under the grace stays off the agenda", "[pass][agenda]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.make_directory(uuid(3));
  fixture.options.orphan_grace = std::chrono::minutes(GENERATE(0, 5));
  OpenedPass pass(fixture);
  CHECK(pass.agenda().unclaimed.empty() == (fixture.options.orphan_grace.count() > 0));
}

TEST_CASE("whom a row holds only a dry run leaves out beforehand", "[pass][agenda]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add(uuid(2));
  fixture.hold(uuid(2), "");
  const auto dry_run = GENERATE(DryRun::yes, DryRun::no);
  OpenedPass pass(fixture, {dry_run});

  // A pass asks again, in its transaction.
  const auto agenda = pass.agenda();
  CHECK(agenda.plan.sessions.size() == 2);
  REQUIRE(agenda.units.size() == (dry_run == DryRun::yes ? 1 : 2));
  CHECK(agenda.plan.sessions[agenda.units[0].owners.front()].id == uuid(1));
  REQUIRE(agenda.notes.errors.size() == (dry_run == DryRun::yes ? 1 : 0));
  if (dry_run == DryRun::yes) {
    CHECK_THAT(agenda.notes.errors.front().error,
               Catch::Matchers::ContainsSubstring("holders.keeper"));
  }
}

TEST_CASE("an agenda that is made again has the named sessions that are still there",
          "[pass][agenda]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add(uuid(2));
  fixture.make_directory(uuid(3));
  fixture.options.sessions = {uuid(1), uuid(2)};
  OpenedPass pass(fixture, {DryRun::no, Mode::named});
  REQUIRE(ids_in(pass.agenda().plan.sessions) == std::vector{uuid(1), uuid(2)});
  fixture.database.execute("DELETE FROM sessions WHERE id = " + literal(uuid(1)));

  const auto agenda = pass.maker.make_again({uuid(1), uuid(2)});
  CHECK(agenda.is_named);
  CHECK(ids_in(agenda.plan.sessions) == std::vector{uuid(2)});
  CHECK(agenda.units.size() == 1);
  CHECK(agenda.unclaimed.empty());
  // They were there: who is gone by now went for another reason.
  CHECK(texts_of(agenda.notes.errors).empty());
}
