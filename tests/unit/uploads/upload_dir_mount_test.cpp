// Mount points are borders: numbered by hooks for everybody, made for real where that is allowed.
#include <sys/mount.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("mounts: the border, as the kernel numbers mounts") {
  const Sandbox box;
  box.write("session/sub/image");
  box.write("session/file");
  box.write("session/goes");
  box.write("top");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  std::string border;
  hooks.other_mount = [&](const std::string& path) { return path == border; };

  SECTION("a directory and a file in a session") {
    hooks.other_mount = [](const std::string& path) {
      return path.ends_with("session/sub") || path.ends_with("session/file");
    };
    const std::vector expected{line("session/file", EXDEV), line("session/sub", EXDEV)};
    const auto measured = folder.measure("session", Fate::goes, links, stop);
    CHECK(lines(measured.errors, box.uploads) == expected);
    CHECK(measured.usage.files == 1);
    CHECK(lines(folder.purge("session", links, stop).errors, box.uploads) == expected);
    CHECK(names_in(box.uploads / "session") == std::vector<std::string>{"file", "sub"});
    CHECK(stands(box.uploads / "session/sub/image"));
  }
  SECTION("a session's directory") {
    border = (box.uploads / "session").string();
    CHECK(folder.stage("session").value() == EXDEV);
    const std::vector expected{line("session", EXDEV)};
    CHECK(lines(folder.purge("session", links, stop).errors, box.uploads) == expected);
    CHECK(stands(box.uploads / "session/goes"));
  }
  SECTION("a staged directory") {
    REQUIRE_FALSE(folder.stage("session"));
    border = (box.uploads / ".calib-cleanup.session").string();
    CHECK(lines(folder.restore("session"), box.uploads) ==
          std::vector{line(".calib-cleanup.session", EXDEV)});
    box.make("session");
    border = (box.uploads / "session").string();
    CHECK(lines(folder.restore("session"), box.uploads) == std::vector{line("session", EXDEV)});
    CHECK(stands(box.uploads / ".calib-cleanup.session/goes"));
  }
  SECTION("a file in the folder is not the folder's") {
    border = (box.uploads / "top").string();
    const auto top = folder.measure_top(links, stop);
    CHECK(top.errors.empty());
    CHECK(top.usage.files == 0);
  }
}

TEST_CASE("mounts: bind mounts", "[linux]") {
  const Sandbox box;
  box.make("whole");
  box.make("part/mounted");
  box.write("part/file");
  box.write("part/mounted file");
  box.make("blank and\ttab\\/mounted");
  box.make("return\rand\vtab/mounted");
  box.make("plain");
  const int status = run_with_mounts([&] {
    // Everything on one file system: the device numbers say nothing.
    if (bind_mount(box.outside, box.uploads / "whole") != 0) return not_possible;
    CHILD_CHECK(bind_mount(box.outside, box.uploads / "part/mounted") == 0);
    CHILD_CHECK(bind_mount(box.outside / "sentinel", box.uploads / "part/mounted file") == 0);
    CHILD_CHECK(bind_mount(box.outside, box.uploads / "blank and\ttab\\/mounted") == 0);
    CHILD_CHECK(bind_mount(box.outside, box.uploads / "return\rand\vtab/mounted") == 0);
    const UploadDir folder(box.uploads);
    CHILD_CHECK(
        (folder.names_with_mounts() ==
         std::vector<std::string>{"blank and\ttab\\", "part", "return\rand\vtab", "whole"}));
    const StopFlag stop;
    HardLinks links;
    CHILD_CHECK(folder.stage("whole").value() == EXDEV);
    CHILD_CHECK((lines(folder.purge("whole", links, stop).errors, box.uploads) ==
                 std::vector{line("whole", EXDEV)}));
    const std::vector expected{line("part/mounted file", EXDEV), line("part/mounted", EXDEV)};
    CHILD_CHECK(lines(folder.measure("part", Fate::goes, links, stop).errors, box.uploads) ==
                expected);
    CHILD_CHECK(lines(folder.purge("part", links, stop).errors, box.uploads) == expected);
    CHILD_CHECK(!stands(box.uploads / "part/file"));
    CHILD_CHECK(box.outside_is_untouched());

    CHILD_CHECK(bind_mount(box.uploads, box.root / "read-only", true) == ENOENT);
    fs::create_directory(box.root / "read-only");
    CHILD_CHECK(bind_mount(box.uploads, box.root / "read-only", true) == 0);
    const UploadDir read_only(box.root / "read-only");
    CHILD_CHECK(read_only.check_writable().value() == EROFS);
    CHILD_CHECK(read_only.stage("plain").value() == EROFS);
    return 0;
  });
  if (status == not_possible) {
    WARN("skipped: bind mounts need root and a mount namespace of their own");
  } else {
    CHECK(status == 0);
  }
  CHECK(box.outside_is_untouched());
  CHECK(UploadDir(box.uploads).names_with_mounts().empty());
}

TEST_CASE("mounts: from an entry that has gone since, or of another name", "[linux]") {
  const Sandbox box;
  box.make("gone");
  box.make("export/inner");
  box.make("exp");
  fs::create_directory(box.root / "served");
  fs::create_directory(box.root / "elsewhere");
  const int status = run_with_mounts([&] {
    if (bind_mount(box.uploads / "gone", box.root / "served") != 0) return not_possible;
    CHILD_CHECK(bind_mount(box.uploads / "export/inner", box.root / "elsewhere") == 0);
    // What is mounted is the directory that was removed, and not the one that stands there now.
    fs::remove(box.uploads / "gone");
    fs::create_directory(box.uploads / "gone");
    CHILD_CHECK((UploadDir(box.uploads).names_with_mounts() == std::vector<std::string>{"export"}));
    return 0;
  });
  if (status == not_possible) {
    WARN("skipped: bind mounts need root and a mount namespace of their own");
  } else {
    CHECK(status == 0);
  }
}

TEST_CASE("mounts: in a root folder of its own, whose mount is not listed", "[linux]") {
  const Sandbox box;
  box.make("mounted");
  box.make("export");
  box.make("plain");
  fs::create_directory(box.root / "served");
  fs::create_directory(box.root / "proc");
  const int status = run_with_mounts([&] {
    if (bind_mount(box.outside, box.uploads / "mounted") != 0) return not_possible;
    CHILD_CHECK(bind_mount(box.uploads / "export", box.root / "served") == 0);
    CHILD_CHECK(::mount("proc", (box.root / "proc").c_str(), "proc", 0, nullptr) == 0);
    CHILD_CHECK(::chroot(box.root.c_str()) == 0 && ::chdir("/") == 0);
    const UploadDir folder("/uploads");
    CHILD_CHECK((folder.names_with_mounts() == std::vector<std::string>{"export", "mounted"}));
    // Without a list of mounts nobody knows.
    CHILD_CHECK(::umount2("/proc", MNT_DETACH) == 0);
    const auto fails = [](const auto& call) {
      try {
        call();
      } catch (const std::runtime_error& error) {
        const std::string text = error.what();
        return text.starts_with("/uploads: mounts cannot be told without /proc") &&
               text.find("; mount it") != std::string::npos;
      }
      return false;
    };
    CHILD_CHECK(fails([&] { static_cast<void>(folder.names_with_mounts()); }));
    CHILD_CHECK(fails([&] { const UploadDir another("/uploads"); }));
    return 0;
  });
  if (status == not_possible) {
    WARN("skipped: bind mounts need root and a mount namespace of their own");
  } else {
    CHECK(status == 0);
  }
}

TEST_CASE("mounts: a folder that was removed, or is called so") {
  const Sandbox box;
  fs::create_directory(box.root / "uploads (deleted)");
  CHECK(UploadDir(box.root / "uploads (deleted)").names_with_mounts().empty());
  const UploadDir folder(box.uploads);
  fs::remove(box.uploads);
  CHECK_THROWS_WITH(folder.names_with_mounts(),
                    Catch::Matchers::ContainsSubstring("the folder was removed"));
}
