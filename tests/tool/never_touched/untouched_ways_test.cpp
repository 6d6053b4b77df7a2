// A link in the folder that somebody claims: what it leads through is claimed, too.
#include <fmt/format.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// The session's directory becomes a link.
void lead(const App& app, const std::string& id, const fs::path& target) {
  fs::remove_all(app.uploads() / id);
  fs::create_directory_symlink(target, app.uploads() / id);
}

bool has_images(const fs::path& directory) { return fs::exists(directory / "image_001.png"); }

}  // namespace

TEST_CASE("what a session's images_dir leads to by links outside or below is claimed",
          "[tool][untouched][links]") {
  App app;
  app.add_session(2);
  const auto outside = app.root() / "out";
  fs::create_directory(outside);
  app.add_directory("below");
  app.add_directory("aside");
  app.add_directory("nobodys");
  fs::create_directory(app.uploads() / "project");
  fs::create_directory_symlink("../below", app.uploads() / "project" / "now");
  fs::create_directory_symlink(app.uploads() / "aside", outside / "link");
  for (const auto& images_dir : {std::string("uploads/project/now"), std::string("out/link")}) {
    const auto id = app.add_session(2);
    fs::remove_all(app.uploads() / id);
    app.execute("UPDATE sessions SET images_dir = " + sql_text(images_dir) +
                " WHERE id = " + sql_text(id));
  }
  const auto ran = run_on(app, {});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.entries().contains("below"));
  CHECK(app.entries().contains("aside"));
  CHECK(!app.entries().contains("nobodys"));
}

TEST_CASE("a directory to which a session's link leads is no orphan", "[tool][untouched][links]") {
  const auto age = GENERATE(2, 48);  // an expired one, too: it is left whole
  CAPTURE(age);
  App app;
  app.add_session(2);
  const auto id = app.add_session(age);
  app.add_directory("archive/deep");
  app.add_directory("other");
  std::vector<std::string> stay{"archive/deep"};
  SECTION("relative") { lead(app, id, "archive/deep"); }
  SECTION("absolute") { lead(app, id, app.uploads() / "archive" / "deep"); }
  SECTION("through another link") {
    fs::create_directory_symlink("archive", app.uploads() / "hop");
    lead(app, id, "hop/deep");
  }
  SECTION("out of the folder and back") {
    fs::create_directory_symlink(app.uploads(), app.scratch("by-way"));
    lead(app, id, app.scratch("by-way") / "archive" / "deep");
  }
  SECTION("up and down again") { lead(app, id, "../uploads/archive/deep"); }
  SECTION("through a link in another directory") {
    app.add_directory("via");
    fs::create_directory_symlink("../archive/deep", app.uploads() / "via" / "on");
    stay.emplace_back("via");
    lead(app, id, "via/on");
  }
  SECTION("past another directory") {
    app.add_directory("past");
    stay.emplace_back("past");
    lead(app, id, "past/../archive/deep");
  }

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == (age < 24 ? 0 : 1));
  CHECK(app.has_session(id));
  for (const auto& name : stay) CHECK(has_images(app.uploads() / name));
  CHECK(fs::is_directory(app.uploads() / id));
  CHECK_FALSE(fs::exists(app.uploads() / "other"));
}

TEST_CASE("an expired session to whose directory another one's link leads is left whole",
          "[tool][untouched][links]") {
  App app;
  const auto due = app.add_session(48);
  const auto bystander = app.add_session(48);
  const auto clone = app.add_session(GENERATE(2, 48));
  lead(app, clone, due);
  const auto dry = GENERATE(true, false);

  const auto ran = dry ? run_on(app, {"--dry-run"}) : run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(lines_with(diagnostics_of(ran).errors, "session " + due + " is left whole") == 1);
  CHECK(app.is_whole(due));
  CHECK(app.has_session(clone));
  CHECK((dry || app.is_gone(bystander)));
}

TEST_CASE("option --session leaves a session whole to which another one's link leads",
          "[tool][untouched][links]") {
  App app;
  const auto named = app.add_session(48);
  const auto clone = app.add_session(48);
  lead(app, clone, app.uploads() / named);

  const auto ran = run_on(app, {"--session", named});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {named}));
  CHECK(app.is_whole(named));
}

TEST_CASE("what the link of a session leads to that comes while the pass runs stays",
          "[tool][untouched][links][race]") {
  App app;
  app.add_session(2);
  const auto due = app.add_session(48);
  const auto other = app.add_session(48);
  for (const auto* orphan : {"one", "two"}) app.add_directory(orphan);
  // While orphans are planned, and while they go.
  const auto early = GENERATE(true, false);
  Running running({"--app-dir", app.root().string(), "--jobs", "1"},
                  at(early ? "statx/two:1:stop" : "unlinkat/image_:1:stop"));
  REQUIRE(running.wait_until_stopped());
  const auto archive = app.add_session(2);
  lead(app, archive, early ? "two" : other);
  const auto ran = running.finish();

  INFO(ran.err);
  CHECK(has_images(app.uploads() / archive));
  CHECK(app.has_session(archive));
  CHECK_FALSE(fs::exists(app.uploads() / "one"));
  CHECK(app.is_gone(due));
}

TEST_CASE("where a claimed link leads has to be known", "[tool][untouched][links][sqlite]") {
  if (::geteuid() != 0) {
    WARN("skipped: only root can close a folder to others");
    return;
  }
  App app;
  const auto id = app.add_session(2);
  app.add_session(2);
  app.add_directory("real");
  const auto closed = app.scratch("closed");
  fs::create_directory(closed);
  fs::create_directory_symlink(app.uploads() / "real", closed / "on");
  lead(app, id, closed / "on");
  app.give_away();
  REQUIRE(::chown(closed.c_str(), 0, 0) == 0);
  fs::permissions(closed, fs::perms::owner_all);
  RunOptions options;
  options.as = As::nobody;
  const auto ran = run_on(app, {"--dry-run"}, options);
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {app.uploads().string() + ": where " + id + " leads cannot be told"}));
  // Whoever may look goes on.
  CHECK(run_on(app, {}).status == 0);
  CHECK(has_images(app.uploads() / "real"));
}

TEST_CASE("a session may claim a name like those of what is aside",
          "[tool][untouched][links][sqlite]") {
  const std::string name = ".calib-cleanup.camera";
  App app;
  const auto id = app.add_session(2);
  app.add_session(2);
  app.add_directory(name);
  app.execute(
      fmt::format("UPDATE sessions SET images_dir = 'uploads/{}' WHERE id = '{}'", name, id));
  run_on(app, {});
  CHECK(has_images(app.uploads() / name));
}
