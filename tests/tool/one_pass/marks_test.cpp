// What is aside bears the mark of the database whose pass has put it there.
#include <fmt/format.h>

#include <fstream>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

const std::string foreign_mark = "@00000000000000bb";

/// An app whose pass was killed when its expired session was aside: before the commit, or after it.
struct Interrupted : App {
  explicit Interrupted(const std::string& when) : id(add_session(48)) {
    const auto ran = run_pass(*this, {}, when);
    if (ran.status != killed) throw std::runtime_error("it never came to " + when);
    entry = staged(id).filename().string();
  }
  std::string id;
  std::string entry;
};

const std::string killed_at_the_commit = at_commit("kill");
constexpr auto after_the_commit = "unlinkat/image_:1:kill";

}  // namespace

TEST_CASE("what a pass has put aside is known to be its database's, pass after pass",
          "[tool][marks]") {
  Interrupted app(killed_at_the_commit);
  const auto mark = app.entry.substr((aside_prefix + app.id).size());
  CHECK(mark.size() == 17);
  CHECK(mark.front() == '@');
  CHECK(run_pass(app).status == 0);
  CHECK(app.is_gone(app.id));
  // The database has been written since; it is the same one.
  const auto another = app.add_session(48);
  REQUIRE(run_pass(app, {}, killed_at_the_commit).status == killed);
  CHECK(app.staged(another).filename() == aside_prefix + another + mark);
  Interrupted other(killed_at_the_commit);
  CHECK(other.entry != aside_prefix + other.id + mark);
}

TEST_CASE("what is left of this database's goes, whatever has become of its sessions and folder",
          "[tool][marks]") {
  const auto dry = GENERATE(true, false);
  Interrupted app(after_the_commit);
  SECTION("no session is there any more") {}
  SECTION("nor the directory of any") { app.add_session_row("elsewhere", sql_text(hours_ago(2))); }
  const auto before = app.fingerprint();
  const auto ran = dry ? run_on(app, {"--dry-run"}) : run_on(app, {});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  if (dry) CHECK(app.fingerprint() == before);
  if (!dry) CHECK(app.entries().empty());
}

TEST_CASE("what another database's pass has put aside is left, and named once", "[tool][marks]") {
  const auto mode =
      GENERATE(values<std::vector<std::string>>({{}, {"--orphans-only"}, {"--dry-run"}}));
  App app;
  app.add_session(2);
  for (int i = 0; i < 12; ++i) {
    app.add_directory(aside_prefix + fmt::format("session-{:02}", i) + foreign_mark);
  }
  app.add_directory(aside_prefix + "unmarked");

  const auto ran = run_on(app, mode);

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.uploads().string(), "another database", "12 directories",
                           "session-00" + foreign_mark, "and 2 more", "by hand"}));
  CHECK(app.staged_names().contains("session-11"));
  if (mode.empty()) CHECK_FALSE(app.staged_names().contains("unmarked"));
}

TEST_CASE("the pass of one database leaves what that of another has put aside in its folder",
          "[tool][marks]") {
  Interrupted app(after_the_commit);
  App other;
  fs::remove(other.uploads());
  fs::rename(app.uploads(), other.uploads());
  other.add_session(2);

  const auto ran = run_on(other, {});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {other.uploads().string(), app.entry}));
  CHECK(fs::exists(other.uploads() / app.entry));
}

TEST_CASE("a session gets back what is aside under its name, whoever has put it there",
          "[tool][marks]") {
  App app;
  const auto id = app.add_session(2);
  app.add_session(2);
  const auto home = app.uploads() / id;
  SECTION("another database's pass") {
    fs::rename(home, app.uploads() / (aside_prefix + id + foreign_mark));
  }
  SECTION("more than one") {
    const auto part = app.add_directory(aside_prefix + id + foreign_mark, 0);
    fs::rename(home / "image_000.png", part / "image_000.png");
    fs::rename(home, app.uploads() / (aside_prefix + id));
  }
  SECTION("more than one, and there is a directory again") {
    const auto part = app.add_directory(aside_prefix + id + foreign_mark, 0);
    const auto other_part = app.add_directory(aside_prefix + id, 0);
    fs::rename(home / "image_000.png", part / "image_000.png");
    fs::rename(home / "image_001.png", other_part / "image_001.png");
  }

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.is_whole(id));
  CHECK(app.staged_names().empty());
}

TEST_CASE("what is aside twice with the same files overwrites nothing", "[tool][marks]") {
  App app;
  const auto id = app.add_session(GENERATE(2, 48));
  const auto rows = app.rows_of(id);
  app.add_session(2);
  const auto one = app.add_directory(aside_prefix + id + foreign_mark, 1, 11);
  const auto other = app.add_directory(aside_prefix + id, 1, 12);

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(lines_with(said.errors, (one / "image_000.png").string() + ": ") == 1);
  CHECK(lines_with(said.errors, (other / "image_000.png").string() + ": ") == 1);
  CHECK(fs::file_size(one / "image_000.png") == 11);
  CHECK(fs::file_size(other / "image_000.png") == 12);
  CHECK(app.is_whole(id));
  CHECK(app.rows_of(id) == rows);
}

TEST_CASE("a name that leaves no room for the mark keeps its session whole", "[tool][marks]") {
  App app;
  app.add_session(2);
  const std::string fits(255 - aside_prefix.size() - foreign_mark.size(), 'f');
  const auto too_long = fits + "l";
  for (const auto& name : {fits, too_long}) {
    app.add_session_row(name, sql_text(hours_ago(48)));
    app.add_directory(name);
  }
  const auto ran = run_on(app, {});
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.uploads().string() + "/" + too_long, "is left whole"}));
  CHECK(app.is_gone(fits));
  CHECK(app.has_session(too_long));
}
