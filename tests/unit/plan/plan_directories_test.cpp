// Which directories go, and which ones nobody may touch: claims, units, proofs, what was staged.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "plan/plan.hpp"
#include "support/catch.hpp"
#include "unit/plan/plan_fixture.hpp"

using namespace calib;
using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Two sessions whose directories stand: the folder is this database's.
Situation proven() {
  Situation situation;
  situation.sessions = {session("old"), session("young", young)};
  situation.directories({"old", "young"});
  return situation;
}

/// The sessions of each unit.
std::set<std::set<std::string>> units_of(const Plan& plan) {
  std::map<std::uint32_t, std::set<std::string>> units;
  for (const auto& session : plan.sessions) units[session.unit].emplace(session.id);
  std::set<std::set<std::string>> result;
  for (auto& [number, unit] : units) result.insert(unit);
  return result;
}

}  // namespace

TEST_CASE("directories that no session claims are orphans, whatever they are named",
          "[plan][directories]") {
  const auto plan =
      plan_of(proven().directories({"b", one_uuid, "a", "lost", "uploads2", "\xff", " "}));
  CHECK(plan.orphans == Names{" ", one_uuid, "a", "b", "lost", "uploads2", "\xff"});
  CHECK(plan.failures.empty());
  CHECK(plan.leftovers.empty());
  CHECK(plan.restores.empty());
}

TEST_CASE("files, links, hidden entries and lost+found are no orphans", "[plan][directories]") {
  auto situation = proven().directories({"lost+found", ".hidden", ".calib-cleanup", ".git"});
  situation.entry("file", EntryKind::other).entry("link", EntryKind::link);
  situation.entry(staged("file"), EntryKind::other).entry(staged("link"), EntryKind::link);
  situation.directories({staged(""), staged(".hidden"), staged("lost+found")});
  const auto plan = plan_of(situation);
  CHECK(plan.orphans.empty());
  CHECK(plan.leftovers.empty());
  CHECK(plan.restores.empty());
  CHECK(plan.failures.empty());
}

TEST_CASE("every component of an images_dir and every id is a claim, ignoring ASCII case",
          "[plan][directories]") {
  auto situation = proven();
  situation.sessions.push_back(session_in("Some-Id", "/data/Images/../X.Y/uploads/deep", young));
  situation.directories({"some-id", "SOME-ID", "data", "IMAGES", "x.y", "uploads", "UPLOADS",
                         "deep", "DEEP", "other", "\u00c4"});
  situation.sessions.push_back(session_in("\u00e4", "uploads/\u00e4", young));
  const auto plan = plan_of(situation);
  CHECK(plan.orphans == Names{"other", "\u00c4"});
}

TEST_CASE("sessions claim whatever else is wrong with them", "[plan][directories]") {
  auto situation = proven();
  auto unreadable = session_in("7", "uploads/claimed-by-number", std::nullopt);
  unreadable.id_is_text = false;
  situation.sessions.push_back(unreadable);
  situation.sessions.push_back(session_in("x", "/etc/claimed-from-afar"));
  situation.sessions.push_back(session_in("twice", "uploads/claimed-once"));
  situation.sessions.push_back(session_in("twice", "uploads/claimed-again"));
  PlannedSession blob;
  blob.id = "blob";
  blob.unreadable_images_dir = std::string("uploads/claimed-by-bytes").append(1, '\0');
  situation.sessions.push_back(blob);
  situation.directories({"claimed-by-bytes"});
  situation.directories({"claimed-by-number", "claimed-from-afar", "claimed-once", "claimed-again",
                         "7", "x", "twice", "free"});
  CHECK(plan_of(situation).orphans == Names{"free"});
}

TEST_CASE("a directory that a surviving session claims, too, keeps its session whole",
          "[plan][directories]") {
  Situation situation;
  situation.sessions = {session_in("due", "uploads/old")};
  situation.directories({"old", "other"});
  SECTION("as its directory") {
    situation.sessions.push_back(session_in("y", "uploads/old", young));
  }
  SECTION("by its id") { situation.sessions.push_back(session_in("OLD", "uploads/other", young)); }
  SECTION("somewhere on its path") {
    situation.sessions.push_back(session_in("y", "/srv/old/uploads/other", young));
  }
  SECTION("in another case") {
    situation.sessions.push_back(session_in("y", "uploads/Old", std::nullopt));
  }
  SECTION("when it comes first") {
    situation.sessions.insert(situation.sessions.begin(), session_in("y", "uploads/old", young));
  }
  SECTION("when it stays for another reason") {
    situation.sessions.push_back(session_in("y", "/etc/old"));
  }
  const auto plan = plan_of(situation);
  CHECK(plan.sessions.empty());
  CHECK(std::find(plan.orphans.begin(), plan.orphans.end(), "old") == plan.orphans.end());
  const auto failures = failures_of(plan);
  CHECK(std::any_of(failures.begin(), failures.end(), [](const std::string& failure) {
    return failure.find("session due is left whole") != std::string::npos;
  }));
}

TEST_CASE("who is kept for a shared directory keeps, in its turn, whoever shares with it",
          "[plan][directories]") {
  Situation situation;
  // d's directory is claimed by c, c's by b, b's by a session that stays.
  situation.sessions = {session_in("d", "uploads/d"), session_in("c", "/d/uploads/c"),
                        session_in("b", "/c/uploads/b"), session_in("stays", "/b/uploads/s", young),
                        session_in("free", "uploads/free")};
  situation.directories({"b", "c", "d", "s", "free"});
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"free"});
  CHECK(plan.failures.size() == 3);
  CHECK(plan.orphans.empty());
}

TEST_CASE("sessions that share a directory go together, as one unit", "[plan][directories]") {
  Situation situation;
  situation.sessions = {
      session_in("a", "uploads/shared"),    session("alone"),
      session_in("b", "/x/uploads/shared"), session_in("shared", "uploads/c"),
      session_in("d", "uploads/Shared"),    session_in("last", "/srv/uploads/last")};
  situation.directories({"shared", "alone", "c", "last"});
  const auto plan = plan_of(situation);
  CHECK(units_of(plan) ==
        std::set<std::set<std::string>>{{"a", "b", "d", "shared"}, {"alone"}, {"last"}});
  // In the order of the database, units kept together, numbered as they come.
  CHECK(doomed_of(plan) == Names{"a", "b", "shared", "d", "alone", "last"});
  std::vector<std::uint32_t> numbers;
  for (const auto& session : plan.sessions) numbers.push_back(session.unit);
  CHECK(numbers == std::vector<std::uint32_t>{0, 0, 0, 0, 1, 2});
}

TEST_CASE(
    "a session whose directory another one names on its way is kept and named, or goes with it",
    "[plan][directories]") {
  Situation situation;
  situation.sessions = {session("c"), session_in("e", "/c/uploads/e")};
  situation.directories({"c", "e"});
  const auto plan = plan_of(situation);
  REQUIRE_FALSE(plan.sessions.empty());
  if (plan.sessions.size() == 2) {
    CHECK(units_of(plan).size() == 1);
  } else {
    CHECK(doomed_of(plan) == Names{"e"});
    REQUIRE(plan.failures.size() == 1);
    CHECK_THAT(plan.failures.front().error, ContainsSubstring("session c is left whole"));
  }
  CHECK(plan.orphans.empty());
}

TEST_CASE("what an interrupted pass staged goes back to its session, or goes for good",
          "[plan][directories]") {
  auto situation = proven();
  situation.directories({staged("old"), staged("YOUNG"), staged("gone"), staged("x"), "x"});
  situation.rules.mode = GENERATE(Mode::expired, Mode::orphans_only, Mode::named);
  CAPTURE(situation.rules.mode);
  const auto plan = plan_of(situation);
  // Also of a session that goes now: it goes whole.
  CHECK(plan.restores == Names{staged("YOUNG"), staged("old")});
  CHECK(plan.leftovers == Names{staged("gone"), staged("x")});
  CHECK(plan.orphans == (situation.rules.mode == Mode::named ? Names{} : Names{"x"}));
}

TEST_CASE("named sessions take no orphans along", "[plan][directories]") {
  auto situation = proven().directories({"orphan", one_uuid});
  situation.rules.mode = Mode::named;
  situation.rules.sessions = {"young"};
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"young"});
  CHECK(plan.orphans.empty());
  CHECK(plan.failures.empty());
}

TEST_CASE("an orphan with something mounted at or below it is left and reported",
          "[plan][directories]") {
  auto situation = proven().directories({"orphan", "free", staged("left")});
  situation.mounts = {"orphan", staged("left")};
  const auto plan = plan_of(situation);
  CHECK(plan.orphans == Names{"free"});
  CHECK(plan.leftovers.empty());
  const auto failures = failures_of(plan);
  REQUIRE(failures.size() == 2);
  CHECK_THAT(failures[0],
             ContainsSubstring("/srv/uploads/" + staged("left")) && ContainsSubstring("mounted"));
  CHECK_THAT(failures[1], ContainsSubstring("/srv/uploads/orphan"));
}

TEST_CASE("what a claimed link leads through is claimed, whoever claims the link",
          "[plan][directories][links]") {
  auto situation = proven().directories({"archive", "through", "deep", "free"});
  SECTION("a session that stays, by its directory") {
    situation.sessions.push_back(session("x", young));
    situation.link("x", {"through", "archive"});
  }
  SECTION("by its id") {
    situation.sessions.push_back(session_in("x", "/elsewhere/y", young));
    situation.link("x", {"through", "archive"});
  }
  SECTION("by any component, in another case") {
    situation.sessions.push_back(session_in("y", "/srv/X/uploads/z", young));
    situation.link("x", {"through", "archive"});
  }
  SECTION("an expired one, which is left whole for it") {
    situation.sessions.push_back(session("x"));
    situation.link("x", {"through", "archive"});
  }
  SECTION("an expired one that goes") {
    situation.sessions.push_back(session_in("x", "uploads/dir"));
    situation.directories({"dir"}).link("x", {"through", "archive"});
  }
  const auto plan = plan_of(situation);
  CHECK(plan.orphans == Names{"deep", "free"});
}

TEST_CASE("what a link leads through that nobody claims is no more than it was",
          "[plan][directories][links]") {
  auto situation = proven().directories({"archive"});
  situation.link("nobodys", {"archive"});
  CHECK(plan_of(situation).orphans == Names{"archive"});
}

TEST_CASE("an expired session whose directory a claimed link leads through is left whole",
          "[plan][directories][links]") {
  Situation situation;
  situation.sessions = {session("due"), session("free")};
  situation.directories({"due", "free"});
  SECTION("for one that stays") { situation.sessions.push_back(session("clone", young)); }
  SECTION("for one that is left whole itself, because its directory is a link") {
    situation.sessions.push_back(session("clone"));
  }
  SECTION("for one in between") {
    situation.sessions.push_back(session_in("stays", "/via/uploads/s", young));
    situation.sessions.push_back(session("via"));
    situation.link("via", {"clone"});
    situation.sessions.push_back(session_in("between", "uploads/clone/deeper"));
  }
  situation.link("clone", {"due"});
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"free"});
  const auto failures = failures_of(plan);
  CHECK(std::any_of(failures.begin(), failures.end(), [](const std::string& failure) {
    return failure.find("session due is left whole") != std::string::npos;
  }));
}

TEST_CASE("who goes, and claims a link into the directory of another that goes, goes with it",
          "[plan][directories][links]") {
  Situation situation;
  situation.sessions = {session("a"), session_in("x", "uploads/b"), session("c")};
  situation.directories({"a", "b", "c"}).link("x", {"c"});
  CHECK(units_of(plan_of(situation)) == std::set<std::set<std::string>>{{"a"}, {"x", "c"}});
}

TEST_CASE("the file system is asked for the entry of a name that it may spell in another way",
          "[plan][directories][links]") {
  // As on a file system that folds case: e with an acute accent, in the other case.
  const std::string small = "\xc3\xa9";
  const std::string capital = "\xc3\x89";
  auto situation = proven();
  situation.listing.push_back({small, EntryKind::directory, 7});
  situation.ways[capital] = {{capital, EntryKind::directory, 7}};
  SECTION("an orphan") {
    REQUIRE(plan_of(situation).orphans == Names{small});
    situation.sessions.push_back(session_in("y", "/srv/" + capital + "/uploads/z", young));
    CHECK(plan_of(situation).orphans.empty());
  }
  SECTION("an expired session's directory") {
    situation.sessions.push_back(session(small));
    situation.sessions.push_back(session(capital, young));
    const auto plan = plan_of(situation);
    CHECK(doomed_of(plan) == Names{"old"});
    REQUIRE(plan.failures.size() == 1);
    CHECK_THAT(plan.failures.front().error, ContainsSubstring("is left whole"));
  }
  SECTION("an expired session whose directory it is, in the other spelling") {
    situation.sessions.push_back(session(capital));
    const auto plan = plan_of(situation);
    CHECK(doomed_of(plan) == Names{"old"});
    REQUIRE(plan.failures.size() == 1);
    CHECK_THAT(plan.failures.front().error, ContainsSubstring("spelled " + small));
  }
}

TEST_CASE("an odd name may be a plain one to the file system", "[plan][directories][links]") {
  const std::string kelvin = "\xe2\x84\xaa";
  auto situation = proven();
  situation.listing.push_back({"k", EntryKind::directory, 7});
  situation.ways[kelvin] = {{kelvin, EntryKind::directory, 7}};
  REQUIRE(plan_of(situation).orphans == Names{"k"});
  situation.sessions.push_back(session(kelvin, young));
  CHECK(plan_of(situation).orphans.empty());
}

TEST_CASE("what bears another database's mark is never purged", "[plan][directories][marks]") {
  auto situation = proven();
  situation.rules.mode = GENERATE(Mode::expired, Mode::orphans_only, Mode::named);
  situation.directories({staged_by_others("young"), staged_by_others("gone"), staged_by_us("gone"),
                         staged_by_others(one_uuid)});
  const auto plan = plan_of(situation);
  CHECK(plan.restores == Names{staged_by_others("young")});
  CHECK(plan.leftovers == Names{staged_by_us("gone")});
  REQUIRE(plan.failures.size() == 1);
  CHECK(plan.failures.front().path == "/srv/uploads");
  CHECK(plan.failures.front().kind == ErrorKind::orphan);
  CHECK_THAT(plan.failures.front().error, ContainsSubstring(staged_by_others("gone")) &&
                                              ContainsSubstring(staged_by_others(one_uuid)) &&
                                              ContainsSubstring("2 directories") &&
                                              ContainsSubstring("another database"));
}

TEST_CASE("what bears this database's mark needs no other proof", "[plan][directories][marks]") {
  Situation situation;
  SECTION("an empty database") {}
  SECTION("a folder without any session's directory") {
    situation.sessions = {session("elsewhere", young)};
  }
  situation.directories({staged_by_us("gone"), staged("unmarked"), staged_by_others("other")});
  const auto plan = plan_of(situation);
  CHECK(plan.leftovers == Names{staged_by_us("gone")});
  CHECK(plan.failures.size() == 2);
}

TEST_CASE("where a name is aside more than once, what is ours goes back first",
          "[plan][directories][marks]") {
  auto situation = proven();
  situation.directories({staged("old"), staged_by_others("old"), staged_by_us("old")});
  const auto plan = plan_of(situation);
  REQUIRE(plan.restores.size() == 3);
  CHECK(plan.restores.front() == staged_by_us("old"));
}

TEST_CASE("a directory that is aside under any mark proves the folder, where a session claims it",
          "[plan][directories][marks]") {
  Situation situation;
  situation.sessions = {session("x", young)};
  situation.directories({"orphan"});
  REQUIRE(plan_of(situation).orphans.empty());
  SECTION("this database's") { situation.directories({staged_by_us("x")}); }
  SECTION("another one's") { situation.directories({staged_by_others("x")}); }
  CHECK(plan_of(situation).orphans == Names{"orphan"});
}
