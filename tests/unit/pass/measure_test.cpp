// What a dry run says that directories occupy.
#include "pass/measure.hpp"

#include "support/catch.hpp"
#include "unit/pass/pass_fixture.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("a preview tells apart what goes and what stays", "[pass][measure]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add_young(uuid(2));
  fixture.make_directory(uuid(3), 100);
  fixture.database.execute("INSERT INTO calibration_images (session_id) VALUES (" +
                           literal(uuid(7)) + ")");
  const auto whole = du(fixture.uploads_path());
  const auto going = du(fixture.uploads_path() / uuid(1)) + du(fixture.uploads_path() / uuid(3));
  OpenedPass pass(fixture, {DryRun::yes});

  const auto would = preview(pass.agenda(), pass.app.uploads, 2, fixture.monitor());
  REQUIRE(would.sessions.size() == 1);
  CHECK(would.sessions[0].usage.files == 1);
  CHECK(would.sessions[0].records == std::vector<std::uint32_t>{2, 0});
  REQUIRE(would.orphans.size() == 1);
  CHECK(would.orphans[0].usage.apparent_bytes >= 100);
  CHECK(would.orphaned_records == std::map<std::string, std::uint64_t>{{"calibration_images", 1}});
  CHECK(would.total_bytes == whole);
  CHECK(would.freed_bytes == going);
  CHECK(would.kept.sessions == 1);
  CHECK(would.kept.directories == 1);
  CHECK(would.kept.allocated_bytes == whole - going);
  CHECK(would.warnings.empty());
  CHECK(fixture.stands(uuid(1)));
}

TEST_CASE("over the limit a preview lists what goes, and says that all of it stays",
          "[pass][measure]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add_young(uuid(2));
  fixture.add_young(uuid(4));
  fixture.make_directory(uuid(3), 100);
  fixture.options.max_delete = 1;
  OpenedPass pass(fixture, {DryRun::yes});
  // What an interrupted pass has aside stands under its own name afterwards.
  REQUIRE_FALSE(pass.app.uploads.stage(uuid(4)));
  const auto would = preview(pass.agenda(), pass.app.uploads, 2, fixture.monitor());
  CHECK(would.sessions.size() == 1);
  CHECK(would.orphans.size() == 1);
  CHECK(would.freed_bytes == 0);
  CHECK(would.kept.sessions == 3);
  CHECK(would.kept.directories == 4);
  CHECK(would.kept.allocated_bytes == would.total_bytes);
}

TEST_CASE("an inode that has a name in what stays is not freed", "[pass][measure]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add_young(uuid(2));
  std::filesystem::create_hard_link(fixture.uploads_path() / uuid(1) / "image.jpg",
                                    fixture.uploads_path() / uuid(2) / "same.jpg");
  const auto directory =
      du(fixture.uploads_path() / uuid(1)) - du(fixture.uploads_path() / uuid(1) / "image.jpg");
  OpenedPass pass(fixture, {DryRun::yes});
  const auto would = preview(pass.agenda(), pass.app.uploads, 1, fixture.monitor());
  CHECK(would.freed_bytes == directory);
  CHECK(would.total_bytes == du(fixture.uploads_path()));
}

TEST_CASE("the whole folder is measured as du does it", "[pass][measure]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.make_directory(".hidden", 9000);
  const UploadDir uploads(fixture.uploads_path());
  const auto listing = uploads.list();
  CHECK(count_directories(listing) == 1);
  const auto measured = measure_folder(uploads, listing, 2, fixture.monitor());
  CHECK(measured.allocated_bytes == du(fixture.uploads_path()));
  CHECK(measured.warnings.empty());
}
