// Which database a pass works on: the one that the app itself would use, or the one that was named;
// and never another in its place.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// An app with any number of databases. Each has one session that is due: where it is gone, that
/// database was the one.
class ChoiceApp : public App {
 public:
  ChoiceApp() {
    fs::copy_file(database(), scratch("empty.db"));
    add(database());
    fs::create_directory(uploads() / "old");
  }

  fs::path add(const fs::path& path) {
    fs::create_directories(path.parent_path());
    fs::copy_file(scratch("empty.db"), path, fs::copy_options::overwrite_existing);
    SQLite::Database(path.string(), SQLite::OPEN_READWRITE)
        .exec("INSERT INTO sessions VALUES ('old', 'uploads/old', '2025-01-01 00:00:00')");
    databases_.insert(path);
    return path;
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(root() / name) << text;
  }

  /// The databases whose session is gone, without the folder that all lie in.
  [[nodiscard]] std::set<std::string> used() const {
    std::set<std::string> names;
    for (const auto& path : databases_) {
      SQLite::Database file(path.string(), SQLite::OPEN_READONLY);
      if (file.execAndGet("SELECT count(*) FROM sessions").getInt() == 0) {
        names.insert(path.lexically_relative(root()).string());
      }
    }
    return names;
  }

 private:
  std::set<fs::path> databases_;
};

std::string line_for(const std::string& url) { return fmt::format("DATABASE_URL={}\n", url); }

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("the database is the one that the app itself would use, unless one is named",
          "[tool][database][sqlite]") {
  ChoiceApp app;
  for (const auto* name : {"variable.db", "backend.db", "root.db", "option.db", "own.db"}) {
    app.add(app.root() / name);
  }
  std::vector<std::string> arguments;
  RunOptions options;
  auto& environment = options.environment;
  std::string expected = "backend/calibration.db";
  SECTION("nothing says anything") {}
  SECTION(".env in the root") {
    app.write(".env", line_for("sqlite:///root.db"));
    expected = "root.db";
  }
  SECTION("backend/.env before .env") {
    app.write("backend/.env", line_for("sqlite:///backend.db"));
    app.write(".env", line_for("sqlite:///root.db"));
    expected = "backend.db";
  }
  SECTION("backend/.env, although it does not say: .env is not read then") {
    app.write("backend/.env", "OTHER=1\n");
    app.write(".env", line_for("sqlite:///root.db"));
  }
  SECTION("backend/.env, although it is empty there") {
    app.write("backend/.env", line_for(""));
    app.write(".env", line_for("sqlite:///root.db"));
  }
  SECTION("the environment before backend/.env") {
    environment["DATABASE_URL"] = "sqlite:///variable.db";
    app.write("backend/.env", line_for("sqlite:///backend.db"));
    expected = "variable.db";
  }
  SECTION("the default where the environment's is empty: it hides every .env") {
    environment["DATABASE_URL"] = "";
    app.write("backend/.env", line_for("sqlite:///backend.db"));
  }
  SECTION(".env in a folder above the root, where none is nearer") {
    app.write("../.env", line_for("sqlite:///root.db"));
    expected = "root.db";
  }
  SECTION(".env before one in a folder above") {
    app.write(".env", "OTHER=1\n");
    app.write("../.env", line_for("sqlite:///root.db"));
  }
  SECTION("a folder called .env is passed over") {
    fs::create_directory(app.root() / "backend" / ".env");
    app.write(".env", line_for("sqlite:///root.db"));
    expected = "root.db";
  }
  SECTION("a link called .env that leads nowhere is passed over") {
    fs::create_symlink("gone", app.root() / "backend" / ".env");
    app.write(".env", line_for("sqlite:///root.db"));
    expected = "root.db";
  }
  SECTION("white space beyond ASCII") {
    app.write(".env", "\u00a0DATABASE_URL\u3000=\u2003sqlite:///root.db\u0085#\u2028\n");
    expected = "root.db";
  }
  SECTION("a quoted URL, as people write it") {
    app.write(".env", "# the app\nexport DATABASE_URL=\"sqlite:///root.db\"  # here\n");
    expected = "root.db";
  }
  SECTION("an absolute URL") {
    environment["DATABASE_URL"] = "sqlite:///" + (app.root() / "variable.db").string();
    expected = "variable.db";
  }
  SECTION("the tool's configuration file before DATABASE_URL") {
    environment["DATABASE_URL"] = "sqlite:///variable.db";
    app.write("config.toml", "database = \"sqlite:///own.db\"\n");
    arguments = {"--config", (app.root() / "config.toml").string()};
    expected = "own.db";
  }
  SECTION("the tool's own variable before the file and DATABASE_URL") {
    environment["DATABASE_URL"] = "sqlite:///variable.db";
    environment["CALIB_CLEANUP_DATABASE"] = "sqlite:///own.db";
    app.write("config.toml", "database = \"sqlite:///root.db\"\n");
    arguments = {"--config", (app.root() / "config.toml").string()};
    expected = "own.db";
  }
  SECTION("--database before all") {
    environment["DATABASE_URL"] = "sqlite:///variable.db";
    environment["CALIB_CLEANUP_DATABASE"] = "sqlite:///own.db";
    app.write("backend/.env", line_for("sqlite:///backend.db"));
    arguments = {"--database", (app.root() / "option.db").string()};
    expected = "option.db";
  }

  const auto ran = run_on(app, arguments, options);

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.used() == Names{expected});
}

TEST_CASE("relative URLs start at --app-dir, plain paths at the working directory",
          "[tool][database][sqlite]") {
  ChoiceApp app;
  app.add(app.root() / "data" / "x.db");
  app.add(app.root() / "cwd" / "data" / "x.db");
  app.add(app.root() / "cwd" / "backend" / "calibration.db");
  RunOptions options;
  options.directory = app.root() / "cwd";
  std::vector<std::string> arguments;
  std::string expected = "data/x.db";
  SECTION("DATABASE_URL") { options.environment["DATABASE_URL"] = "sqlite:///data/x.db"; }
  SECTION("DATABASE_URL with a dot") {
    options.environment["DATABASE_URL"] = "sqlite:///./data/x.db";
  }
  SECTION("backend/.env") { app.write("backend/.env", line_for("sqlite:///data/x.db")); }
  SECTION("--database, a URL") { arguments = {"--database", "sqlite:///data/x.db"}; }
  SECTION("--database, a path") {
    arguments = {"--database", "data/x.db"};
    expected = "cwd/data/x.db";
  }
  SECTION("the tool's own variable, a path") {
    options.environment["CALIB_CLEANUP_DATABASE"] = "data/x.db";
    expected = "cwd/data/x.db";
  }
  SECTION("nothing: the app's own") { expected = "backend/calibration.db"; }
  SECTION("nothing, and --app-dir is relative, too") {
    arguments = {"--app-dir", "."};
    expected = "cwd/backend/calibration.db";
    fs::create_directories(app.root() / "cwd" / "uploads" / "old");
  }

  const auto ran = arguments == std::vector<std::string>{"--app-dir", "."}
                       ? run_tool(arguments, options)
                       : run_on(app, arguments, options);

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.used() == Names{expected});
}

TEST_CASE("a DATABASE_URL that cannot be served is refused: never the default in its place",
          "[tool][database][untouched][sqlite]") {
  const std::string url =
      GENERATE("postgresql://calib:secret@db.example/calib", "postgres://calib:secret@localhost/x",
               "postgresql+psycopg2://calib:se/cret@host/x", "mysql://calib:secret@localhost/calib",
               "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/calibration.db",
               "sqlite:///file:calibration.db?uri=true", "sqlite:///backend/calibration.db?mode=ro",
               "sqlite:///backend/%63alibration.db", "sqlite:///backend%2Fcalibration.db",
               "backend/calibration.db", "calib:secret@localhost", "://", " ",
               "sqlite:///no/such.db", "sqlite:///backend", "sqlcipher:///backend/calibration.db");
  CAPTURE(url);
  const auto* const where = GENERATE("environment", "backend/.env", ".env");
  CAPTURE(where);
  const auto dry = GENERATE(false, true);
  ChoiceApp app;
  app.add_directory(new_uuid());
  RunOptions options;
  if (where == std::string("environment")) {
    options.environment["DATABASE_URL"] = url;
  } else {
    app.write(where, fmt::format("DATABASE_URL='{}'\n", url));
  }
  const auto before = app.fingerprint();

  const auto ran =
      run_on(app, dry ? std::vector<std::string>{"-n"} : std::vector<std::string>{}, options);

  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {}));
  CHECK(ran.err.find("secret") == std::string::npos);
  CHECK(ran.err.find("cret@") == std::string::npos);
  CHECK(app.fingerprint() == before);
  CHECK(app.used().empty());
}

TEST_CASE("what --database names and cannot be served is refused in the same way",
          "[tool][database][untouched][sqlite]") {
  const std::string name =
      GENERATE("postgresql://calib:secret@db.example/calib", "mysql://calib:secret@localhost/calib",
               "sqlite:///:memory:", ":memory:", "file:backend/calibration.db", "calib:secret@host",
               "no/such.db", "sqlite:///no/such.db");
  CAPTURE(name);
  const auto by_variable = GENERATE(false, true);
  ChoiceApp app;
  RunOptions options;
  options.directory = app.root();
  std::vector<std::string> arguments;
  if (by_variable) {
    options.environment["CALIB_CLEANUP_DATABASE"] = name;
  } else {
    arguments = {"--database", name};
  }
  const auto before = app.fingerprint();

  const auto ran = run_on(app, arguments, options);

  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {}));
  CHECK(ran.err.find("secret") == std::string::npos);
  CHECK(app.fingerprint() == before);
  CHECK(app.used().empty());
}

TEST_CASE("a .env that cannot be understood is refused: it may name another database",
          "[tool][database][untouched][sqlite]") {
  const auto* const file = GENERATE("backend/.env", ".env", "../.env");
  CAPTURE(file);
  ChoiceApp app;
  const auto path = (app.root() / file).lexically_normal();
  SECTION("a FIFO that nobody writes to") { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }
  SECTION("a line gone wrong") { app.write(file, "DATABASE_URL: sqlite:///root.db\n"); }
  SECTION("a quote that does not end") { app.write(file, "DATABASE_URL=\"sqlite:///root.db\n"); }
  SECTION("bytes that are no UTF-8") { app.write(file, line_for("sqlite:///root.db") + "#\xff\n"); }
  SECTION("a byte order mark") { app.write(file, "\ufeff" + line_for("sqlite:///root.db")); }
  SECTION("what releases read differently") { app.write(file, "DATABASE_URL= #x\n"); }
  SECTION("another variable in it") { app.write(file, "DATABASE_URL=sqlite:///${HOME}/x.db\n"); }
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {path.string()}));
  CHECK(app.fingerprint() == before);
  CHECK(app.used().empty());
}
