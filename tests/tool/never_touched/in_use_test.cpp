// What the app itself needs stays, wherever the uploads folder is said to be.
#include <sys/stat.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("a directory in uploads that holds the database is no orphan",
          "[tool][untouched][sqlite][threads]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto young = app.add_session(1);
  fs::create_directory(app.uploads() / "db");
  fs::rename(app.database(), app.uploads() / "db" / "calibration.db");
  fs::create_symlink(app.uploads() / "db" / "calibration.db", app.database());

  const auto ran =
      run_on(app, {}, {.environment = {{"DATABASE_URL", "sqlite:///uploads/db/calibration.db"}}});

  CHECK(ran.status == 0);
  CHECK_THAT(ran.err, ContainsSubstring("uploads/db: no session claims it, but the database"));
  CHECK(app.is_gone(old_one));
  CHECK(app.is_whole(young));
}

TEST_CASE("a wrong --uploads never takes the app's own folder for an orphan",
          "[tool][untouched][threads]") {
  App app;
  const auto young = app.add_session(1);
  // The directory of a session stands in the wrong folder, too, so that it counts as proven.
  fs::create_directory(app.root().parent_path() / young);

  const auto ran = run_on(app, {"--uploads", app.root().parent_path().string()});

  CHECK_THAT(ran.err, ContainsSubstring("/app: no session claims it"));
  CHECK(app.is_whole(young));
  CHECK(app.is_sound());
}

TEST_CASE("a link from the app's folder into uploads protects where it leads",
          "[tool][untouched][threads]") {
  App app;
  const auto young = app.add_session(1);
  fs::rename(app.root() / "backend", app.uploads() / "backend");
  fs::create_directory_symlink(app.uploads() / "backend", app.root() / "backend");

  CHECK(run_on(app, {}).status == 0);

  CHECK(app.is_whole(young));
}

TEST_CASE("a directory in uploads through which the app gets to its database is no orphan",
          "[tool][untouched][sqlite][threads]") {
  App app;
  const auto young = app.add_session(1);
  fs::create_directory(app.uploads() / "way");
  fs::create_symlink(app.database(), app.uploads() / "way" / "calibration.db");

  const auto ran =
      run_on(app, {}, {.environment = {{"DATABASE_URL", "sqlite:///uploads/way/calibration.db"}}});

  CHECK(ran.status == 0);
  CHECK(fs::is_symlink(app.uploads() / "way" / "calibration.db"));
  CHECK(app.is_whole(young));
}

TEST_CASE("option --max-delete does not count whom a row that stays holds", "[tool]") {
  App app;
  const auto held = app.add_session(48);
  const auto free = app.add_session(48);
  app.execute("CREATE TABLE notes (about VARCHAR REFERENCES sessions)");
  app.execute("INSERT INTO notes VALUES ('" + held + "')");

  const auto ran = run_on(app, {"--max-delete", "1"});

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(app.is_gone(free));
  CHECK(app.is_whole(held));
}

TEST_CASE("option --metrics never replaces a file that is not its own", "[tool][metrics][sqlite]") {
  App app;
  const auto young = app.add_session(1);
  const auto ran = run_on(app, {"--metrics", app.database().string()});
  CHECK(ran.status == 1);
  CHECK_THAT(ran.err, ContainsSubstring("no metrics file"));
  CHECK(app.is_whole(young));
  CHECK(app.is_sound());
}

TEST_CASE("a FIFO where SQLite keeps a file is refused, not waited for",
          "[tool][untouched][sqlite]") {
  App app(AppSchema::current, GENERATE(Journal::rollback, Journal::wal));
  app.add_session(48);
  const auto* const beside =
      GENERATE("calibration.db-journal", "calibration.db-wal", "calibration.db-shm");
  auto folder = app.root() / "backend";
  if (GENERATE(false, true)) {
    // SQLite follows a link, and keeps its files where the database is.
    folder = app.outside();
    fs::create_directories(folder);
    fs::rename(app.database(), folder / "calibration.db");
    fs::create_symlink(folder / "calibration.db", app.database());
  }
  const auto fifo = folder / beside;
  fs::remove(fifo);
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  for (const auto& arguments : {std::vector<std::string>{}, std::vector<std::string>{"-n"}}) {
    const auto ran = run_on(app, arguments);
    CHECK(ran.status == 3);
    CHECK_THAT(ran.err, ContainsSubstring(std::string(beside) + ": "));
  }
}

TEST_CASE("a directory in uploads is no orphan where a link in it is one of several on the way",
          "[tool][untouched][sqlite][threads]") {
  App app;
  const auto young = app.add_session(1);
  app.add_directory("gone");
  const bool of_a_folder = GENERATE(false, true);
  const auto hop = app.add_directory("hop") / "on";
  fs::create_directories(app.outside());
  const auto from = of_a_folder ? app.root() / "backend" : app.database();
  const auto to = app.outside() / from.filename();
  fs::rename(from, to);
  fs::create_symlink(to, hop);
  fs::create_symlink(fs::path(of_a_folder ? "" : "..") / "uploads" / "hop" / "on", from);

  CHECK(run_on(app, {}).status == 0);

  CHECK(app.entries() == std::set<std::string>{young, "hop"});
  CHECK(app.is_whole(young));
}

TEST_CASE("option --max-delete counts what an interrupted pass left", "[tool]") {
  App app;
  app.add_session(1);
  app.add_directory(std::string(".calib-cleanup.").append(new_uuid()));
  const auto before = app.entries();
  CHECK(run_on(app, {"--max-delete", "0"}).status == 1);
  CHECK(app.entries() == before);
  CHECK(run_on(app, {"--max-delete", "1"}).status == 0);
  CHECK(app.entries().size() == 1);
}

TEST_CASE("a session that claims what all name on the way keeps nobody else", "[tool]") {
  App app;
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(app.add_session(48));
  app.add_session_row("evil", sql_text(hours_ago(48)), "'uploads/uploads'");
  app.add_directory("uploads");
  const auto ran = run_on(app, {});
  CHECK(ran.status == 1);
  for (const auto& id : ids) CHECK(app.is_gone(id));
  CHECK(app.has_session("evil"));
  CHECK(app.entries() == std::set<std::string>{"uploads"});
}

TEST_CASE("the files that say what to do stay: .env and that of --config", "[tool][untouched]") {
  App app;
  const auto young = app.add_session(1);
  const auto config = app.uploads() / "settings" / "cleanup.toml";
  const auto dotenv = app.uploads() / "environment" / "env";
  for (const auto& file : {config, dotenv}) {
    fs::create_directory(file.parent_path());
    std::ofstream(file) << "";
  }
  fs::create_directory(app.uploads() / "nobodys");
  const auto by_link = app.root() / GENERATE(".env", "backend/.env");
  fs::remove(by_link);
  fs::create_symlink(dotenv, by_link);
  const auto ran = run_on(app, {"--config", config.string()});
  INFO(ran.err);
  CHECK(fs::exists(config));
  CHECK(fs::exists(dotenv));
  CHECK(!fs::exists(app.uploads() / "nobodys"));
  CHECK(app.is_whole(young));
}
