// Somebody moves things about while the tool works, so that it deletes what stands elsewhere.

#include <utility>

#include "support/catch.hpp"
#include "support/swap.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

bool is_link(const fs::path& path) { return fs::is_symlink(fs::symlink_status(path)); }

}  // namespace

TEST_CASE("attack: the directory is swapped between the look and the move") {
  const Sandbox box;
  box.write("session/image");
  const auto session = box.uploads / "session";
  const UploadDir folder(box.uploads);
  Hooks hooks;
  bool armed = true;

  SECTION("for a link") {
    hooks.before_rename = [&] {
      if (!std::exchange(armed, false)) return;
      fs::rename(session, box.uploads / "aside");
      fs::create_symlink(box.outside, session);
    };
    CHECK(folder.stage("session").value() == ENOTDIR);
    CHECK(is_link(session));
    CHECK(names_in(box.uploads) == std::vector<std::string>{"aside", "session"});
  }
  SECTION("for another directory") {
    hooks.before_rename = [&] {
      if (!std::exchange(armed, false)) return;
      fs::rename(session, box.uploads / "aside");
      box.write("session/precious");
    };
    CHECK(folder.stage("session").value() == ESTALE);
    CHECK(stands(session / "precious"));
    CHECK(names_in(box.uploads) == std::vector<std::string>{"aside", "session"});
  }
  SECTION("for another directory that has the same inode number") {
    // The number is not given out again while the directory is held open.
    hooks.before_rename = [&] {
      if (!std::exchange(armed, false)) return;
      fs::remove_all(session);
      box.write("session/precious");
    };
    CHECK(folder.stage("session").value() == ESTALE);
    CHECK(stands(session / "precious"));
  }
  CHECK(box.outside_is_untouched());
}

TEST_CASE("attack: a subdirectory is swapped for a link after it was listed") {
  const Sandbox box;
  box.write("session/sub/image");
  box.write("session/image");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  bool armed = true;
  hooks.after_read = [&](const std::string&, long) {
    if (!std::exchange(armed, false)) return;
    fs::rename(box.uploads / "session/sub", box.uploads / "aside");
    fs::create_symlink(box.outside, box.uploads / "session/sub");
  };

  SECTION("while it is measured") {
    const auto result = folder.measure("session", Fate::goes, links, stop);
    CHECK(result.errors.empty());
    CHECK(result.usage.files == 2);
  }
  SECTION("while it is purged") {
    const auto result = folder.purge("session", links, stop);
    CHECK(result.errors.empty());
    CHECK(names_in(box.uploads) == std::vector<std::string>{"aside"});
  }
  CHECK(box.outside_is_untouched());
  CHECK(stands(box.uploads / "aside/image"));
}

TEST_CASE("attack: a file is swapped for a directory and back") {
  const Sandbox box;
  box.write("session/entry");
  const auto entry = box.uploads / "session/entry";
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;

  SECTION("after it was listed") {
    bool armed = true;
    hooks.after_read = [&](const std::string&, long) {
      if (!std::exchange(armed, false)) return;
      fs::remove(entry);
      box.write("session/entry/image");
    };
    CHECK(folder.purge("session", links, stop).errors.empty());
    CHECK(names_in(box.uploads).empty());
  }
  SECTION("after it was looked at") {
    bool armed = true;
    hooks.other_mount = [&](const std::string& path) {
      if (path.ends_with("session/entry") && std::exchange(armed, false)) {
        fs::remove(entry);
        box.write("session/entry/image");
      }
      return false;
    };
    CHECK(folder.purge("session", links, stop).errors.empty());
    CHECK(names_in(box.uploads).empty());
  }
  SECTION("whenever it is looked at") {
    // statx sees a directory, openat a file, for as long as anybody asks.
    const auto spare = box.make("spare");
    hooks.unknown_types = true;
    hooks.other_mount = [&](const std::string& path) {
      if (path.ends_with("session/entry")) exchange(entry, spare);
      return false;
    };
    exchange(entry, spare);
    const auto result = folder.purge("session", links, stop);
    CHECK(lines(result.errors, box.uploads) == std::vector{line("session/entry", ESTALE)});
  }
}

TEST_CASE("attack: a directory that is moved out while it is purged keeps all but a few entries") {
  const Sandbox box;
  constexpr int files = 400;
  constexpr std::size_t at_most = 128;
  const auto inner = GENERATE(as<std::string>{}, "", "a/b");
  const auto full = inner.empty() ? fs::path("session") : fs::path("session") / inner;
  box.make(full);
  for (int i = 0; i < files; ++i) write_file(box.uploads / full / std::to_string(i), "");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  bool armed = true;
  const auto move_when_read = [&](fs::path what, fs::path where) {
    hooks.after_read = [&, what, where](const std::string& path, long) {
      if (fs::path(path) != box.uploads / full) return;
      if (std::exchange(armed, false)) fs::rename(what, where);
    };
  };

  SECTION("to another place") { move_when_read(box.uploads / "session", box.outside / "saved"); }
  SECTION("a part of it") {
    if (inner.empty()) return;
    fs::create_directory(box.outside / "saved");
    move_when_read(box.uploads / "session/a", box.outside / "saved/a");
  }
  SECTION("to another name in the folder") {
    move_when_read(box.uploads / "session", box.uploads / ".saved");
  }

  const auto result = folder.purge("session", links, stop);

  REQUIRE_FALSE(armed);
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].error.value() == ESTALE);
  const auto saved =
      stands(box.uploads / ".saved") ? box.uploads / ".saved" : box.outside / "saved";
  CHECK(names_in(saved / inner).size() >= files - at_most);
  CHECK(result.usage.files <= at_most);
}

TEST_CASE("attack: a directory is moved away while the walk is in it") {
  const Sandbox box;
  // Whichever comes first: its sibling has a namesake outside.
  box.write("session/one/deep/image");
  box.write("session/two/deep/image");
  fs::create_directory(box.outside / "one");
  fs::create_directory(box.outside / "two");
  write_file(box.outside / "one/precious", "");
  write_file(box.outside / "two/precious", "");
  const auto listed = names_in(box.outside);
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  bool armed = true;
  hooks.after_read = [&](const std::string& path, long) {
    if (!path.ends_with("/deep") || !std::exchange(armed, false)) return;
    fs::rename(fs::path(path).parent_path(), box.outside / "moved");
  };

  SECTION("for removal") {
    const auto result = folder.purge("session", links, stop);
    REQUIRE(result.errors.size() == 1);
    CHECK(result.errors[0].error.value() == ESTALE);
    CHECK(stands(box.uploads / "session"));
  }
  SECTION("for its size") {
    const auto result = folder.measure("session", Fate::goes, links, stop);
    REQUIRE(result.errors.size() == 1);
    CHECK(result.errors[0].error.value() == ESTALE);
    CHECK(result.usage.files == 1);
  }
  CHECK(stands(box.outside / "one/precious"));
  CHECK(stands(box.outside / "two/precious"));
  CHECK(box.outside_is_untouched());
  CHECK(names_in(box.outside).size() == listed.size() + 1);
}
