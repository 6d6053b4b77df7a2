// Which entries of a folder a way leads through.
#include "uploads/ways.hpp"

#include <fcntl.h>

#include "base/fd.hpp"
#include "support/catch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

using Names = std::vector<std::string>;

Names way_of(const Sandbox& box, const std::string& name) {
  Names names;
  const StopFlag stop;
  for (const auto& entry : UploadDir(box.uploads).way_of(name, stop)) names.push_back(entry.name);
  return names;
}

void link(const Sandbox& box, const std::string& name, const fs::path& target) {
  fs::create_symlink(target, box.uploads / name);
}

}  // namespace

TEST_CASE("a way leads through every entry that it meets, in that order", "[ways]") {
  const Sandbox box;
  box.make("b/c/d");
  SECTION("no link") { CHECK(way_of(box, "b") == Names{"b"}); }
  SECTION("nothing there") { CHECK(way_of(box, "none") == Names{"none"}); }
  SECTION("relative") {
    link(box, "a", "b");
    CHECK(way_of(box, "a") == Names{"a", "b"});
  }
  SECTION("to below an entry, in any spelling") {
    link(box, "a", ".//b/./c/");
    CHECK(way_of(box, "a") == Names{"a", "b"});
  }
  SECTION("absolute") {
    link(box, "a", box.uploads / "b" / "c");
    CHECK(way_of(box, "a") == Names{"a", "b"});
  }
  SECTION("a chain") {
    link(box, "a", "a2");
    link(box, "a2", box.uploads / "a3");
    link(box, "a3", "b");
    CHECK(way_of(box, "a") == Names{"a", "a2", "a3", "b"});
  }
  SECTION("a link in an entry") {
    box.make("e");
    fs::create_symlink("../../e", box.uploads / "b" / "c" / "on");
    link(box, "a", "b/c/on");
    CHECK(way_of(box, "a") == Names{"a", "b", "e"});
  }
  SECTION("in and out of an entry again") {
    box.make("e");
    link(box, "a", "b/../e");
    CHECK(way_of(box, "a") == Names{"a", "b", "e"});
  }
  SECTION("out of the folder, and back by another name of it") {
    fs::create_symlink(box.uploads, box.outside / "back");
    link(box, "a", box.outside / "back" / "b");
    CHECK(way_of(box, "a") == Names{"a", "b"});
  }
  SECTION("up to its root, and back") {
    link(box, "a", "../" + box.uploads.filename().string() + "/b");
    CHECK(way_of(box, "a") == Names{"a", "b"});
  }
  SECTION("out of the folder") {
    link(box, "a", box.outside);
    CHECK(way_of(box, "a") == Names{"a"});
  }
  SECTION("to nowhere, through an entry") {
    link(box, "a", "b/none/deeper");
    CHECK(way_of(box, "a") == Names{"a", "b"});
  }
  SECTION("to a file") {
    box.write("file");
    link(box, "a", "file");
    CHECK(way_of(box, "a") == Names{"a", "file"});
  }
  SECTION("round and round, until it ends") {
    link(box, "a", "a");
    const auto names = way_of(box, "a");
    CHECK(names.size() > 1);
    CHECK(names.size() < 100);
  }
}

TEST_CASE("a way through a bind mount of the folder leads through its entries", "[ways]") {
  const Sandbox box;
  box.make("b");
  link(box, "a", box.outside / "mounted" / "b");
  fs::create_directory(box.outside / "mounted");
  const int status = run_with_mounts([&] {
    if (bind_mount(box.uploads, box.outside / "mounted") != 0) return not_possible;
    CHILD_CHECK((way_of(box, "a") == Names{"a", "b"}));
    return 0;
  });
  if (status == not_possible) {
    WARN("skipped: mounting needs root");
    return;
  }
  CHECK(status == 0);
}

TEST_CASE("an entry on a way is told with its kind and its inode", "[ways]") {
  const Sandbox box;
  box.make("b");
  link(box, "a", "b/../none");
  const auto way = UploadDir(box.uploads).way_of("a", StopFlag());
  REQUIRE(way.size() == 3);
  CHECK(way[0].kind == EntryKind::link);
  CHECK(way[1].kind == EntryKind::directory);
  CHECK(way[2].inode == 0);
  for (const auto& entry : UploadDir(box.uploads).list()) {
    if (entry.name == "a") CHECK(way[0].inode == entry.inode);
    if (entry.name == "b") CHECK(way[1].inode == entry.inode);
  }
}
