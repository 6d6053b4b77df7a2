// Giving back what an interrupted pass has moved aside.
#include "pass/recovery.hpp"

#include "support/catch.hpp"
#include "unit/pass/pass_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

/// Moves these aside, as a pass does that is killed then.
std::vector<std::string> stage(const UploadDir& uploads, const std::vector<std::string>& names) {
  std::vector<std::string> entries;
  for (const auto& name : names) {
    REQUIRE_FALSE(uploads.stage(name));
    entries.push_back(uploads.staged_entry_of(name));
  }
  return entries;
}

}  // namespace

TEST_CASE("what was moved aside is given back and counted", "[pass][recovery]") {
  PassFixture fixture;
  fixture.make_directory("a");
  fixture.make_directory("b");
  const UploadDir uploads(fixture.uploads_path());
  const auto entries = stage(uploads, {"a", "b"});

  const auto restored = restore_entries(uploads, entries, fixture.stop);
  CHECK(restored.count == 2);
  CHECK(restored.failures.empty());
  CHECK(fixture.stands("a/image.jpg"));
  CHECK(fixture.stands("b/image.jpg"));
  CHECK_FALSE(fixture.stands(entries[0]));
  CHECK_FALSE(sync_restored(uploads));
}

TEST_CASE("what cannot be given back whole is told of and not counted", "[pass][recovery]") {
  PassFixture fixture;
  fixture.make_directory("a");
  fixture.make_directory("b");
  const UploadDir uploads(fixture.uploads_path());
  const auto entries = stage(uploads, {"a", "b"});
  fixture.make_directory("a");  // the app has made it anew, with a file of the same name

  const auto restored = restore_entries(uploads, entries, fixture.stop);
  CHECK(restored.count == 1);
  REQUIRE(restored.failures.size() == 1);
  CHECK(restored.failures.front().path == fixture.uploads_path() / entries[0] / "image.jpg");
  CHECK(fixture.stands(entries[0] + "/image.jpg"));
  CHECK(fixture.stands("b/image.jpg"));
}

TEST_CASE("a stop leaves the rest aside", "[pass][recovery]") {
  PassFixture fixture;
  fixture.make_directory("a");
  const UploadDir uploads(fixture.uploads_path());
  const auto entries = stage(uploads, {"a"});
  fixture.stop.request(SIGTERM);

  CHECK(restore_entries(uploads, entries, fixture.stop).count == 0);
  CHECK(fixture.stands(entries[0] + "/image.jpg"));
}
