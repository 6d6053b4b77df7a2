// Which sessions go: by their age, by their name, and by where their directories are.
#include "plan/plan.hpp"

#include "support/catch.hpp"
#include "unit/plan/plan_fixture.hpp"

using namespace calib;
using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

namespace {

Situation usual(const std::vector<PlannedSession>& sessions) {
  Situation situation;
  situation.sessions = sessions;
  for (const auto& session : sessions) situation.directories({session.id});
  return situation;
}

/// Nothing of it goes, and one failure says why, naming the session.
void check_left_whole(const Situation& situation, const std::string& id,
                      const std::vector<std::string>& parts) {
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan).empty());
  CHECK(plan.orphans.empty());
  const auto failures = failures_of(plan);
  REQUIRE(failures.size() == 1);
  CHECK_THAT(failures.front(), ContainsSubstring(id) && ContainsSubstring("left whole"));
  for (const auto& part : parts) CHECK_THAT(failures.front(), ContainsSubstring(part));
  CHECK(plan.failures.front().kind == ErrorKind::session);
}

}  // namespace

TEST_CASE("sessions created before the cutoff go, those created at it or later stay", "[plan]") {
  const auto plan =
      plan_of(usual({session("old"), session("young", young), session("at", cutoff_text),
                     session("before", "2025-10-13 11:59:59.999999"),
                     session("after", "2025-10-13 12:00:00.000001")}));
  CHECK(doomed_of(plan) == Names{"old", "before"});
  CHECK(plan.failures.empty());
  CHECK(plan.warnings.empty());
  CHECK(plan.orphans.empty());
  CHECK(plan.sessions_seen == 5);
}

TEST_CASE("ages are compared as instants, not as texts", "[plan]") {
  const auto plan = plan_of(usual({session("east", "2025-10-13T13:59:59+02:00"),
                                   session("east-stays", "2025-10-13T14:00:01+02:00"),
                                   session("west", "2025-10-13 03:59:59-08:00"),
                                   session("west-stays", "2025-10-13 04:00:01-08:00"),
                                   session("iso", "2025-10-13T11:59Z")}));
  CHECK(doomed_of(plan) == Names{"east", "west", "iso"});
}

TEST_CASE("with zero hours everything dated before now goes, uploads in flight included",
          "[plan]") {
  auto situation = usual({session("just", "2025-10-14 11:59:59.999999"),
                          session("now", "2025-10-14 12:00:00.000000"),
                          session("future", "2025-10-14 12:00:00.000001")});
  situation.rules.cutoff = noon;
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"just"});
  REQUIRE(plan.warnings.size() == 1);
  CHECK_THAT(plan.warnings.front(), ContainsSubstring("1 session is kept"));
}

TEST_CASE("a session without a date that can be read, or from the future, is kept and counted",
          "[plan]") {
  auto situation =
      usual({session("none", std::nullopt), session("word", "yesterday"), session("empty", ""),
             session("day", "2020-01-01"), session("future", "2025-10-14 12:00:01"), session("old"),
             session("young", young)});
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"old"});
  REQUIRE(plan.warnings.size() == 1);
  CHECK_THAT(plan.warnings.front(), ContainsSubstring("5 sessions are kept"));
  // Their age is no failure, and their directories are no orphans.
  CHECK(plan.failures.empty());
  CHECK(plan.orphans.empty());
}

TEST_CASE("without an age rule no session goes and none is warned of", "[plan]") {
  auto situation = usual({session("old"), session("none", std::nullopt), session("y", young)});
  situation.rules.mode = Mode::orphans_only;
  const auto plan = plan_of(situation);
  CHECK(plan.sessions.empty());
  CHECK(plan.warnings.empty());
  CHECK(plan.sessions_seen == 3);
}

TEST_CASE("named sessions go whatever their age, and nobody else does", "[plan]") {
  auto situation = usual({session("old"), session("young", young), session("none", std::nullopt),
                          session("future", "2031-01-01 00:00:00")});
  situation.rules.mode = Mode::named;
  situation.rules.sessions = {"future", "none", "young", "none"};
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"young", "none", "future"});
  CHECK(plan.warnings.empty());
  CHECK(plan.failures.empty());
}

TEST_CASE("an unknown id is reported, and the others go on", "[plan]") {
  auto situation = usual({session("a"), session("b")});
  situation.rules.mode = Mode::named;
  situation.rules.sessions = {"a", "A", "c", "a "};
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"a"});
  const auto failures = failures_of(plan);
  REQUIRE(failures.size() == 3);
  for (const auto& failure : plan.failures) {
    CHECK(failure.kind == ErrorKind::session);
    CHECK_THAT(failure.error, ContainsSubstring("no such session"));
  }
  CHECK_THAT(failures[1], ContainsSubstring("session a "));
}

TEST_CASE("a session carries what was read of it, and the directory where its images are",
          "[plan]") {
  Situation situation;
  auto other = session_in("b", "/anywhere/uploads/elsewhere");
  other.fingerprint = 42;
  situation.sessions = {session("a"), other, session_in("c", "/mnt/disk/pictures/real"),
                        session_in("d", "/srv/uploads/d")};
  situation.directories({"a", "elsewhere", "real", "d"});
  const auto plan = plan_of(situation);
  REQUIRE(doomed_of(plan) == Names{"a", "b", "c", "d"});
  CHECK(plan.sessions[0].directory == "a");
  CHECK(plan.sessions[0].created_at == expired);
  CHECK(plan.sessions[1].directory == "elsewhere");
  CHECK(plan.sessions[1].fingerprint == 42);
  CHECK(plan.sessions[2].directory == "real");
  CHECK(plan.sessions[3].directory == "d");
}

TEST_CASE("without the column images_dir a session's directory is its id", "[plan]") {
  Situation situation;
  for (const auto* const id : {"a", "b.c", "uploads"}) {
    auto row = session(id);
    row.images_dir.reset();
    row.has_images_dir = false;
    situation.sessions.push_back(row);
  }
  situation.directories({"a", "b.c"});
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"a", "b.c", "uploads"});
  CHECK(plan.sessions[1].directory == "b.c");

  for (const auto* const id : {"..", ".", "x/y", "../x", "lost+found", ".hidden", "/etc"}) {
    auto row = session(id);
    row.images_dir.reset();
    row.has_images_dir = false;
    Situation outside;
    outside.sessions = {row};
    check_left_whole(outside, id, {"session"});
  }
}

TEST_CASE("a directory that is gone already is no obstacle", "[plan]") {
  Situation situation;
  situation.sessions = {session("gone"), session("there")};
  situation.directories({"there"});
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"gone", "there"});
  CHECK(plan.failures.empty());
}

TEST_CASE("a session whose images_dir leads out of the uploads folder is left whole", "[plan]") {
  const auto* const images_dir =
      GENERATE("/etc", "/etc/passwd", "..", "uploads/..", "uploads/../../etc", "/", "", ".",
               "uploads", "uploads/a/b", "uploads/.hidden", "elsewhere/a", "a",
               "uploads/.calib-cleanup.a", "uploads/lost+found");
  CAPTURE(images_dir);
  Situation situation;
  situation.sessions = {session_in("an-id", images_dir)};
  situation.directories({"a", "etc", "b", "lost+found"});
  situation.rules.mode = Mode::named;
  situation.rules.sessions = {"an-id"};
  check_left_whole(situation, "an-id", {images_dir, "images_dir"});
}

TEST_CASE("a session whose images_dir cannot be read is left whole", "[plan]") {
  Situation situation;
  auto row = session("an-id");
  row.images_dir.reset();
  situation.sessions = {row};
  situation.directories({"an-id"});
  check_left_whole(situation, "an-id", {"images_dir"});
}

TEST_CASE("a session whose id the app cannot have made is left whole", "[plan]") {
  Situation situation;
  auto row = session("7");
  row.id_is_text = false;
  situation.sessions = {row};
  situation.directories({"7"});
  check_left_whole(situation, "7", {"by hand"});
}

TEST_CASE("a session whose directory is a link, a file or a mount point is left whole", "[plan]") {
  Situation situation;
  situation.sessions = {session("an-id")};
  SECTION("a link") {
    check_left_whole(situation.entry("an-id", EntryKind::link), "an-id",
                     {"/srv/uploads/an-id", "link"});
  }
  SECTION("a file") {
    check_left_whole(situation.entry("an-id", EntryKind::other), "an-id",
                     {"/srv/uploads/an-id", "no directory"});
  }
  SECTION("a mount point, or one below it") {
    situation.mounts = {"an-id"};
    check_left_whole(situation.directories({"an-id"}), "an-id", {"/srv/uploads/an-id", "mounted"});
  }
}

TEST_CASE("a session that stands twice is left whole, whichever of the two is due", "[plan]") {
  struct Dates {
    const char* first;
    const char* second;
  };
  const auto dates = GENERATE(values<Dates>(
      {{expired, expired}, {expired, young}, {young, expired}, {"unreadable", expired}}));
  const auto* const other_directory = GENERATE("uploads/twice", "uploads/another");
  CAPTURE(dates.first, dates.second, other_directory);
  Situation situation;
  situation.sessions = {session("twice", dates.first), session("once"),
                        session_in("twice", other_directory, dates.second)};
  situation.directories({"twice", "once", "another"});
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"once"});
  REQUIRE(plan.failures.size() == 1);
  CHECK_THAT(failures_of(plan).front(), ContainsSubstring("twice"));
}

TEST_CASE("a session that stands twice claims with both its rows", "[plan]") {
  Situation situation;
  situation.sessions = {session_in("twice", "uploads/x"), session_in("shares-x", "uploads/x"),
                        session_in("twice", "uploads/y"), session_in("shares-y", "uploads/y"),
                        session("free")};
  situation.directories({"x", "y", "free"});
  const auto plan = plan_of(situation);
  CHECK(doomed_of(plan) == Names{"free"});
  CHECK(plan.failures.size() == 3);
}

TEST_CASE("sessions whose ids differ in case only are two sessions, which share a directory",
          "[plan]") {
  Situation situation;
  situation.sessions = {session("abc"), session("ABC"), session("other")};
  situation.directories({"abc", "ABC", "other"});
  SECTION("they go together") {
    const auto plan = plan_of(situation);
    REQUIRE(doomed_of(plan) == Names{"abc", "ABC", "other"});
    CHECK(plan.sessions.front().unit == plan.sessions[1].unit);
    CHECK(plan.failures.empty());
  }
  SECTION("or they stay together, and who was due is named") {
    situation.sessions[1].created_at = young;
    const auto plan = plan_of(situation);
    CHECK(doomed_of(plan) == Names{"other"});
    REQUIRE(plan.failures.size() == 1);
    CHECK_THAT(failures_of(plan).front(), ContainsSubstring("session abc is left whole"));
  }
}

TEST_CASE("a session that is not there is told of with what may be wrong with its id", "[plan]") {
  Situation situation;
  situation.directories({"left-behind"}).sessions = {session(one_uuid)};
  situation.rules.mode = Mode::named;
  const auto said = [&](const std::string& id) {
    situation.rules.sessions = {id};
    const auto failures = failures_of(plan_of(situation));
    REQUIRE(failures.size() == 1);
    return failures.front();
  };
  using Catch::Matchers::ContainsSubstring;
  CHECK_THAT(said("left-behind"), ContainsSubstring("only a directory of that name"));
  CHECK_THAT(said("a,b"), ContainsSubstring("one id at a time"));
  CHECK_THAT(said("0D1F6D0E-1111-4000-8000-00000000000A"),
             ContainsSubstring("in lower case: 0d1f6d0e-1111-4000-8000-00000000000a"));
  CHECK_THAT(said("0d1f6d0e"), ContainsSubstring("as a whole"));
  CHECK_THAT(said("left"), ContainsSubstring("look for its id"));
}
