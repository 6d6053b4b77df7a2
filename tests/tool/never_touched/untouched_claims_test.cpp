// A directory that any surviving session claims stays, and so does everything in the uploads folder
// that is no session's directory.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>

#include "support/app_schemas.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// The sessions' images_dir is this text.
void set_directory(const App& app, const std::string& id, const std::string& images_dir) {
  app.execute(fmt::format("UPDATE sessions SET images_dir = {} WHERE id = {}", sql_text(images_dir),
                          sql_text(id)));
}

}  // namespace

TEST_CASE("a directory is no orphan while any session claims it by its id", "[tool][untouched]") {
  App app;
  const auto id = GENERATE(as<std::string>{}, "plain", "0d1f6d0e-0000-4000-8000-00000000000a");
  CAPTURE(id);
  app.add_session(2);
  // Its images lie elsewhere, and it has no date: it is a session all the same.
  app.add_session_row(id, "NULL", "'/elsewhere/images'");
  app.add_directory(id);
  app.add_directory(id + "x");

  const auto ran = run_on(app, {"--orphans-only"});

  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 1 directory"));
  CHECK(app.entries().contains(id));
  CHECK_FALSE(app.entries().contains(id + "x"));
}

TEST_CASE("a BLOB claims by its bytes, and by what they say as text in a UTF-16 database",
          "[tool][untouched][sqlite]") {
  const auto encoding = GENERATE(as<std::string>{}, "UTF-8", "UTF-16le", "UTF-16be");
  CAPTURE(encoding);
  App app;
  fs::remove(app.database());
  {
    SQLite::Database database(app.database().string(),
                              SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    database.exec("PRAGMA encoding = '" + encoding + "'");
    database.exec(schema_current);
  }
  app.add_session(2);
  app.add_session_row("a", sql_text(hours_ago(2)), "CAST('uploads/as text' AS BLOB)");
  app.add_session_row("b", sql_text(hours_ago(2)),
                      "X'75706c6f6164732f6173206279746573'");  // uploads/as bytes
  app.execute("INSERT INTO sessions VALUES (CAST('an id' AS BLOB), '', " + sql_text(hours_ago(2)) +
              ")");
  for (const auto* name : {"as text", "as bytes", "an id", "orphan"}) app.add_directory(name);

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 1 directory"));
  for (const auto* name : {"as text", "as bytes", "an id"}) {
    CAPTURE(name);
    CHECK(fs::exists(app.uploads() / name / "image_001.png"));
  }
}

TEST_CASE("a directory is no orphan while its name is any component of an images_dir",
          "[tool][untouched]") {
  const auto* const images_dir =
      GENERATE("uploads/pictures", "pictures", "/pictures/uploads/other", "uploads/pictures/raw",
               "../pictures", "/srv/pictures/../x", "uploads//pictures/", "X/pictures/.",
               "PICTURES", "uploads/Pictures", "/Pictures");
  CAPTURE(images_dir);
  App app;
  app.add_session(2);
  app.add_session_row("some-id", sql_text(hours_ago(2)), sql_text(images_dir));
  app.add_directory("pictures");
  app.add_directory("orphan");

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(fs::exists(app.uploads() / "pictures" / "image_001.png"));
  CHECK_FALSE(app.entries().contains("orphan"));
}

TEST_CASE("an images_dir that is stored as a blob or holds a NUL claims its components, too",
          "[tool][untouched][sqlite]") {
  const auto* const images_dir =
      GENERATE("CAST('uploads/pictures' AS BLOB)", "'uploads/pictures' || char(0)",
               "'uploads/pictures/' || char(0) || 'x'");
  CAPTURE(images_dir);
  App app;
  app.add_session(2);
  app.add_session_row("some-id", sql_text(hours_ago(48)), images_dir);
  app.add_directory("pictures");

  const auto ran = run_on(app, {});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"session some-id is left whole"}));
  CHECK(app.has_session("some-id"));
  CHECK(fs::exists(app.uploads() / "pictures" / "image_001.png"));
}

TEST_CASE("claims ignore ASCII case, and nothing else", "[tool][untouched]") {
  App app;
  app.add_session(2);
  app.add_session_row("Some-ID", sql_text(hours_ago(2)));
  app.add_session_row("\xc3\xa4", sql_text(hours_ago(2)));
  app.add_directory("some-id");
  app.add_directory("SOME-ID");
  app.add_directory("\xc3\xa4");
  app.add_directory("\xc3\x84");

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(app.entries().contains("some-id"));
  CHECK(app.entries().contains("SOME-ID"));
  CHECK(app.entries().contains("\xc3\xa4"));
  CHECK_FALSE(app.entries().contains("\xc3\x84"));
}

TEST_CASE("an expired session stays whole while one that survives claims its directory",
          "[tool][untouched]") {
  App app;
  const auto due = app.add_session(48);
  const auto bystander = app.add_session(48);
  std::string survivor;
  SECTION("by the same images_dir") {
    survivor = app.add_session(2);
    set_directory(app, survivor, "uploads/" + due);
  }
  SECTION("by another spelling of it") {
    survivor = app.add_session(2);
    set_directory(app, survivor, "/srv/app/uploads/" + due + "/");
  }
  SECTION("by a component in the middle, in upper case") {
    survivor = app.add_session(2);
    auto name = due;
    for (auto& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    set_directory(app, survivor, "uploads/" + name + "/raw");
  }
  SECTION("by its id") {
    survivor = "young";
    app.add_session_row(survivor, sql_text(hours_ago(2)), "'/elsewhere/x'");
    fs::rename(app.uploads() / due, app.uploads() / survivor);
    set_directory(app, due, "uploads/young");
  }
  SECTION("and has no date") {
    survivor = app.add_session(48);
    set_directory(app, survivor, "uploads/" + due);
    app.execute("UPDATE sessions SET created_at = NULL WHERE id = " + sql_text(survivor));
  }
  const auto rows = app.rows_of(due);

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  REQUIRE(said.errors.size() == 1);
  CHECK(lines_with(said.errors, fmt::format("session {} is left whole", due)) == 1);
  CHECK(app.has_session(due));
  CHECK(app.has_session(survivor));
  CHECK(app.rows_of(due) == rows);
  const auto directory = app.entries().contains("young") ? "young" : due;
  CHECK(fs::exists(app.uploads() / directory / "image_002.png"));
  CHECK(app.is_gone(bystander));
}

TEST_CASE("option --session, too, leaves a session whole that shares its directory with another",
          "[tool][untouched]") {
  App app;
  const auto named = app.add_session(48);
  const auto other = app.add_session(48);
  set_directory(app, other, "uploads/" + named);

  const auto ran = run_on(app, {"--session", named});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {named}));
  CHECK(app.is_whole(named));
  CHECK(app.has_session(other));
}

TEST_CASE("whoever shares a directory with a session that has to stay stays, too",
          "[tool][untouched]") {
  App app;
  // All three are due. The third cannot go, it claims the directory of the second, and that one's
  // id claims the directory of the first.
  const auto second = app.add_session(48);
  const auto first = app.add_session(48);
  const auto third = app.add_session(48);
  fs::rename(app.uploads() / first, app.uploads() / "shared");
  set_directory(app, first, "uploads/" + second);
  set_directory(app, second, "uploads/shared");
  set_directory(app, third, "uploads/shared/nested");
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  for (const auto& id : {first, second, third}) {
    CHECK(lines_with(said.errors, fmt::format("session {} is left whole", id)) == 1);
  }
  CHECK(app.session_ids().size() == 3);
  CHECK(app.fingerprint() == before);
}

TEST_CASE("two expired sessions that share a directory go together", "[tool]") {
  App app;
  const auto one = app.add_session(48);
  const auto other = app.add_session(72);
  const auto young = app.add_session(2);
  fs::remove_all(app.uploads() / other);
  SECTION("in one spelling") { set_directory(app, other, "uploads/" + one); }
  SECTION("in two") { set_directory(app, other, "/srv/uploads/" + one + "/"); }

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(app.is_gone(one));
  CHECK(app.is_gone(other));
  CHECK(app.is_whole(young));
  CHECK(app.entries() == std::set<std::string>{young});
}

TEST_CASE("a session whose directory is gone already just goes", "[tool]") {
  App app;
  const auto id = app.add_session(48);
  app.add_session(2);
  fs::remove_all(app.uploads() / id);

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_gone(id));
}

TEST_CASE("files, links, hidden entries and lost+found in the uploads folder stay",
          "[tool][untouched][threads]") {
  App app;
  app.add_session(48);
  app.add_session(2);
  for (const auto* name :
       {"lost+found", ".hidden", ".git", ".calib-cleanup", ".calib-cleanup-x", ".calib-cleanup.",
        ".calib-cleanup..hidden", ".calib-cleanup.lost+found", "..strange", "..."}) {
    app.add_directory(name);
  }
  for (const auto& name : {std::string("README"), new_uuid(), ".calib-cleanup." + new_uuid(),
                           std::string(".gitkeep")}) {
    std::ofstream(app.uploads() / name) << "a file";
  }
  fs::create_directory_symlink(app.outside(), app.uploads() / new_uuid());
  fs::create_directory_symlink(app.outside(), app.uploads() / (".calib-cleanup." + new_uuid()));
  fs::create_symlink("nowhere", app.uploads() / "broken");
  REQUIRE(::mkfifo((app.uploads() / new_uuid()).c_str(), 0600) == 0);
  app.add_directory("orphan");
  auto expected = app.entries();
  expected.erase("orphan");
  for (const auto& id : app.session_ids()) {
    if (app.number(fmt::format("SELECT count(*) FROM sessions WHERE id = {} AND created_at < '{}'",
                               sql_text(id), hours_ago(24))) == 1) {
      expected.erase(id);
    }
  }

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 1 old session"));
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 1 directory"));
  CHECK(app.entries() == expected);
  CHECK(fs::exists(app.uploads() / "lost+found" / "image_001.png"));
  CHECK(fs::exists(app.uploads() / ".hidden" / "image_001.png"));
  CHECK(fs::exists(app.outside() / "sentinel"));
}
