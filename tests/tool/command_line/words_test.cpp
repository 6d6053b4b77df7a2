// What the tool says to whoever got something wrong: what it is about, by its whole path, and what
// to do.
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/scale.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// What one run says, where it cannot run.
std::string refusal(const std::vector<std::string>& arguments, const fs::path& directory) {
  const auto ran = run_tool(arguments, {.directory = directory});
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  const auto errors = diagnostics_of(ran).errors;
  REQUIRE(errors.size() == 1);
  return errors.front();
}

}  // namespace

TEST_CASE("whoever is in the wrong folder is told so", "[tool][words]") {
  const App app;
  const auto elsewhere = app.scratch("elsewhere");
  fs::create_directory(elsewhere);
  CHECK(refusal({"-n"}, elsewhere) ==
        (elsewhere / "uploads").string() +
            ": the uploads folder cannot be opened: No such file or directory; " +
            elsewhere.string() +
            " is no app's root folder, for there is no backend in it either; name that with "
            "--app-dir");
  CHECK(holds_all(refusal({"-n", "--app-dir", "nope"}, elsewhere),
                  {"there is no " + (elsewhere / "nope").string() + " at all", "--app-dir"}));
  // An app's folder without its uploads is another matter.
  fs::remove(app.uploads());
  CHECK(holds_all(refusal({"-n"}, app.root()), {"--uploads", "--app-dir"}));
}

TEST_CASE("whoever works in a folder that has been removed is told so", "[tool][words]") {
  const App app;
  // The shell stays where it is, and begins the tool there.
  const auto gone = app.scratch("gone");
  const auto err = app.scratch("err");
  fs::create_directory(gone);
  const auto line = "cd '" + gone.string() + "' && rmdir '" + gone.string() + "' && '" +
                    executable() + "' -n 2>'" + err.string() + "'";
  const int status = std::system(line.c_str());
  CHECK(WEXITSTATUS(status) == 3);
  CHECK(bytes_in(err) ==
        "calib-cleanup: error: ./uploads: the uploads folder cannot be opened: No such file or "
        "directory; the working directory has been removed; go to the app's root folder (cd), or "
        "name that with --app-dir\n");
}

TEST_CASE("a relative path that was meant to start in the app's folder is told",
          "[tool][words][sqlite]") {
  const App app;
  const auto above = app.root().parent_path();
  const auto name = app.root().filename().string();
  CHECK(holds_all(refusal({"-n", "--app-dir", name, "--uploads", "uploads"}, above),
                  {(above / "uploads").string() + ": ", "starts at the working directory",
                   "did you mean " + app.uploads().string() + "?"}));
  CHECK(holds_all(
      refusal({"-n", "--app-dir", name, "--database", "backend/calibration.db"}, above),
      {(above / "backend/calibration.db").string() + ": ", "starts at the working directory",
       "did you mean " + app.database().string() + "?"}));
}

TEST_CASE("a link that leads nowhere is told with where it leads", "[tool][words][sqlite]") {
  const App app;
  const auto lost = app.scratch("not-mounted");
  fs::create_symlink(lost / "a.db", app.root() / "link.db");
  CHECK(holds_all(refusal({"-n", "--database", "link.db"}, app.root()),
                  {(app.root() / "link.db").string(), "leads to " + (lost / "a.db").string()}));
  fs::remove(app.uploads());
  fs::create_symlink(lost, app.uploads());
  CHECK(holds_all(refusal({"-n"}, app.root()),
                  {app.uploads().string(), "leads to " + lost.string(), "mount"}));
}

TEST_CASE("a database that is not there is told with who names it", "[tool][words][sqlite]") {
  const App app;
  CHECK(refusal({"-n", "--database", "nope.db"}, app.root()) ==
        (app.root() / "nope.db").string() +
            ": there is no database, but --database names it; correct that");
  std::ofstream(app.root() / ".env") << "A=1\n\nDATABASE_URL=sqlite:///nope.db\n";
  CHECK(refusal({"-n"}, app.root()) ==
        (app.root() / "nope.db").string() + ": there is no database, but DATABASE_URL in " +
            (app.root() / ".env").string() +
            " (line 3) names it; correct that, or name another with --database");
}

TEST_CASE("another kind of database is told with all that are served", "[tool][words]") {
  const App app;
  CHECK(holds_all(refusal({"-n", "--database", "mysql://app:secret@host/db"}, app.root()),
                  {"mysql://", "sqlite:///", "postgresql://"}));
}

TEST_CASE("a .env that may not be read is told", "[tool][words]") {
  const App app;
  app.give_away();
  std::ofstream(app.root() / ".env") << "DATABASE_URL=sqlite:///nope.db\n";
  fs::permissions(app.root() / ".env", fs::perms::none);
  const auto ran = run_tool({"-n"}, {.directory = app.root(), .as = As::nobody});
  CHECK(ran.status == 3);
  CHECK(
      is_one_error(ran, {(app.root() / ".env").string(), "Permission denied", "make it readable"}));
}

TEST_CASE("who may look and not delete is told so by a dry run", "[tool][words][sqlite]") {
  App app;
  app.add_session(48);
  app.give_away();
  const auto may_write = GENERATE(as<std::string>{}, "nothing", "uploads", "all");
  CAPTURE(may_write);
  if (may_write == "nothing") {
    fs::permissions(app.uploads(), fs::perms::owner_read | fs::perms::owner_exec);
  }
  if (may_write != "all") fs::permissions(app.database(), fs::perms::owner_read);
  const auto ran = run_on(app, {"-n"}, {.as = As::nobody});
  CHECK(ran.status == 0);
  if (may_write == "all") {
    CHECK(ran.err.empty());
  } else {
    const auto what = may_write == "nothing" ? app.uploads() : app.database();
    CHECK(is_one_warning(ran,
                         {what.string() + ": ", "could not delete", "run that as the app's user"}));
  }
}

TEST_CASE("a path that only a folder can have is no file", "[tool][words][sqlite]") {
  const App app;
  for (const auto* const end : {"/", "/."}) {
    CAPTURE(end);
    const auto database = app.database().string() + end;
    CHECK(refusal({"-n", "--database", database}, app.root()).starts_with(database));
    CHECK(refusal({"-n", "--database", std::string("backend/calibration.db") + end}, app.root())
              .starts_with(app.database().string() + "/"));
    const auto ran =
        run_tool({"--metrics", std::string("m.prom") + end}, {.directory = app.root()});
    CHECK(ran.status == 2);
    CHECK_FALSE(fs::exists(app.root() / "m.prom"));
  }
}

TEST_CASE("paths are told from the root on", "[tool][words][sqlite]") {
  App app;
  app.add_session(48);
  const auto name = app.root().filename().string();
  const auto report =
      run_tool({"-n", "--json", "--app-dir", "../" + name, "--uploads", "../" + name + "/./uploads",
                "--database", "./backend/calibration.db"},
               {.directory = app.root()})
          .json();
  CHECK(report.at("uploads") == app.uploads().string());
  CHECK(report.at("database") == app.database().string());
  CHECK(report.at("deleted_sessions") == 1);
}
