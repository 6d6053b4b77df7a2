// The app, or another cleaner, works in the folder at the same time and means no harm.

#include "support/catch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("beside: a writer goes on adding files") {
  const Sandbox box;
  box.write("session/image");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  int written = 0;
  int most = 1000;
  hooks.after_read = [&](const std::string&, long got) {
    // At the end of a reading, so that it cannot be part of it.
    if (got == 0 && written < most) box.write("session/late " + std::to_string(++written));
  };

  SECTION("for a while") {
    most = GENERATE(1, 5);
    const auto result = folder.purge("session", links, stop);
    CHECK(result.errors.empty());
    CHECK(result.usage.files == static_cast<std::uint64_t>(1 + most));
    CHECK(names_in(box.uploads).empty());
  }
  SECTION("for good") {
    const auto result = folder.purge("session", links, stop);
    CHECK(lines(result.errors, box.uploads) == std::vector{line("session", ENOTEMPTY)});
    CHECK(written < 100);
    CHECK(stands(box.uploads / "session"));
  }
  SECTION("and directories, for a while") {
    hooks.after_read = [&](const std::string& path, long got) {
      if (got == 0 && path.ends_with("session") && written < 5) {
        box.make("session/late " + std::to_string(++written));
      }
    };
    CHECK(folder.purge("session", links, stop).errors.empty());
    CHECK(written == 5);
    CHECK(names_in(box.uploads).empty());
  }
  SECTION("to a directory that was empty") {
    fs::remove(box.uploads / "session/image");
    most = 1;
    CHECK(folder.purge("session", links, stop).errors.empty());
    CHECK(names_in(box.uploads).empty());
  }
  SECTION("to a staged directory that is restored") {
    REQUIRE_FALSE(folder.stage("session"));
    box.make("session");
    hooks.after_read = [&](const std::string&, long got) {
      if (got != 0 || written == most) return;
      box.write(".calib-cleanup.session/late " + std::to_string(++written));
    };
    most = 5;
    CHECK(folder.restore("session").empty());
    CHECK(names_in(box.uploads / "session").size() == 6);

    REQUIRE_FALSE(folder.stage("session"));
    box.make("session");
    most = 1000;
    CHECK(lines(folder.restore("session"), box.uploads) ==
          std::vector{line(".calib-cleanup.session", ENOTEMPTY)});
    CHECK(written < 100);
  }
}

TEST_CASE("beside: another cleaner is faster") {
  const Sandbox box;
  // Enough of them that it is looked whether the directory was moved.
  const auto fill = [&] {
    for (int i = 0; i < 150; ++i) box.write("session/sub/image " + std::to_string(i));
    box.write("session/image");
  };
  fill();
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  const auto where = GENERATE(as<std::string>{}, "/session", "/sub");
  hooks.after_read = [&](const std::string& path, long) {
    if (path.ends_with(where)) fs::remove_all(box.uploads / "session");
  };
  CHECK(folder.measure("session", Fate::goes, links, stop).errors.empty());
  fill();
  const auto result = folder.purge("session", links, stop);
  CHECK(result.errors.empty());
  // The image beside `sub` was there still.
  CHECK(result.usage.files == (where == "/sub" ? 1 : 0));
  CHECK((result.exclusive_bytes == 0) == (where == "/session"));
}
