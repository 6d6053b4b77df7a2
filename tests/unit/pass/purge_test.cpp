// Removing directories, and what is told of it.
#include "pass/purge.hpp"

#include <sys/mount.h>

#include "support/catch.hpp"
#include "unit/pass/pass_fixture.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("a purge says of each directory what it occupied", "[pass][purge]") {
  PassFixture fixture;
  fixture.make_directory("a", 5000);
  fixture.make_directory("b", 100);
  const auto occupied = du(fixture.uploads_path() / "a") + du(fixture.uploads_path() / "b");
  OpenedPass pass(fixture);

  const auto purged = pass.purger.purge({"a", "missing", "b"}, ErrorKind::directory);
  REQUIRE(purged.gone.size() == 3);
  REQUIRE(purged.gone[0]);
  CHECK(purged.gone[0]->files == 1);
  CHECK(purged.gone[0]->apparent_bytes >= 5000);
  CHECK(purged.gone[1]);  // it is gone already
  CHECK(purged.gone[2]);
  CHECK(purged.freed_bytes == occupied);
  CHECK(purged.failures.empty());
  CHECK_FALSE(purged.ended);
  CHECK_FALSE(fixture.stands("a"));
  CHECK_FALSE(fixture.stands("b"));
}

TEST_CASE("a purge leaves what may not go", "[pass][purge]") {
  PassFixture fixture;
  fixture.make_directory("a");
  fixture.make_directory("b");
  OpenedPass pass(fixture);

  const auto purged = pass.purger.purge({"a", "b"}, ErrorKind::orphan,
                                        [](std::size_t entry) { return entry == 1; });
  CHECK_FALSE(purged.gone[0]);
  CHECK(purged.gone[1]);
  CHECK(fixture.stands("a/image.jpg"));
  CHECK_FALSE(fixture.stands("b"));
}

TEST_CASE("an inode with two names is freed once", "[pass][purge]") {
  PassFixture fixture;
  fixture.make_directory("a");
  fixture.make_directory("b");
  std::filesystem::create_hard_link(fixture.uploads_path() / "a/image.jpg",
                                    fixture.uploads_path() / "b/same.jpg");
  const auto image = du(fixture.uploads_path() / "a/image.jpg");
  const auto directory = du(fixture.uploads_path() / "a") - image;
  OpenedPass pass(fixture);

  const auto first = pass.purger.purge({"a"}, ErrorKind::directory);
  CHECK(first.freed_bytes == directory);
  CHECK(pass.purger.freed_with_last_link() == 0);
  const auto second = pass.purger.purge({"b"}, ErrorKind::directory);
  CHECK(first.freed_bytes + second.freed_bytes + pass.purger.freed_with_last_link() ==
        2 * directory + 2 * image);  // one of them is b's own
}

TEST_CASE("what was purged before the folder became read-only is told of", "[pass][purge]") {
  PassFixture fixture;
  fixture.make_directory("a");
  fixture.make_directory("b");
  CHECK(run_with_mounts([&] {
          if (bind_mount(fixture.uploads_path(), fixture.uploads_path()) != 0) return not_possible;
          const UploadDir uploads(fixture.uploads_path());
          Purger purger(uploads, 1, fixture.monitor());
          const auto becomes_read_only = [&](std::size_t entry) {
            if (entry == 0) return true;
            return ::mount(nullptr, fixture.uploads_path().c_str(), nullptr,
                           MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
          };
          const auto purged = purger.purge({"a", "b"}, ErrorKind::directory, becomes_read_only);
          CHILD_CHECK(purged.gone[0]);
          CHILD_CHECK(!purged.gone[1]);
          CHILD_CHECK(purged.freed_bytes > 0);
          CHILD_CHECK(purged.ended);
          return 0;
        }) == 0);
  CHECK(fixture.stands("b/image.jpg"));
}

TEST_CASE("a stop leaves the rest of a purge to the next pass", "[pass][purge]") {
  PassFixture fixture;
  fixture.make_directory("a");
  OpenedPass pass(fixture);
  fixture.stop.request(SIGTERM);
  const auto purged = pass.purger.purge({"a"}, ErrorKind::directory);
  CHECK_FALSE(purged.gone[0]);
  CHECK(fixture.stands("a"));
}
