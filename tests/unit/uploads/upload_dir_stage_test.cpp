#include <utility>

#include "support/catch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

std::string staged(const std::string& name) { return std::string(staged_prefix) + name; }

}  // namespace

TEST_CASE("upload_dir: staging and restoring") {
  const Sandbox box;
  const UploadDir folder(box.uploads);
  const bool refuses_flags = GENERATE(false, true);
  CAPTURE(refuses_flags);
  Hooks hooks;
  hooks.refuses_flags = refuses_flags;

  SECTION("there and back") {
    box.write("session/image");
    CHECK_FALSE(folder.stage("session"));
    CHECK(names_in(box.uploads) == std::vector{staged("session")});
    // It is aside, which is not the same as gone.
    CHECK(folder.stage("session").value() == EEXIST);
    CHECK(folder.restore("session").empty());
    CHECK(names_in(box.uploads) == std::vector<std::string>{"session"});
    CHECK(read_text(box.uploads / "session/image").size() == 10);
    CHECK(folder.restore("session").empty());
  }
  SECTION("nothing but a directory") {
    box.write("file");
    fs::create_symlink(box.outside, box.uploads / "link");
    fs::create_symlink("nowhere", box.uploads / "dangling");
    for (const auto* name : {"file", "link", "dangling"}) {
      CHECK(folder.stage(name).value() == ENOTDIR);
      CHECK(stands(box.uploads / name));
    }
    CHECK(folder.stage("missing").value() == ENOENT);
    CHECK(names_in(box.uploads).size() == 3);
  }
  SECTION("never over what is staged") {
    box.write("session/new");
    box.make(staged("session"));
    CHECK(folder.stage("session").value() == EEXIST);
    CHECK(stands(box.uploads / "session/new"));
  }
  SECTION("a name that leaves no room for the prefix") {
    const std::string longest(255, 'n');
    box.make(longest);
    CHECK(folder.stage(longest).value() == ENAMETOOLONG);
    CHECK(stands(box.uploads / longest));
    const std::string fits(255 - staged_prefix.size(), 'n');
    box.make(fits);
    CHECK_FALSE(folder.stage(fits));
  }
  SECTION("nothing to restore") {
    CHECK(lines(folder.restore("session"), box.uploads) ==
          std::vector{line(staged("session"), ENOENT)});
  }
  SECTION("a staged link is not given back as a directory") {
    fs::create_symlink(box.outside, box.uploads / staged("session"));
    CHECK(lines(folder.restore("session"), box.uploads) ==
          std::vector{line(staged("session"), ENOTDIR)});
    CHECK_FALSE(stands(box.uploads / "session"));
  }
  SECTION("the app has made the directory anew") {
    box.write("session/1", 1);
    box.write("session/2", 1);
    box.write("session/sub/deep", 1);
    fs::create_symlink("nowhere", box.uploads / "session/link");
    CHECK_FALSE(folder.stage("session"));
    box.write("session/2", 2);
    box.write("session/3", 2);
    if (refuses_flags)
      fs::create_hard_link(box.uploads / staged("session") / "1", box.uploads / "session/1");
    CHECK(lines(folder.restore("session"), box.uploads) ==
          std::vector{line(staged("session") + "/2", EEXIST)});
    CHECK(names_in(box.uploads / "session") ==
          std::vector<std::string>{"1", "2", "3", "link", "sub"});
    CHECK(names_in(box.uploads / staged("session")) == std::vector<std::string>{"2"});
    CHECK(read_text(box.uploads / "session/2").size() == 2);
    CHECK(stands(box.uploads / "session/sub/deep"));

    fs::remove(box.uploads / "session/2");
    CHECK(folder.restore("session").empty());
    CHECK(read_text(box.uploads / "session/2").size() == 1);
    CHECK(names_in(box.uploads) == std::vector<std::string>{"session"});
  }
  SECTION("something else has the name now") {
    box.write("session/1", 1);
    CHECK_FALSE(folder.stage("session"));
    const bool link = GENERATE(false, true);
    if (link) {
      fs::create_symlink(box.outside, box.uploads / "session");
    } else {
      box.write("session");
    }
    CHECK(lines(folder.restore("session"), box.uploads) == std::vector{line("session", ENOTDIR)});
    CHECK(stands(box.uploads / staged("session") / "1"));
    CHECK(names_in(box.outside) == std::vector<std::string>{"inner", "sentinel"});
  }
}

TEST_CASE(
    "upload_dir: what is aside comes back where there are no links, and never over anything") {
  const Sandbox box;
  const UploadDir folder(box.uploads);
  Hooks hooks;
  hooks.refuses_flags = true;
  hooks.link_error = GENERATE(EPERM, ENOSYS, EOPNOTSUPP);
  box.write(staged("session") + "/1", 1);
  box.write(staged("session") + "/2", 1);
  box.write("session/2", 2);
  CHECK(lines(folder.restore("session"), box.uploads) ==
        std::vector{line(staged("session") + "/2", EEXIST)});
  CHECK(names_in(box.uploads / "session") == std::vector<std::string>{"1", "2"});
  CHECK(read_text(box.uploads / "session/2").size() == 2);
  CHECK(names_in(box.uploads / staged("session")) == std::vector<std::string>{"2"});

  hooks.link_error = EIO;
  fs::remove(box.uploads / "session/2");
  CHECK(lines(folder.restore("session"), box.uploads) ==
        std::vector{line(staged("session") + "/2", EIO)});
}

TEST_CASE("upload_dir: what is aside is merged with a directory that is made at the last moment") {
  const Sandbox box;
  const UploadDir folder(box.uploads);
  Hooks hooks;
  hooks.refuses_flags = true;
  box.write(staged("session") + "/1");
  bool is_made = false;
  hooks.before_plain_rename = [&] {
    if (!std::exchange(is_made, true)) box.write("session/2");
  };
  CHECK(folder.restore("session").empty());
  CHECK(names_in(box.uploads) == std::vector<std::string>{"session"});
  CHECK(names_in(box.uploads / "session") == std::vector<std::string>{"1", "2"});
}

TEST_CASE("upload_dir: a directory that could not be emptied is not staged") {
  const Sandbox box;
  for (const auto* name : {"0600", "0500", "0300", "0700"}) box.write(fs::path(name) / "image");
  box.give_away();
  const int status = run_unprivileged([&] {
    const UploadDir folder(box.uploads);
    for (const auto* name : {"0600", "0500", "0300"}) {
      const auto mode = static_cast<fs::perms>(std::stoi(name, nullptr, 8));
      fs::permissions(box.uploads / name, mode);
      CHILD_CHECK(folder.stage(name).value() == EACCES);
      CHILD_CHECK(stands(box.uploads / name));
    }
    CHILD_CHECK(!folder.stage("0700"));
    return 0;
  });
  CHECK(status == 0);
}
