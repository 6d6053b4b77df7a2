// Where permissions end: what the tool may not do is said before anything is gone, or keeps the one
// session whole.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <thread>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

RunOptions as_nobody() {
  RunOptions options;
  options.as = As::nobody;
  return options;
}

void set_mode(const fs::path& path, mode_t mode) { REQUIRE(::chmod(path.c_str(), mode) == 0); }

/// Gives the path, and what is in it, to somebody else than the one who runs the tool.
void make_foreign(const fs::path& path) {
  REQUIRE(::chown(path.c_str(), 0, 0) == 0);
  if (!fs::is_directory(path)) return;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    REQUIRE(::lchown(entry.path().c_str(), 0, 0) == 0);
  }
}

/// Flags of a file (ioctl_iflags(2)), while this lives.
class Flags {
 public:
  Flags(const fs::path& path, int flag) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    int flags = 0;
    if (::ioctl(fd_, FS_IOC_GETFLAGS, &flags) == 0) {
      before_ = flags;
      flags |= flag;
      set_ = ::ioctl(fd_, FS_IOC_SETFLAGS, &flags) == 0;
    }
    if (!set_) WARN("skipped: setting these flags takes root and a file system that has them");
  }
  ~Flags() {
    if (set_) ::ioctl(fd_, FS_IOC_SETFLAGS, &before_);
    ::close(fd_);
  }
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;
  Flags(Flags&&) = delete;
  Flags& operator=(Flags&&) = delete;
  [[nodiscard]] bool are_set() const { return set_; }

 private:
  int fd_;
  int before_ = 0;
  bool set_ = false;
};

/// Only root can make what belongs to others.
bool can_give_away() {
  if (::geteuid() == 0) return true;
  WARN("skipped: only root can make directories of other users");
  return false;
}

/// What nothing may change. SQLite makes and removes files beside a WAL database even when it only
/// reads, so the time of that folder says nothing.
std::string seen_by_root(const App& app) {
  std::string state;
  const auto folder = app.database().parent_path().string() + ": ";
  for (const auto& line : lines_of(app.fingerprint())) {
    if (!line.starts_with(folder)) state += line + "\n";
  }
  return state;
}

/// A dry run, which is to say the same of the sessions as the pass after it.
Ran foreseen(const App& app, const RunOptions& options) {
  const auto before = app.fingerprint();
  const auto ran = run_on(app, {"--dry-run"}, options);
  CHECK(app.fingerprint() == before);
  return ran;
}

/// Status 3, one line with these parts, nothing changed.
void check_refused(const App& app, const std::vector<std::string>& parts) {
  const auto before = seen_by_root(app);
  const auto ran = run_on(app, {}, as_nobody());
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, parts));
  CHECK(seen_by_root(app) == before);
}

}  // namespace

TEST_CASE("an ordinary user who owns database and uploads needs no more",
          "[tool][files][permissions][threads]") {
  App app(AppSchema::current, GENERATE(from_range(journals())));
  const auto due = app.add_session(48);
  const auto young = app.add_session(2);
  app.add_directory("orphan");
  app.give_away();

  const auto ran = run_on(app, {}, as_nobody());

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_gone(due));
  CHECK(app.is_whole(young));
  CHECK(app.entries() == std::set<std::string>{young});
}

TEST_CASE("an uploads folder that may not be written is refused, and nothing is touched",
          "[tool][files][permissions][untouched][threads]") {
  App app;
  app.add_session(48);
  app.add_directory("orphan");
  app.give_away();
  const auto mode = GENERATE(mode_t{0555}, mode_t{0444}, mode_t{0111}, mode_t{0});
  set_mode(app.uploads(), mode);

  const auto ran = run_on(app, {}, as_nobody());
  set_mode(app.uploads(), 0755);

  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {app.uploads().string()}));
  CHECK(app.entries().size() == 2);
  CHECK(app.number("SELECT count(*) FROM sessions") == 1);
}

TEST_CASE("a session whose directory belongs to someone else is left whole",
          "[tool][files][permissions][untouched]") {
  if (!can_give_away()) return;
  App app;
  const auto foreign = app.add_session(48);
  const auto bystander = app.add_session(48);
  app.give_away();
  make_foreign(app.uploads() / foreign);

  const auto dry = foreseen(app, as_nobody());
  const auto ran = run_on(app, {}, as_nobody());
  CHECK(dry.err == ran.err);
  CHECK(dry.status == 1);
  CHECK(has_line(dry.out, "Cleanup dry run: Would delete 1 old session"));

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(
      ran, {(app.uploads() / foreign).string(), fmt::format("session {} is left whole", foreign)}));
  CHECK(has_line(ran.out, "Cleanup incomplete: Deleted 1 old session"));
  CHECK(app.is_whole(foreign));
  CHECK(app.is_gone(bystander));
}

TEST_CASE("a session whose directory could not be emptied is left whole",
          "[tool][files][permissions][untouched]") {
  const auto mode = GENERATE(mode_t{0555}, mode_t{0666}, mode_t{0333});
  App app;
  const auto locked = app.add_session(48);
  const auto bystander = app.add_session(48);
  app.give_away();
  set_mode(app.uploads() / locked, mode);

  const auto dry = run_on(app, {"--dry-run"}, as_nobody());
  const auto ran = run_on(app, {}, as_nobody());
  CHECK(lines_with(diagnostics_of(dry).errors, diagnostics_of(ran).errors.at(0)) == 1);
  CHECK(dry.status == 1);
  set_mode(app.uploads() / locked, 0755);

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {fmt::format("session {} is left whole", locked)}));
  CHECK(app.is_whole(locked));
  CHECK(app.is_gone(bystander));
}

TEST_CASE("in a sticky folder only one's own directories go",
          "[tool][files][permissions][untouched]") {
  if (!can_give_away()) return;
  App app;
  const auto foreign = app.add_session(48);
  const auto own = app.add_session(48);
  app.give_away();
  make_foreign(app.uploads() / foreign);
  set_mode(app.uploads() / foreign, 0777);
  REQUIRE(::chown(app.uploads().c_str(), 0, 0) == 0);
  set_mode(app.uploads(), 01777);

  const auto dry = foreseen(app, as_nobody());
  const auto ran = run_on(app, {}, as_nobody());
  CHECK(dry.err == ran.err);
  CHECK(dry.status == 1);

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {fmt::format("session {} is left whole", foreign)}));
  CHECK(app.is_whole(foreign));
  CHECK(app.is_gone(own));
}

TEST_CASE("an orphan that belongs to someone else stays, is named, and hinders nobody",
          "[tool][files][permissions]") {
  if (!can_give_away()) return;
  App app;
  const auto due = app.add_session(48);
  const auto orphan = app.add_directory("foreign");
  app.add_directory("own");
  app.give_away();
  make_foreign(orphan);

  const auto dry = foreseen(app, as_nobody());
  CHECK(dry.status == 1);
  CHECK(is_one_error(dry, {orphan.string() + ": it could not be removed"}));
  CHECK(has_line(dry.out, "Orphaned file cleanup dry run: Would delete 1 directory"));
  const auto ran = run_on(app, {}, as_nobody());

  INFO(ran.err);
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.strays.empty());
  CHECK(said.errors.size() == lines_with(said.errors, orphan.string()));
  CHECK_FALSE(said.errors.empty());
  CHECK(has_line(ran.out, "Orphaned file cleanup incomplete: Deleted 1 directory"));
  CHECK(fs::exists(orphan / "image_001.png"));
  CHECK(app.is_gone(due));
  CHECK(app.entries() == std::set<std::string>{"foreign"});
}

TEST_CASE("what has a flag that keeps it is foreseen", "[tool][files][permissions]") {
  const int flag = GENERATE(FS_IMMUTABLE_FL, FS_APPEND_FL);
  App app;
  const auto fixed = app.add_session(48);
  const auto bystander = app.add_session(48);
  const auto directory = app.uploads() / fixed;
  const Flags flags(directory, flag);
  if (!flags.are_set()) return;

  const auto dry = foreseen(app, {});
  const auto ran = run_on(app, {});

  CHECK(dry.status == 1);
  CHECK(dry.err == ran.err);
  CHECK(has_line(dry.out, "Cleanup dry run: Would delete 1 old session"));
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {directory.string(), fmt::format("session {} is left whole", fixed)}));
  CHECK(app.is_whole(fixed));
  CHECK(app.is_gone(bystander));
}

TEST_CASE("a filter of system calls that does not know faccessat2(2) is no obstacle",
          "[tool][files][permissions]") {
  App app;
  const auto due = app.add_session(48);
  RunOptions options;
  options.interpose = "faccessat:1:1 faccessat:3:1";  // of two calls each the first
  const auto ran = run_on(app, {}, options);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.is_gone(due));
}

TEST_CASE("where the folder cannot be used, the line says what to do",
          "[tool][files][permissions]") {
  App app;
  app.add_session(48);
  const auto before = app.fingerprint();
  const auto [fault, remedy] =
      GENERATE(table<std::string, std::string>({{"openat/uploads:*:13", "run as the app's user"},
                                                {"openat/uploads:*:5", "see to the disk"},
                                                {"openat/uploads:*:24", "too many files are open"},
                                                {"openat/uploads:*:40", "round in a circle"},
                                                {"openat/uploads:*:107", "see to its file server"},
                                                {"openat/uploads:*:20", "name it with --uploads"},
                                                {"statx/uploads:*:1", "seccomp"},
                                                {"statx/uploads:*:38", "seccomp"},
                                                {"flock:*:37", "takes no lock"},
                                                {"flock:*:95", "takes no lock"},
                                                {"flock:*:5", "see to its disk"},
                                                {"faccessat:*:1", "chattr"}}));
  RunOptions options;
  options.interpose = fault;
  CAPTURE(fault, remedy);
  const auto ran = run_on(app, {}, options);
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {app.uploads().string(), remedy}));
  CHECK(app.fingerprint() == before);
}

TEST_CASE("a link to a folder that is not there: it is said where it leads",
          "[tool][files][permissions]") {
  App app;
  app.add_session(48);
  fs::remove_all(app.uploads());
  fs::create_symlink(app.scratch("link"), app.uploads());
  fs::create_symlink(app.scratch("disk") / "uploads", app.scratch("link"));
  const auto ran = run_on(app, {});
  CHECK(ran.status == 3);
  CHECK(is_one_error(
      ran, {app.uploads().string(),
            "it leads to " + (app.scratch("disk") / "uploads").string() + ", which is not there"}));
  CHECK(app.number("SELECT count(*) FROM sessions") == 1);
}

TEST_CASE("a database that may not be written or read is refused, and nothing is touched",
          "[tool][files][permissions][untouched][sqlite]") {
  const auto journal = GENERATE(from_range(journals()));
  App app(AppSchema::current, journal);
  app.add_session(48);
  app.add_directory("orphan");
  app.give_away();
  SECTION("read-only") {
    set_mode(app.database(), 0444);
    check_refused(app, {app.database().string()});
  }
  SECTION("not even readable") {
    set_mode(app.database(), 0);
    check_refused(app, {app.database().string()});
  }
  SECTION("in a folder that may not be entered") {
    set_mode(app.root() / "backend", 0);
    const auto ran = run_on(app, {}, as_nobody());
    set_mode(app.root() / "backend", 0755);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {(app.root() / "backend").string()}));
    CHECK(app.entries().size() == 2);
  }
}

TEST_CASE("a database beside which no journal can be made is refused before an orphan is gone",
          "[tool][files][permissions][untouched][sqlite][threads]") {
  const auto journal = GENERATE(from_range(journals()));
  App app(AppSchema::current, journal);
  app.add_session(48);
  SECTION("with orphans") { app.add_directory("orphan"); }
  SECTION("with leftovers") { app.add_directory(".calib-cleanup." + new_uuid()); }
  SECTION("with sessions alone") {}
  app.give_away();
  set_mode(app.root() / "backend", 0555);
  check_refused(app, {app.database().string()});
  set_mode(app.root() / "backend", 0755);
}

TEST_CASE("a database on a file system that is mounted read-only is refused by that name",
          "[tool][files][permissions][untouched][sqlite]") {
  const auto journal = GENERATE(from_range(journals()));
  App app(AppSchema::current, journal);
  const auto id = app.add_session(48);
  const auto backend = app.database().parent_path();
  std::optional<Ran> ran;
  std::optional<Ran> dry;
  // A thread has a mount namespace of its own for as long as it lives: nothing stays mounted.
  std::thread([&] {
    const unsigned long again = MS_REMOUNT | MS_BIND | MS_RDONLY;
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(backend.c_str(), backend.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
        ::mount("none", backend.c_str(), nullptr, again, nullptr) != 0) {
      return;
    }
    ran = run_on(app, {});
    dry = run_on(app, {"--dry-run"});
  }).join();
  if (!ran) {
    WARN("skipped: bind mounts need root and a mount namespace of their own");
    return;
  }
  INFO(ran->err + dry->err);
  CHECK(ran->status == 3);
  CHECK(is_one_error(*ran, {app.database().string(), "mounted read-only", "mount it writable"}));
  CHECK(app.is_whole(id));
  // What is in write-ahead mode cannot even be read without writing beside it.
  CHECK(dry->status == (journal == Journal::wal ? 3 : 0));
  if (journal == Journal::wal) CHECK(is_one_error(*dry, {"mounted read-only"}));
}

TEST_CASE("a .env that may not be read is refused: it may name another database",
          "[tool][files][permissions][untouched]") {
  const auto* const file = GENERATE("backend/.env", ".env");
  App app;
  app.add_session(48);
  fs::remove(app.root() / "backend" / ".env");
  std::ofstream(app.root() / file) << "DATABASE_URL=sqlite:///elsewhere.db\n";
  app.give_away();
  set_mode(app.root() / file, 0);

  const auto path = (app.root() / file).string();
  check_refused(app, {path, "--database"});

  // Who names the database needs no .env.
  const auto ran = run_on(app, {"--database", app.database_option()}, as_nobody());
  CHECK(ran.status == 0);
  CHECK(app.number("SELECT count(*) FROM sessions") == 0);
}

TEST_CASE("a dry run works for a user who may only read, and changes nothing",
          "[tool][files][permissions]") {
  if (!can_give_away()) return;
  App app;
  app.add_session(48);
  app.add_directory("orphan");
  app.give_away();
  make_foreign(app.root());
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {"--dry-run"}, as_nobody());

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(is_one_warning(ran, {app.uploads().string(), "this user may look"}));
  CHECK(has_line(ran.out, "Cleanup dry run: Would delete 1 old session"));
  CHECK(has_line(ran.out, "Orphaned file cleanup dry run: Would delete 1 directory"));
  CHECK(app.fingerprint() == before);
}
