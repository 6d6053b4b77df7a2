// Mount points are borders: numbered by hooks for everybody, made for real where that is allowed.

#include "catch.hpp"
#include "dir_fixture.hpp"

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

TEST_CASE("mounts: bind mounts") {
  const Sandbox box;
  box.make("whole");
  box.make("part/mounted");
  box.write("part/file");
  box.write("part/mounted file");
  box.make("blank and\ttab\\/mounted");
  box.make("plain");
  const int status = run_with_mounts([&] {
    // Everything on one file system: the device numbers say nothing.
    if (bind_mount(box.outside, box.uploads / "whole") != 0) return not_possible;
    CHILD_CHECK(bind_mount(box.outside, box.uploads / "part/mounted") == 0);
    CHILD_CHECK(bind_mount(box.outside / "sentinel", box.uploads / "part/mounted file") == 0);
    CHILD_CHECK(bind_mount(box.outside, box.uploads / "blank and\ttab\\/mounted") == 0);
    const UploadDir folder(box.uploads);
    CHILD_CHECK((folder.names_with_mounts() ==
                 std::vector<std::string>{"blank and\ttab\\", "part", "whole"}));
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
