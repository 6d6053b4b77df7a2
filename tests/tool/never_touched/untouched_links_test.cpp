// Nothing outside the uploads folder is touched: no link is followed below it, not even one that
// takes the place of a directory while the pass runs.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// An app with a tree outside its uploads folder that looks like a session's directory.
class LinkApp : public App {
 public:
  LinkApp() : tree_(outside() / "tree") {
    fs::create_directories(tree_ / "inner");
    for (const auto* name : {"image_000.png", "image_001.png", "inner/image_000.png"}) {
      std::ofstream(tree_ / name) << "stays";
    }
  }
  [[nodiscard]] const fs::path& tree() const { return tree_; }
  [[nodiscard]] bool tree_stands() const {
    for (const auto* name : {"image_000.png", "image_001.png", "inner/image_000.png"}) {
      std::string text;
      std::getline(std::ifstream(tree_ / name), text);
      if (text != "stays") return false;
    }
    return fs::exists(outside() / "sentinel");
  }

 private:
  fs::path tree_;
};

/// A device node of the null device; false where making one is not allowed.
bool add_device(const fs::path& path, mode_t kind) {
  if (::mknod(path.c_str(), kind | 0600U, makedev(1, 3)) == 0) return true;
  WARN("skipped: device nodes need root");
  return false;
}

}  // namespace

TEST_CASE("a session whose directory is a link or a file is left whole",
          "[tool][files][untouched]") {
  LinkApp app;
  const auto id = app.add_session(48);
  const auto bystander = app.add_session(48);
  const auto directory = app.uploads() / id;
  fs::remove_all(directory);
  SECTION("a link to a directory outside") { fs::create_directory_symlink(app.tree(), directory); }
  SECTION("a link to a directory in the folder") {
    app.add_directory(".hidden");
    fs::create_directory_symlink(".hidden", directory);
  }
  SECTION("a link to nowhere") { fs::create_symlink("nowhere", directory); }
  SECTION("a link to itself") { fs::create_symlink(id, directory); }
  SECTION("a file") { std::ofstream(directory) << "a file"; }
  SECTION("a FIFO") { REQUIRE(::mkfifo(directory.c_str(), 0600) == 0); }
  SECTION("a device") {
    if (!add_device(directory, S_IFCHR)) return;
  }

  const auto ran = run_on(app, {});

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {directory.string(), fmt::format("session {} is left whole", id)}));
  CHECK(app.has_session(id));
  CHECK(app.rows_of(id) == 4);
  CHECK(fs::symlink_status(directory).type() != fs::file_type::not_found);
  CHECK(app.tree_stands());
  CHECK(app.is_gone(bystander));
}

TEST_CASE("links inside a directory that goes are unlinked themselves, never followed",
          "[tool][files][untouched]") {
  LinkApp app;
  app.add_session(2);
  const auto id = app.add_session(48);
  app.add_directory("orphan");
  for (const auto& directory : {app.uploads() / id, app.uploads() / "orphan"}) {
    fs::create_directory_symlink(app.tree(), directory / "absolute");
    fs::create_directory_symlink("../../../outside/tree", directory / "relative");
    fs::create_symlink(app.outside() / "sentinel", directory / "file");
    fs::create_symlink("nowhere", directory / "broken");
    fs::create_symlink("loop", directory / "loop");
    fs::create_directory_symlink("..", directory / "up");
    fs::create_hard_link(app.tree() / "image_000.png", directory / "hard");
    fs::create_directory(directory / "nested");
    fs::create_directory_symlink(app.tree(), directory / "nested" / "deeper");
  }

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 1 old session"));
  CHECK(has_line(ran.out, "Orphaned file cleanup completed: Deleted 1 directory"));
  CHECK(app.is_gone(id));
  CHECK(app.entries().size() == 1);
  CHECK(app.tree_stands());
  CHECK(fs::hard_link_count(app.tree() / "image_000.png") == 1);
}

TEST_CASE("FIFOs and device nodes go with their directory, and are never opened",
          "[tool][files][untouched]") {
  LinkApp app;
  const auto id = app.add_session(48);
  app.add_directory("orphan", 0);
  for (const auto& directory : {app.uploads() / id, app.uploads() / "orphan"}) {
    REQUIRE(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    // The block device of these numbers does not exist: opening it would fail.
    if (!add_device(directory / "character", S_IFCHR)) break;
    if (!add_device(directory / "block", S_IFBLK)) break;
  }
  const auto expected = std::distance(fs::directory_iterator(app.uploads() / id), {});

  for (const bool dry : {true, false}) {
    // A FIFO that is opened waits for a writer, for ever.
    const auto ran = dry ? run_on(app, {"--json", "--dry-run"}) : run_on(app, {"--json"});
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    REQUIRE(ran.json().at("sessions").size() == 1);
    CHECK(ran.json().at("sessions").front().at("files") == expected);
  }
  CHECK(app.is_gone(id));
  CHECK(app.entries().empty());
}

TEST_CASE("the uploads folder itself may be reached through links", "[tool][files][threads]") {
  LinkApp app;
  const auto id = app.add_session(48);
  const auto young = app.add_session(2);
  app.add_directory("orphan");
  const auto real = app.scratch("disk");
  fs::rename(app.uploads(), real);
  fs::create_directory_symlink(real, app.scratch("by-way"));
  fs::create_directory_symlink(app.scratch("by-way"), app.uploads());

  const auto ran = run_on(app, {});

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_gone(id));
  CHECK(app.is_whole(young));
  CHECK(fs::is_symlink(app.uploads()));
  CHECK(app.entries() == std::set<std::string>{young});
  CHECK(app.tree_stands());
}

TEST_CASE("what is no uploads folder is refused, and nothing is touched",
          "[tool][files][untouched][threads]") {
  LinkApp app;
  app.add_session(48);
  const auto folder = app.scratch("folder");
  SECTION("missing") {}
  SECTION("a file") { std::ofstream(folder) << "a file"; }
  SECTION("a link to nowhere") { fs::create_symlink("nowhere", folder); }
  const auto before = app.fingerprint();

  const auto ran = run_on(app, {"--uploads", folder.string()});

  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {folder.string(), "--uploads"}));
  CHECK(app.fingerprint() == before);
  CHECK_FALSE(fs::is_directory(folder));
}

TEST_CASE("a directory swapped for a link before it is moved aside keeps its session whole",
          "[tool][files][untouched][threads]") {
  LinkApp app;
  const auto id = app.add_session(48);
  const auto directory = app.uploads() / id;
  RunOptions options;
  options.interpose = "renameat2:1:stop renameat:1:stop";
  Running running({"--app-dir", app.root().string()}, options);
  REQUIRE(running.wait_until_stopped());
  fs::rename(directory, app.scratch("moved"));
  fs::create_directory_symlink(app.tree(), directory);

  const auto ran = running.finish();

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {directory.string(), fmt::format("session {} is left whole", id)}));
  CHECK(app.has_session(id));
  CHECK(app.rows_of(id) == 4);
  CHECK(fs::is_symlink(directory));
  CHECK(app.entries() == std::set<std::string>{id});
  CHECK(fs::exists(app.scratch("moved") / "image_002.png"));
  CHECK(app.tree_stands());
}

TEST_CASE("a staged directory swapped for a link while it is purged leads nowhere",
          "[tool][files][untouched][threads]") {
  LinkApp app;
  const auto id = app.add_session(48);
  RunOptions options;
  options.interpose = "unlinkat/image_:2:stop";
  Running running({"--app-dir", app.root().string()}, options);
  REQUIRE(running.wait_until_stopped());
  const auto staged = app.staged(id);
  fs::rename(staged, app.scratch("moved"));
  fs::create_directory_symlink(app.tree(), staged);

  const auto ran = running.finish();

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {staged.string()}));
  CHECK_FALSE(app.has_session(id));
  CHECK(app.tree_stands());
}

TEST_CASE("a directory inside an orphan swapped for a link while the pass runs is not entered",
          "[tool][files][untouched][threads]") {
  LinkApp app;
  app.add_session(2);
  const auto orphan = app.add_directory("orphan");
  app.add_directory("orphan/nested");
  RunOptions options;
  options.interpose = "unlinkat/image_:1:stop";
  Running running({"--app-dir", app.root().string(), "--jobs", "1"}, options);
  REQUIRE(running.wait_until_stopped());
  fs::rename(orphan / "nested", app.scratch("moved"));
  fs::create_directory_symlink(app.tree(), orphan / "nested");

  const auto ran = running.finish();

  INFO(ran.err);
  // The link has no business to stay, either: it goes itself.
  CHECK(ran.status == 0);
  CHECK_FALSE(fs::exists(fs::symlink_status(orphan)));
  CHECK(fs::exists(app.scratch("moved") / "image_000.png"));
  CHECK(app.tree_stands());
}

TEST_CASE("the uploads folder is opened once: what takes its path meanwhile is not touched",
          "[tool][files][untouched][threads]") {
  LinkApp app;
  const auto id = app.add_session(48);
  RunOptions options;
  options.interpose = "renameat2:1:stop renameat:1:stop";
  Running running({"--app-dir", app.root().string()}, options);
  REQUIRE(running.wait_until_stopped());
  const auto real = app.scratch("moved");
  fs::rename(app.uploads(), real);
  fs::create_directory(app.uploads());
  const auto decoy = app.add_directory(id);

  const auto ran = running.finish();

  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK_FALSE(app.has_session(id));
  CHECK(fs::is_empty(real));
  CHECK(fs::exists(decoy / "image_001.png"));
}
