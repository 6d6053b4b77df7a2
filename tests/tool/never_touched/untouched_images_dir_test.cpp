// Whatever an images_dir or an id says: a name directly in the uploads folder goes, or the session
// is left whole.
#include <fmt/format.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

bool outside_is_untouched(const App& app) {
  std::string text;
  std::getline(std::ifstream(app.outside() / "sentinel"), text);
  const auto entries = std::distance(fs::directory_iterator(app.outside()), {});
  return text == "nothing may touch this" && entries == 1;
}

/// `{id}` and `{root}` filled in.
std::string filled(std::string text, const std::string& id, const App& app) {
  for (const auto& [mark, value] :
       {std::pair{std::string("{id}"), id}, {std::string("{root}"), app.root().string()}}) {
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark)) {
      text.replace(at, mark.size(), value);
    }
  }
  return text;
}

/// Runs on an app with one session that is due, whose images_dir is this SQL.
void check_left_whole(const std::string& shape) {
  App app;
  const auto id = app.add_session(48);
  const auto bystander = app.add_session(48);
  for (const auto* name : {".hidden", ".calib-cleanup.hidden", "lost+found", "uploads"}) {
    app.add_directory(name);
  }
  app.add_directory(id + "/nested");
  const auto images_dir = filled(shape, id, app);
  CAPTURE(images_dir);
  app.execute(
      fmt::format("UPDATE sessions SET images_dir = {} WHERE id = {}", images_dir, sql_text(id)));
  const auto stored = app.text("SELECT images_dir FROM sessions WHERE id = " + sql_text(id));
  app.add_session_row("claims-the-others", "NULL", "'uploads/uploads'");

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  REQUIRE(said.errors.size() == 1);
  CHECK(lines_with(said.errors, fmt::format("session {} is left whole", id)) == 1);
  CHECK(app.is_whole(id));
  CHECK(fs::exists(app.uploads() / id / "nested" / "image_000.png"));
  CHECK(app.text("SELECT images_dir FROM sessions WHERE id = " + sql_text(id)) == stored);
  for (const auto* name : {".hidden", "lost+found", "uploads"}) {
    CHECK(fs::exists(app.uploads() / name / "image_001.png"));
  }
  CHECK(outside_is_untouched(app));
  // What is wrong with one session is no reason to keep another.
  CHECK(app.is_gone(bystander));
}

}  // namespace

TEST_CASE("a session whose images_dir lies outside the uploads folder is left whole",
          "[tool][files][untouched][threads]") {
  for (const auto* shape : {"'{root}/../outside'",
                            "'{root}/../outside/sentinel'",
                            "'../outside'",
                            "'outside'",
                            "'uploads/../../outside'",
                            "'uploads/{id}/../../../outside'",
                            "'uploads/..'",
                            "'uploads/../uploads/{id}'",
                            "'{root}/uploads/../uploads/{id}'",
                            "'/etc/{id}'",
                            "'/'",
                            "'/{id}'",
                            "'.'",
                            "'..'",
                            "'{root}'",
                            "'{root}/backend'",
                            "'{root}/backend/{id}'",
                            "'data/uploads/{id}'",
                            "'~/uploads/{id}'",
                            "'file://{root}/uploads/{id}'",
                            "'uploads2/{id}'",
                            "'UPLOADS/{id}'",
                            "' uploads/{id}'"}) {
    check_left_whole(shape);
  }
}

TEST_CASE("a session whose images_dir is the uploads folder itself or lies deeper is left whole",
          "[tool][files][untouched][threads]") {
  for (const auto* shape :
       {"'uploads'", "'uploads/'", "'./uploads'", "'{root}/uploads'", "'{root}/uploads/.'",
        "'uploads/{id}/nested'", "'{root}/uploads/{id}/nested'", "'/uploads/{id}/nested/'"}) {
    check_left_whole(shape);
  }
}

TEST_CASE("a session whose images_dir names nothing that the app could have made is left whole",
          "[tool][files][untouched]") {
  for (const auto& shape :
       {std::string("''"), std::string("'{id}'"), std::string("'uploads/.hidden'"),
        std::string("'uploads/.calib-cleanup.hidden'"), std::string("'uploads/lost+found'"),
        std::string("'uploads\\{id}'"), "'uploads/' || " + sql_zeros(256)}) {
    check_left_whole(shape);
  }
  if (on_postgresql()) return;
  for (const auto* shape : {"'uploads/{id}' || char(0)", "'uploads/' || char(0) || '{id}'",
                            "'uploads/{id}' || char(0) || '/../..'", "CAST('uploads/{id}' AS BLOB)",
                            "X''", "X'ff00'"}) {
    check_left_whole(shape);
  }
}

TEST_CASE("an images_dir that lies elsewhere is nobody's concern while its session stays",
          "[tool][files][untouched]") {
  App app;
  const auto id = app.add_session(2);
  app.execute("UPDATE sessions SET images_dir = '../outside'");
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_whole(id));
  CHECK(app.fingerprint() == before);
}

TEST_CASE("an images_dir with control bytes is printed on one line", "[tool][files][untouched]") {
  App app;
  const auto id = app.add_session(48);
  app.execute("UPDATE sessions SET images_dir = 'a\n\x1b[2Jb'");

  const auto ran = run_on(app, {});

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"a\\x0a\\x1b[2Jb", id}));
  CHECK(app.is_whole(id));
}

TEST_CASE("without the column images_dir, an id that is no plain name leaves its session whole",
          "[tool][untouched]") {
  const auto* const id =
      GENERATE("../outside", "../../outside", "..", ".", ".hidden", "lost+found", "victim/nested",
               "victim/..", "/etc", "uploads/victim", "victim/");
  CAPTURE(id);
  App app(AppSchema::june_2025);
  const auto victim = app.add_directory("victim/nested");
  app.add_directory(".hidden");
  app.add_directory("lost+found");
  app.add_session_row("victim", sql_text(hours_ago(2)));
  app.add_session_row(id, sql_text(hours_ago(48)));
  app.add_image_rows(id, 3);
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {fmt::format("session {} is left whole", id)}));
  CHECK(app.has_session(id));
  CHECK(app.rows_of(id) == 3);
  CHECK(fs::exists(victim / "image_000.png"));
  CHECK(outside_is_untouched(app));
  CHECK(app.fingerprint() == before);
}

TEST_CASE("an id that no app makes leaves its session whole", "[tool][untouched]") {
  std::vector<std::string> ids{"''", "NULL"};
  if (!on_postgresql()) ids.insert(ids.end(), {"X'6162'", "'ab' || char(0) || 'cd'"});
  const auto id = GENERATE_COPY(from_range(ids));
  CAPTURE(id);
  App app;
  app.empty_database();
  app.execute("CREATE TABLE sessions (id VARCHAR, images_dir VARCHAR, created_at TIMESTAMP)");
  app.execute(fmt::format("INSERT INTO sessions VALUES ({}, 'uploads/pictures', {})", id,
                          sql_text(hours_ago(48))));
  app.add_directory("pictures");
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"session", "left whole"}));
  CHECK(app.fingerprint() == before);
}

TEST_CASE("what an id looks like does not matter where images_dir names a good directory",
          "[tool][files]") {
  App app;
  const std::string id = "../outside";
  app.add_session_row(id, sql_text(hours_ago(48)), "'uploads/pictures'");
  app.add_directory("pictures");

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK_FALSE(app.has_session(id));
  CHECK(app.entries().empty());
  CHECK(outside_is_untouched(app));
}

TEST_CASE("images_dir names a session's directory in all the ways that the app may write it",
          "[tool][files]") {
  const std::string shape =
      GENERATE("uploads/pictures", "./uploads/pictures", "uploads/pictures/", "uploads//pictures",
               "uploads/./pictures", "/anything/uploads/pictures", "/uploads/pictures",
               "/srv/./app//uploads/pictures/", "{root}/uploads/pictures");
  CAPTURE(shape);
  App app;
  app.add_session_row("some-id", sql_text(hours_ago(48)), sql_text(filled(shape, "", app)));
  app.add_image_rows("some-id", 2);
  app.add_directory("pictures");

  // Only sessions, or a directory that was not recognized would go as an orphan.
  const auto ran = run_on(app, {"--session", "some-id"});

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_gone("some-id"));
  CHECK(app.entries().empty());
}

TEST_CASE("images_dir may spell the uploads folder as it is named and where it really is",
          "[tool][files][threads]") {
  struct Spelling {
    std::string uploads;
    std::string images_dir;
    int status;
  };
  const auto spelling = GENERATE(values<Spelling>({
      {"{root}/data/pictures", "{root}/data/pictures/one", 0},
      {"{root}/data/pictures", "data/pictures/one", 0},
      {"{root}/data/pictures/", "./data//pictures/one/", 0},
      {"{root}/data/../data/pictures", "{root}/data/pictures/one", 0},
      {"{root}/data/pictures", "uploads/one", 0},
      {"{root}/data/pictures", "/elsewhere/uploads/one", 0},
      {"data/pictures", "{root}/data/pictures/one", 0},
      {"data/pictures", "data/pictures/one", 0},
      {"{root}/link", "{root}/link/one", 0},
      {"{root}/link", "{root}/data/pictures/one", 0},
      {"{root}/link", "link/one", 0},
      {"{root}/data/pictures", "{root}/data/other/one", 1},
      {"{root}/data/pictures", "{root}/pictures/one", 1},
      {"{root}/data/pictures", "pictures/one", 1},
      {"{root}/data/pictures", "/data/pictures/one", 1},
  }));
  CAPTURE(spelling.uploads, spelling.images_dir);
  App app;
  const auto folder = app.root() / "data" / "pictures";
  fs::create_directories(folder / "one");
  std::ofstream(folder / "one" / "image.png") << "image";
  fs::create_directory_symlink(folder, app.root() / "link");
  app.add_session_row("some-id", sql_text(hours_ago(48)),
                      sql_text(filled(spelling.images_dir, "", app)));

  RunOptions options;
  options.directory = app.root();
  const auto ran = run_on(
      app, {"--session", "some-id", "--uploads", filled(spelling.uploads, "", app)}, options);

  INFO(ran.err);
  CHECK(ran.status == spelling.status);
  CHECK(app.has_session("some-id") == (spelling.status == 1));
  CHECK(fs::exists(folder / "one" / "image.png") == (spelling.status == 1));
  CHECK(fs::is_directory(folder));
}
