// What goes without a session, and whoever claims it before it does.
#include "pass/orphans.hpp"

#include <algorithm>

#include "support/catch.hpp"
#include "unit/pass/pass_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

/// The step over an agenda, which it has not begun with.
class Step {
 public:
  Step(PassFixture& fixture, OpenedPass& pass, const Agenda& agenda)
      : claims_(agenda.plan.sessions, pass.app.uploads, fixture.stop),
        orphans(fixture.options, pass.app, claims_, pass.purger, fixture.monitor()) {}

 private:
  NewClaims claims_;

 public:
  Orphans orphans;
};

/// The step over the whole list.
RemovedUnclaimed remove_all(Orphans& orphans) {
  RemovedUnclaimed all;
  while (orphans.any_left()) {
    auto removed = orphans.next();
    all.leftovers += removed.leftovers;
    all.freed_bytes += removed.freed_bytes;
    for (auto& orphan : removed.orphans) all.orphans.push_back(std::move(orphan));
    all.failures.add(removed.failures);
  }
  return all;
}

}  // namespace

TEST_CASE("orphans and leftovers go, and are told of", "[pass][orphans]") {
  PassFixture fixture;
  fixture.add_young(uuid(1));
  fixture.make_directory(uuid(2));
  fixture.make_directory(uuid(3));
  OpenedPass pass(fixture);
  REQUIRE_FALSE(pass.app.uploads.stage(uuid(3)));
  auto agenda = pass.agenda();
  REQUIRE(agenda.unclaimed.size() == 2);
  Step step(fixture, pass, agenda);

  step.orphans.begin(std::move(agenda.unclaimed));
  const auto removed = remove_all(step.orphans);
  CHECK(removed.leftovers == 1);
  REQUIRE(removed.orphans.size() == 1);
  CHECK(removed.orphans[0].name == uuid(2));
  CHECK(removed.orphans[0].usage.files == 1);
  CHECK(removed.freed_bytes > 0);
  CHECK(removed.failures.empty());
  CHECK(fixture.stands(uuid(1)));
  CHECK_FALSE(fixture.stands(uuid(2)));
  CHECK_FALSE(fixture.stands(pass.app.uploads.staged_entry_of(uuid(3))));
}

TEST_CASE("what somebody claims by the time it would go stays", "[pass][orphans]") {
  PassFixture fixture;
  fixture.add_young(uuid(1));
  fixture.make_directory(uuid(2));
  fixture.make_directory(uuid(3));
  OpenedPass pass(fixture);
  REQUIRE_FALSE(pass.app.uploads.stage(uuid(3)));
  auto agenda = pass.agenda();
  fixture.database.add({uuid(2), uuid(3)});
  Step step(fixture, pass, agenda);

  step.orphans.begin(std::move(agenda.unclaimed));
  CHECK_FALSE(step.orphans.any_left());
  CHECK(fixture.stands(uuid(2)));
  CHECK(fixture.stands(pass.app.uploads.staged_entry_of(uuid(3))));
}

TEST_CASE("between two lots of orphans it is asked again who claims them", "[pass][orphans]") {
  PassFixture fixture;
  fixture.add_young(uuid(1));
  constexpr unsigned count = 70;  // one more than are tried before the second look
  for (unsigned i = 0; i < count; ++i) fixture.make_directory(uuid(100 + i), 1);
  OpenedPass pass(fixture);
  auto agenda = pass.agenda();
  REQUIRE(agenda.unclaimed.orphans.size() == count);
  const auto last = agenda.unclaimed.orphans.back().name;
  Step step(fixture, pass, agenda);
  step.orphans.begin(std::move(agenda.unclaimed));

  const auto first = step.orphans.next();
  CHECK(first.tried);
  REQUIRE(step.orphans.any_left());
  fixture.database.add({last});
  const auto rest = remove_all(step.orphans);
  CHECK(first.orphans.size() + rest.orphans.size() == count - 1);
  CHECK(fixture.stands(last));
}

TEST_CASE("an orphan that has changed since the plan is under the grace again", "[pass][orphans]") {
  PassFixture fixture;
  fixture.add_young(uuid(1));
  fixture.make_directory(uuid(2));
  OpenedPass pass(fixture);
  auto agenda = pass.agenda();
  fixture.options.orphan_grace = std::chrono::minutes(GENERATE(0, 5));
  fixture.make_directory(uuid(2) + "/new");
  Step step(fixture, pass, agenda);

  step.orphans.begin(std::move(agenda.unclaimed));
  const auto removed = remove_all(step.orphans);
  const bool has_grace = fixture.options.orphan_grace.count() > 0;
  CHECK(removed.orphans.size() == (has_grace ? 0 : 1));
  CHECK(removed.failures.empty());
  CHECK(fixture.stands(uuid(2)) == has_grace);
}

TEST_CASE("where all that is left is claimed by now, nothing is tried", "[pass][orphans]") {
  PassFixture fixture;
  fixture.add_young(uuid(1));
  constexpr unsigned count = 65;  // one is left for the second look
  for (unsigned i = 0; i < count; ++i) fixture.make_directory(uuid(100 + i), 1);
  OpenedPass pass(fixture);
  auto agenda = pass.agenda();
  Step step(fixture, pass, agenda);
  step.orphans.begin(std::move(agenda.unclaimed));
  static_cast<void>(step.orphans.next());
  std::vector<std::string> all;
  for (unsigned i = 0; i < count; ++i) all.push_back(uuid(100 + i));
  fixture.database.add(all);
  const auto rest = step.orphans.next();
  CHECK_FALSE(rest.tried);
  CHECK(rest.orphans.empty());
  CHECK_FALSE(step.orphans.any_left());
}
