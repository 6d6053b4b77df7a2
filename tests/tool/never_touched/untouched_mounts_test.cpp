// Any mount point is a border, bind mounts included.
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>

#include <fstream>
#include <thread>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

struct Mount {
  fs::path what;
  fs::path where;
};

/// Runs the tool where these bind mounts are; nothing where mounting is not allowed. A thread has a
/// mount namespace of its own for as long as it lives, so nothing stays mounted, come what may.
std::optional<Ran> run_with_mounts(const App& app, const std::vector<Mount>& mounts,
                                   const std::vector<std::string>& arguments = {}) {
  std::optional<Ran> ran;
  std::thread([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return;
    }
    for (const auto& [what, where] : mounts) {
      if (::mount(what.c_str(), where.c_str(), nullptr, MS_BIND, nullptr) != 0) return;
    }
    ran = run_on(app, arguments);
  }).join();
  if (!ran) WARN("skipped: bind mounts need root and a mount namespace of their own");
  return ran;
}

/// An app with a folder beside it, to be mounted: on the same file system, so that only the mount
/// tells the two apart.
class MountApp : public App {
 public:
  MountApp() : disk_(scratch("disk")) {
    fs::create_directories(disk_ / "inner");
    std::ofstream(disk_ / "image_000.png") << "stays";
    std::ofstream(disk_ / "inner" / "image_000.png") << "stays";
  }
  [[nodiscard]] const fs::path& disk() const { return disk_; }
  [[nodiscard]] bool disk_stands() const {
    return fs::exists(disk_ / "image_000.png") && fs::exists(disk_ / "inner" / "image_000.png") &&
           fs::exists(outside() / "sentinel");
  }

 private:
  fs::path disk_;
};

}  // namespace

TEST_CASE("a session whose directory is a mount point, or holds one, is left whole",
          "[tool][files][untouched][linux]") {
  MountApp app;
  const auto id = app.add_session(48);
  const auto bystander = app.add_session(48);
  const auto directory = app.uploads() / id;
  auto mount = Mount{app.disk(), directory};
  SECTION("its directory") {}
  SECTION("its directory, from the same folder") { mount.what = directory; }
  SECTION("a directory in it") {
    mount.where = directory / "nested";
    fs::create_directory(mount.where);
  }
  SECTION("a file in it") { mount = {app.disk() / "image_000.png", directory / "image_001.png"}; }
  SECTION("behind a link to the uploads folder") {
    fs::rename(app.uploads(), app.scratch("real"));
    fs::create_directory_symlink(app.scratch("real"), app.uploads());
  }

  const auto ran = run_with_mounts(app, {mount});

  if (!ran) return;
  INFO(ran->err);
  CHECK(ran->status == 1);
  CHECK(is_one_error(*ran,
                     {directory.string(), "mounted", fmt::format("session {} is left whole", id)}));
  CHECK(app.is_whole(id));
  CHECK(app.disk_stands());
  CHECK(app.is_gone(bystander));
}

TEST_CASE("an orphan or a leftover that is a mount point, or holds one, stays",
          "[tool][files][untouched][linux]") {
  const auto name = GENERATE(as<std::string>{}, "orphan", ".calib-cleanup.leftover");
  const auto where = GENERATE(as<std::string>{}, "", "nested", "image_000.png");
  MountApp app;
  app.add_session(2);
  const auto directory = app.add_directory(name);
  fs::create_directory(directory / "nested");
  app.add_directory("plain");
  CAPTURE(name, where);

  const auto ran = run_with_mounts(
      app, {{where == "image_000.png" ? app.disk() / where : app.disk(), directory / where}});

  if (!ran) return;
  INFO(ran->err);
  CHECK(ran->status == 1);
  CHECK(is_one_error(*ran, {directory.string(), "mounted"}));
  CHECK(fs::exists(directory / "image_001.png"));
  CHECK(app.disk_stands());
  CHECK_FALSE(app.entries().contains("plain"));
}

TEST_CASE("where a live session's directory is mounted from stays",
          "[tool][files][untouched][linux]") {
  MountApp app;
  const auto id = app.add_session(2);
  app.add_session(2);
  app.add_directory("plain");
  const auto store = app.add_directory("store");
  fs::create_directory(store / "inner");
  fs::rename(app.uploads() / id, store / "inner" / id);
  fs::create_directory(app.uploads() / id);

  const auto ran = run_with_mounts(app, {{store / "inner" / id, app.uploads() / id}});

  if (!ran) return;
  INFO(ran->err);
  CHECK(ran->status == 1);
  CHECK(is_one_error(*ran, {store.string(), "mounted there, or from there"}));
  CHECK(fs::exists(store / "inner" / id / "image_002.png"));
  CHECK(fs::exists(store / "image_001.png"));
  CHECK_FALSE(app.entries().contains("plain"));
}

TEST_CASE("where the database is mounted from stays", "[tool][files][untouched][sqlite][linux]") {
  const bool whole_folder = GENERATE(true, false);
  MountApp app;
  app.add_session(2);
  app.add_directory("plain");
  const auto store = app.add_directory("store");
  const auto real = store / "calibration.db";
  fs::rename(app.database(), real);
  auto mount = Mount{store, app.root() / "backend"};
  if (!whole_folder) {
    std::ofstream(app.database()).flush();
    mount = {real, app.database()};
  }

  const auto ran = run_with_mounts(app, {mount});

  if (!ran) return;
  INFO(ran->err);
  CHECK(ran->status == 1);
  CHECK(is_one_error(*ran, {store.string(), "mounted there, or from there"}));
  CHECK(fs::exists(real));
  CHECK_FALSE(app.entries().contains("plain"));
}

TEST_CASE("the uploads folder itself may be a mount point", "[tool][files][threads]") {
  MountApp app;
  const auto id = app.add_session(48);
  const auto young = app.add_session(2);
  app.add_directory("orphan");
  fs::rename(app.uploads(), app.scratch("volume"));
  fs::create_directory(app.uploads());

  const auto ran = run_with_mounts(app, {{app.scratch("volume"), app.uploads()}});

  if (!ran) return;
  INFO(ran->err);
  CHECK(ran->status == 0);
  CHECK(ran->err.empty());
  CHECK_FALSE(app.has_session(id));
  CHECK(app.has_session(young));
  CHECK(fs::exists(app.scratch("volume") / young / "image_002.png"));
  CHECK_FALSE(fs::exists(app.scratch("volume") / id));
  CHECK_FALSE(fs::exists(app.scratch("volume") / "orphan"));
}

TEST_CASE("a dry run says the same of mount points", "[tool][files][untouched][linux]") {
  MountApp app;
  const auto id = app.add_session(48);
  const auto before = app.fingerprint();

  const auto ran = run_with_mounts(app, {{app.disk(), app.uploads() / id}}, {"--dry-run"});

  if (!ran) return;
  INFO(ran->err);
  CHECK(ran->status == 1);
  const auto said = diagnostics_of(*ran);
  CHECK(said.strays.empty());
  CHECK(said.errors.size() == 1);
  CHECK(lines_with(said.errors, fmt::format("session {} is left whole", id)) == 1);
  CHECK(has_line(ran->out, "Cleanup dry run: Would delete 0 old sessions"));
  CHECK(app.fingerprint() == before);
  CHECK(app.disk_stands());
}

TEST_CASE("where the kernel does not tell what is mounted, nothing is touched",
          "[tool][files][untouched][mounts][linux]") {
  App app;
  app.add_session(48);
  app.add_directory("orphan");
  const auto before = app.fingerprint();
  // /proc is not there, or not all of it, or cannot be read.
  const auto fault =
      GENERATE(as<std::string>{}, "open/mountinfo:*:2", "open/mountinfo:*:13", "read/mountinfo:1:5",
               "readlink//proc/self/fd:*:2", "read/mountinfo:*:skip");
  const auto arguments =
      GENERATE(as<std::vector<std::string>>{}, none, std::vector<std::string>{"--dry-run"},
               std::vector<std::string>{"--orphans-only"});
  RunOptions options;
  options.interpose = fault;
  CAPTURE(fault, arguments);

  const auto ran = run_on(app, arguments, options);

  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {app.uploads().string(), "mounts cannot be told"}));
  CHECK(app.fingerprint() == before);
}
