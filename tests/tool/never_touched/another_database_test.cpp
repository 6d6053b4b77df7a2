// The net under the choice of the database: a directory that was made long after its last change is
// another database's upload.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>
#include <tuple>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

void change_minutes_ago(const fs::path& file, double minutes) {
  timespec now{};
  REQUIRE(::clock_gettime(CLOCK_REALTIME, &now) == 0);
  now.tv_sec -= static_cast<std::time_t>(minutes * 60);
  const timespec times[]{now, now};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), static_cast<const timespec*>(times), 0) == 0);
}

/// The clock of births goes on in steps.
bool is_younger(const fs::path& file, const fs::path& other) {
  struct statx one = {};
  struct statx two = {};
  if (::statx(AT_FDCWD, file.c_str(), 0, STATX_BTIME, &one) != 0) return false;
  REQUIRE(::statx(AT_FDCWD, other.c_str(), 0, STATX_BTIME, &two) == 0);
  return std::tie(one.stx_btime.tv_sec, one.stx_btime.tv_nsec) >
         std::tie(two.stx_btime.tv_sec, two.stx_btime.tv_nsec);
}

/// An app that has not been changed for a day, and whose folder another one's uploads lie in.
struct WrongDatabase : App {
  explicit WrongDatabase(int count = 2, Journal journal = Journal::rollback)
      : App(AppSchema::current, journal), due(add_session(48)), young(add_session(2)) {
    add_image_rows(new_uuid(), 2);
    add_directory("pictures");
    for (int i = 0; i < count; ++i) others.push_back(new_uuid());
    for (const auto& id : others) add_directory(id);
    age();
  }
  void age() const {
    for (const auto* suffix : {"", "-wal", "-journal"}) {
      const auto file = database().string() + suffix;
      if (fs::exists(file)) change_minutes_ago(file, 24 * 60);
    }
  }
  [[nodiscard]] bool others_stand() const {
    for (const auto& id : others) {
      if (!fs::exists(uploads() / id / "image_001.png")) return false;
    }
    return true;
  }
  std::string due;
  std::string young;
  std::vector<std::string> others;
};

/// The fingerprint without the database's folder: whoever reads one in write-ahead mode makes and
/// removes files there.
std::string files_of(const App& app) {
  const auto folder = app.database().parent_path().string() + ": ";
  std::string state;
  for (const auto& line : lines_of(app.fingerprint())) {
    if (!line.starts_with(folder)) state += line + '\n';
  }
  return state;
}

void check_refused(const WrongDatabase& app, const Ran& ran, const std::string& before) {
  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  CHECK(said.errors.size() == app.others.size());
  for (const auto& id : app.others) {
    CHECK(lines_with(said.errors, (app.uploads() / id).string() + ": ") == 1);
  }
  CHECK(lines_with(said.errors, "name the right database with --database") == app.others.size());
  CHECK(files_of(app) == before);
}

}  // namespace

TEST_CASE("where the folder holds another database's uploads nothing goes, pass after pass",
          "[tool][untouched][wrong-database][sqlite][threads]") {
  const WrongDatabase app(2, GENERATE(from_range(journals())));
  const auto arguments = GENERATE(values<std::vector<std::string>>(
      {{}, {"--orphans-only"}, {"--hours", "0"}, {"--vacuum"}, {"--orphan-grace", "60"}}));
  CAPTURE(arguments);
  const auto before = files_of(app);
  auto dry = arguments;
  dry.emplace_back("--dry-run");
  check_refused(app, run_on(app, dry), before);
  // What a pass changes itself must not make the next one believe the database.
  check_refused(app, run_on(app, arguments), before);
  check_refused(app, run_on(app, arguments), before);
  CHECK(app.is_whole(app.due));
}

TEST_CASE("a pass that is refused leaves the log of a database in write-ahead mode",
          "[tool][untouched][wrong-database][sqlite]") {
  const WrongDatabase app(1, Journal::wal);
  const auto log = app.database().string() + "-wal";
  {
    // Somebody who is killed leaves his log.
    const auto user = app.user(
        "INSERT INTO calibration_images (session_id, image_path) VALUES "
        "('somebody', 'x')");
    REQUIRE(fs::exists(log));
  }
  app.age();
  const auto before = files_of(app);
  for (int pass = 0; pass < 2; ++pass) check_refused(app, run_on(app, {}), before);
  CHECK(fs::exists(log));
}

TEST_CASE("a pass that deletes nothing leaves the log of a database in write-ahead mode",
          "[tool][untouched][wrong-database][sqlite]") {
  App app(AppSchema::current, Journal::wal);
  app.add_session(2);
  const auto log = app.database().string() + "-wal";
  {
    const auto user = app.user(
        "INSERT INTO calibration_images (session_id, image_path) VALUES "
        "('somebody', 'x')");
    REQUIRE(fs::exists(log));
  }
  const auto before = files_of(app);
  CHECK(run_on(app, {"--session", new_uuid()}).status == 1);
  CHECK(run_on(app, {}).status == 0);
  CHECK(fs::file_size(log) > 0);
  CHECK(files_of(app) == before);
}

TEST_CASE("an empty database that is younger than the uploads beside it proves nothing",
          "[tool][untouched][wrong-database][sqlite][linux]") {
  const App app;
  const auto id = new_uuid();
  app.add_directory(id);
  // The app makes one wherever its DATABASE_URL leads.
  const auto made = app.scratch("made.db");
  while (!is_younger(made, app.uploads() / id)) {
    fs::remove(made);
    fs::copy_file(app.database(), made);
  }
  RunOptions options;
  options.environment["DATABASE_URL"] = "sqlite:///" + made.string();
  for (const auto& arguments : {std::vector<std::string>{}, {"--orphans-only"}, {"--dry-run"}}) {
    const auto ran = run_on(app, arguments, options);
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {"is younger than 1 directory here (" + id + ")"}));
    CHECK(app.entries().contains(id));
  }
  CHECK(run_on(app, {"--database", made.string()}).status == 0);
  CHECK_FALSE(app.entries().contains(id));
}

TEST_CASE("any file of the database tells when it was changed",
          "[tool][untouched][wrong-database][sqlite]") {
  const auto suffix = GENERATE(as<std::string>{}, "", "-wal", "-journal");
  const double minutes = GENERATE(1, 9, 11);
  CAPTURE(suffix, minutes);
  const WrongDatabase app(1);
  const auto file = app.database().string() + suffix;
  if (!suffix.empty()) std::ofstream(file) << '\0';
  change_minutes_ago(file, minutes);
  const auto ran = run_on(app, {"--dry-run"});
  CHECK(ran.status == (minutes < 10 ? 0 : 1));
}

TEST_CASE("the log is looked for beside the file to which a link leads",
          "[tool][untouched][wrong-database][sqlite][threads]") {
  const WrongDatabase app(1);
  const auto real = app.scratch("real.db");
  fs::rename(app.database(), real);
  fs::create_symlink(real, app.database());
  std::ofstream(real.string() + "-wal") << '\0';
  CHECK(run_on(app, {"--dry-run"}).status == 0);
}

TEST_CASE("whoever names the database on the command line vouches for it",
          "[tool][wrong-database][sqlite]") {
  const WrongDatabase app;
  SECTION("there") {
    const auto ran = run_on(app, {"--database", app.database_option()});
    CHECK(ran.status == 0);
    CHECK(app.entries() == std::set<std::string>{app.young});
  }
  SECTION("elsewhere") {
    const auto before = files_of(app);
    RunOptions options;
    options.environment["CALIB_CLEANUP_DATABASE"] = app.database_option();
    check_refused(app, run_on(app, {}, options), before);
  }
}

TEST_CASE("a named session goes: no orphan is looked at for it", "[tool][wrong-database][sqlite]") {
  const WrongDatabase app;
  const auto ran = run_on(app, {"--session", app.due});
  CHECK(ran.status == 0);
  CHECK(app.is_gone(app.due));
  CHECK(app.others_stand());
}

TEST_CASE("many of another database's uploads make eleven lines",
          "[tool][untouched][wrong-database][sqlite][threads]") {
  const WrongDatabase app(25);
  const auto ran = run_on(app, {});
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.size() == 11);
  CHECK(lines_with(said.errors, "and 15 directories more") == 1);
  CHECK(app.others_stand());
}

TEST_CASE(
    "what an old pass has left of another database's uploads is one of them, what ours is not",
    "[tool][untouched][wrong-database][sqlite][threads]") {
  const WrongDatabase app(0);
  const auto name = new_uuid();
  const auto unmarked = app.add_directory(aside_prefix + name);
  const auto ran = run_on(app, {});
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {unmarked.string(), "--database"}));
  CHECK(app.is_whole(app.due));
  CHECK(fs::exists(unmarked / "image_001.png"));
}

TEST_CASE("what is aside is given back, whatever else is refused",
          "[tool][wrong-database][sqlite]") {
  const WrongDatabase app;
  fs::rename(app.uploads() / app.young, app.uploads() / (aside_prefix + app.young));
  app.age();
  const auto ran = run_on(app, {});
  CHECK(ran.status == 1);
  CHECK(app.is_whole(app.young));
  CHECK(app.is_whole(app.due));
  CHECK(app.others_stand());
}

TEST_CASE("where no birth is told, the time of the last change stands for it",
          "[tool][untouched][wrong-database][sqlite]") {
  const WrongDatabase app(1);
  const auto before = files_of(app);
  RunOptions options;
  options.environment["CALIB_TEST_BIRTH"] = "none";
  check_refused(app, run_on(app, {}, options), before);
  change_minutes_ago(app.database(), 1);
  CHECK(run_on(app, {}, options).status == 0);
}

TEST_CASE("a server's database has no such date", "[tool][wrong-database][postgresql]") {
  App app;
  if (!on_postgresql()) return;
  app.add_session(2);
  app.add_directory(new_uuid());
  CHECK(run_on(app, {}).status == 0);
  CHECK(app.entries().size() == 1);
}
