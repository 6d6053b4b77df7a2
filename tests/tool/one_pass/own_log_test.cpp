// A database in write-ahead mode whose users write another log than the one beside it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <thread>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// An app of which a session is due, with its database in write-ahead mode.
struct WalApp : App {
  WalApp() : App(AppSchema::current, Journal::wal) { due = add_session(48); }
  [[nodiscard]] fs::path beside(const std::string& suffix) const {
    return database().string() + suffix;
  }
  std::string due;
};

/// Where the file is mounted alone, as a container has it that was given no more than that.
fs::path container_database(const App& app) {
  auto path = app.scratch("container") / "calibration.db";
  fs::create_directories(path.parent_path());
  std::ofstream(path).flush();
  return path;
}

/// Makes a mount namespace that lasts as long as who lives in it, and does `work` there. False
/// where that is not allowed.
bool in_mount_namespace(const std::function<bool()>& work) {
  bool done = false;
  std::thread([&] {
    done = ::unshare(CLONE_NEWNS) == 0 &&
           ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && work();
  }).join();
  if (!done) WARN("skipped: bind mounts need root and a mount namespace of their own");
  return done;
}

bool bind_mount_of(const fs::path& what, const fs::path& where) {
  return ::mount(what.c_str(), where.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

/// What stands beside the database, and what in it, without SQLite, which would make a log.
std::map<std::string, std::string> files_of(const App& app) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(app.database().parent_path())) {
    files.emplace(entry.path().filename(), bytes_in(entry.path()));
  }
  return files;
}

/// Status 3 and one line with these parts, from a dry run, too, and nothing is changed.
void check_other_log_refused(const App& app, std::vector<std::string> parts) {
  parts.push_back(app.database().string());
  parts.emplace_back("write-ahead mode");
  const auto files = files_of(app);
  const auto entries = app.entries();
  for (const auto& arguments : {none, std::vector<std::string>{"--dry-run"}}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, parts));
    CHECK((files_of(app) == files));
    CHECK(app.entries() == entries);
  }
}

/// A process that holds the lock in the database that whoever has it open holds.
class Locker {
 public:
  explicit Locker(const fs::path& database) {
    std::array<int, 2> ready{};
    REQUIRE(::pipe(ready.data()) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int file = ::open(database.c_str(), O_RDWR);
      struct flock lock {};
      lock.l_type = F_RDLCK;
      lock.l_start = 0x40000002;
      lock.l_len = 510;
      const bool done = ::fcntl(file, F_SETLK, &lock) == 0 && ::write(ready[1], "", 1) == 1;
      while (done) ::pause();
      ::_exit(1);
    }
    char got = 1;
    ::close(ready[1]);
    REQUIRE(::read(ready[0], &got, 1) == 1);
    ::close(ready[0]);
  }
  ~Locker() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Locker(const Locker&) = delete;
  Locker& operator=(const Locker&) = delete;
  Locker(Locker&&) = delete;
  Locker& operator=(Locker&&) = delete;

 private:
  pid_t pid_;
};

constexpr const char* open_it = "SELECT count(*) FROM sessions";

}  // namespace

TEST_CASE("a database that a container has open as a file mounted alone is refused",
          "[tool][untouched][own-log][sqlite]") {
  const WalApp app;
  const auto other = container_database(app);
  std::unique_ptr<DatabaseUser> container;
  const auto live = new_uuid();
  if (!in_mount_namespace([&] {
        if (!bind_mount_of(app.database(), other)) return false;
        container = open_sqlite_database(other)->user(
            fmt::format("INSERT INTO sessions (id, images_dir, created_at) VALUES ('{0}', "
                        "'uploads/{0}', '{1}')",
                        live, hours_ago(0.1)));
        return true;
      })) {
    return;
  }
  app.add_directory(live);
  check_other_log_refused(app, {"open under another name", "mount its whole folder"});
  CHECK(fs::exists(app.uploads() / live / "image_000.png"));
  // The last one that closes it puts the log into the database; who is killed leaves it.
  container.reset();
  CHECK(run_on(app, {"--dry-run"}).status == 0);
}

TEST_CASE("a database in write-ahead mode that is mounted alone is refused",
          "[tool][untouched][own-log][sqlite]") {
  const WalApp app;
  const auto other = container_database(app);
  const bool at_our_name = GENERATE(false, true);
  if (at_our_name) {
    fs::remove(other);
    fs::rename(app.database(), other);
    std::ofstream(app.database()).flush();
  }
  in_mount_namespace([&] {
    if (!(at_our_name ? bind_mount_of(other, app.database())
                      : bind_mount_of(app.database(), other)))
      return false;
    check_other_log_refused(app, {"mounted alone", "mount its whole folder"});
    return true;
  });
}

TEST_CASE("a folder that is mounted with the log beside the database is as good as any",
          "[tool][own-log][sqlite][threads]") {
  const WalApp app;
  const auto backend = app.database().parent_path();
  const auto other = app.scratch("container");
  fs::create_directories(other);
  std::unique_ptr<DatabaseUser> user;
  if (!in_mount_namespace([&] {
        if (!bind_mount_of(backend, other)) return false;
        user = open_sqlite_database(other / "calibration.db")->user(open_it);
        const auto dry = run_on(app, {"--dry-run"});
        CHECK(dry.err.empty());
        CHECK(dry.status == 0);
        return true;
      })) {
    return;
  }
  const auto ran = run_on(app, {});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.is_gone(app.due));
}

TEST_CASE("a database whose -shm or -wal was removed under whoever has it open is refused",
          "[tool][untouched][own-log][sqlite]") {
  const auto* const removed = GENERATE("-shm", "-wal");
  const bool made_anew = GENERATE(false, true);
  const WalApp app;
  const auto user = app.user(open_it);
  REQUIRE(fs::remove(app.beside(removed)));
  if (made_anew && std::string(removed) == "-shm") std::ofstream(app.beside(removed)).flush();
  check_other_log_refused(app, {"-wal or -shm was removed"});
}

TEST_CASE("a database in write-ahead mode is served whoever has it open by its name",
          "[tool][own-log][sqlite]") {
  const WalApp app;
  std::unique_ptr<DatabaseUser> user;
  SECTION("nobody") {}
  SECTION("the app") { user = app.user(open_it); }
  SECTION("the app, by a link") {
    fs::create_symlink(app.database(), app.scratch("link.db"));
    user = open_sqlite_database(app.scratch("link.db"))->user(open_it);
  }
  SECTION("somebody who was killed") { app.user(open_it).reset(); }
  const auto ran = run_on(app, {});
  CHECK(ran.err.empty());
  CHECK(ran.status == 0);
  CHECK(app.is_gone(app.due));
}

TEST_CASE("who is just opening the database is waited for", "[tool][own-log][sqlite]") {
  const WalApp app;
  auto opening = std::make_optional<Locker>(app.database());
  Running running({"--app-dir", app.root().string()}, at("open/calibration.db-shm:1:stop-after"));
  REQUIRE(running.wait_until_stopped());
  // It has opened its log by now.
  const auto user = app.user(open_it);
  opening.reset();
  const auto ran = running.finish();
  CHECK(ran.err.empty());
  CHECK(ran.status == 0);
  CHECK(app.is_gone(app.due));
}

TEST_CASE("a lock that stays, and nobody at the log, is somebody with another log",
          "[tool][untouched][own-log][sqlite]") {
  const WalApp app;
  const Locker other(app.database());
  check_other_log_refused(app, {"open under another name"});
}

TEST_CASE("whoever uses the log beside the database hides nobody who has another one",
          "[tool][untouched][own-log][sqlite]") {
  const WalApp app;
  const auto user = app.user(open_it);
  const Locker other(app.database());
  for (const auto& arguments : {none, std::vector<std::string>{"--dry-run"}}) {
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {"write-ahead mode", "open under another name"}));
  }
  CHECK(app.is_whole(app.due));
}

TEST_CASE("in rollback mode it does not matter by which name others read",
          "[tool][own-log][sqlite]") {
  App app;
  const auto due = app.add_session(48);
  const auto other = container_database(app);
  in_mount_namespace([&] {
    if (!bind_mount_of(app.database(), other)) return false;
    const auto user = open_sqlite_database(other)->user(open_it);
    const auto ran = run_on(app, {});
    CHECK(ran.err.empty());
    CHECK(ran.status == 0);
    return true;
  });
}
