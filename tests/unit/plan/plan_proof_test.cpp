// Orphans go only from a folder that is proven to be this database's.
#include <algorithm>

#include "plan/plan.hpp"
#include "support/catch.hpp"
#include "unit/plan/plan_fixture.hpp"

using namespace calib;
using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("orphans in a folder where no session's directory stands are listed and left",
          "[plan][proof]") {
  Situation situation;
  situation.sessions = {session("old"), session("young", young)};
  situation.directories({"orphan", one_uuid, staged("left")});
  situation.entry("old", EntryKind::link).entry("young", EntryKind::other);
  situation.rules.database_named = GENERATE(Named::no, Named::by_option);
  situation.rules.mode = GENERATE(Mode::expired, Mode::orphans_only);
  const auto plan = plan_of(situation);
  CHECK(plan.orphans.empty());
  CHECK(plan.leftovers.empty());
  std::size_t said = 0;
  for (const auto& failure : plan.failures) {
    if (failure.kind != ErrorKind::orphan) continue;
    ++said;
    CHECK(failure.path == "/srv/uploads");
    CHECK_THAT(failure.error, ContainsSubstring("--uploads") &&
                                  ContainsSubstring("3 directories") &&
                                  ContainsSubstring("orphan") && ContainsSubstring(one_uuid) &&
                                  ContainsSubstring(staged("left")));
  }
  CHECK(said == 1);
}

TEST_CASE("one session's directory proves the folder, whatever becomes of the session",
          "[plan][proof]") {
  Situation situation;
  situation.sessions = {session("elsewhere", young)};
  situation.directories({"orphan"});
  REQUIRE(plan_of(situation).orphans.empty());
  SECTION("it goes") {
    situation.sessions.push_back(session("x"));
    situation.directories({"x"});
  }
  SECTION("it stays, without a date") {
    situation.sessions.push_back(session_in("y", "/srv/uploads/x", std::nullopt));
    situation.directories({"x"});
  }
  SECTION("it is staged by an interrupted pass") {
    situation.sessions.push_back(session("x"));
    situation.directories({staged("x")});
  }
  const auto plan = plan_of(situation);
  CHECK(plan.orphans == Names{"orphan"});
  CHECK(plan.failures.empty());
}

TEST_CASE("what does not count as a session's directory proves nothing", "[plan][proof]") {
  Situation situation;
  situation.directories({"orphan"});
  SECTION("a claim by another component") {
    situation.sessions = {session_in("a", "/x/uploads/b", young)};
    situation.directories({"x", "uploads"});
  }
  SECTION("an id where images_dir says otherwise") {
    situation.sessions = {session_in("a", "uploads/b", young)};
    situation.directories({"a"});
  }
  SECTION("another case") {
    situation.sessions = {session("a", young)};
    situation.directories({"A"});
  }
  SECTION("a file of its name") {
    situation.sessions = {session("a", young)};
    situation.entry("a", EntryKind::other);
  }
  CHECK(plan_of(situation).orphans.empty());
}

TEST_CASE("of an empty database only directories named by a UUID go, and only if it was named",
          "[plan][proof]") {
  Situation situation;
  situation.directories({one_uuid, "word", "0D1F6D0E-3333-1000-8000-00000000000A",
                         staged(another_uuid), staged("word2")});
  SECTION("named") {
    situation.rules.database_named = Named::by_option;
    const auto plan = plan_of(situation);
    CHECK(plan.orphans == Names{"0D1F6D0E-3333-1000-8000-00000000000A", one_uuid});
    CHECK(plan.leftovers == Names{staged(another_uuid)});
    REQUIRE(plan.failures.size() == 1);
    CHECK_THAT(plan.failures.front().error, ContainsSubstring("2 directories"));
    for (const auto& failure : plan.failures) CHECK(failure.kind == ErrorKind::orphan);
  }
  SECTION("not named") {
    const auto plan = plan_of(situation);
    CHECK(plan.orphans.empty());
    CHECK(plan.leftovers.empty());
    CHECK(plan.failures.size() == 1);
    for (const auto& failure : plan.failures) {
      CHECK_THAT(failure.error, ContainsSubstring("--database"));
    }
  }
}

TEST_CASE("expired sessions of which no directory is there are left whole, and one line says so",
          "[plan][proof]") {
  Situation situation;
  for (int i = 0; i < 100; ++i) situation.sessions.push_back(session("gone" + std::to_string(i)));
  situation.sessions.push_back(session("stays", young));
  SECTION("in an empty folder") {}
  SECTION("in one with something else in it") { situation.directories({"lost+found"}); }
  const auto plan = plan_of(situation);
  CHECK(plan.sessions.empty());
  CHECK(plan.warnings.empty());
  REQUIRE(plan.failures.size() == 1);
  CHECK(plan.failures.front().path == "/srv/uploads");
  CHECK(plan.failures.front().kind == ErrorKind::session);
  CHECK_THAT(plan.failures.front().error, ContainsSubstring("101 sessions") &&
                                              ContainsSubstring("100 expired sessions are left") &&
                                              ContainsSubstring("is it mounted?") &&
                                              ContainsSubstring("--uploads"));
  CHECK(plan_of(situation.directories({"stays"})).sessions.size() == 100);
}

TEST_CASE("sessions that are asked for by name go from a folder that is not proven, too",
          "[plan][proof]") {
  Situation situation;
  situation.sessions = {session("gone")};
  situation.rules.mode = Mode::named;
  situation.rules.sessions = {"gone"};
  CHECK(plan_of(situation).sessions.size() == 1);
}

TEST_CASE("sessions that go from a folder that is not proven are warned of", "[plan][proof]") {
  Situation situation;
  situation.sessions = {session("gone"), session("gone2")};
  situation.rules.uploads_named = true;
  const auto plan = plan_of(situation);
  CHECK(plan.sessions.size() == 2);
  REQUIRE(plan.warnings.size() == 1);
  CHECK_THAT(plan.warnings.front(), ContainsSubstring("/srv/uploads") &&
                                        ContainsSubstring("2 sessions") &&
                                        ContainsSubstring("/srv/calibration.db"));
  CHECK(plan_of(situation.directories({"gone2"})).warnings.empty());
}
