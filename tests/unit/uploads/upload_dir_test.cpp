#include "uploads/upload_dir.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <limits>
#include <map>

#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "unit/uploads/dir_fixture.hpp"
#include "uploads/file_system.hpp"

using namespace calib;
using namespace calib::test;

namespace {

int error_of_opening(const fs::path& path) {
  try {
    const UploadDir folder(path);
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

int error_of_listing(const UploadDir& folder) {
  try {
    static_cast<void>(folder.list());
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

std::map<std::string, EntryKind> kinds(const UploadDir& folder) {
  std::map<std::string, EntryKind> all;
  for (const auto& entry : folder.list()) all[entry.name] = entry.kind;
  return all;
}

}  // namespace

TEST_CASE("the folder tells what file system it is on", "[upload_dir][linux]") {
  const TempDir temp;
  struct statfs status {};
  REQUIRE(::statfs(temp.path().c_str(), &status) == 0);
  switch (status.f_type) {
    case BTRFS_SUPER_MAGIC:
      CHECK(UploadDir(temp.path()).file_system() == FileSystem::btrfs);
      break;
    case OVERLAYFS_SUPER_MAGIC:
      CHECK(UploadDir(temp.path()).file_system() == FileSystem::overlay);
      break;
    case EXT4_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case XFS_SUPER_MAGIC:
      CHECK(UploadDir(temp.path()).file_system() == FileSystem::local);
      break;
    default:
      WARN("skipped: nobody here knows the file system of " << temp.path());
  }
}

TEST_CASE("upload_dir: opening the folder") {
  const Sandbox box;
  fs::create_symlink(box.uploads, box.root / "link");
  fs::create_symlink(box.root / "link", box.root / "link to link");
  write_file(box.root / "file", "");
  CHECK(error_of_opening(box.uploads) == 0);
  CHECK(error_of_opening(box.root / "link to link") == 0);
  CHECK(error_of_opening(box.root / "missing") == ENOENT);
  CHECK(error_of_opening(box.root / "file") == ENOTDIR);
  CHECK(error_of_opening("") == ENOENT);
  CHECK(error_of_opening(box.uploads.string() + '\0' + "x") == EINVAL);
  CHECK(UploadDir(box.root / "link").path() == (box.root / "link").string());
}

TEST_CASE("upload_dir: a kernel that cannot tell mounts apart", "[linux]") {
  const Sandbox box;
  Hooks hooks;
  hooks.no_mount_ids = true;
  CHECK(error_of_opening(box.uploads) == ENOSYS);
}

TEST_CASE("upload_dir: names are single components") {
  const Sandbox box;
  box.write("session/image");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  DirectoryStatus status;
  using namespace std::string_literals;
  for (const auto& name : {""s, "."s, ".."s, "../outside"s, "/"s, "session/"s, "session/image"s,
                           "./session"s, "session\0x"s, "\0"s}) {
    CAPTURE(name);
    CHECK(folder.stage(name).value() == EINVAL);
    CHECK(folder.status_of(name, status).value() == EINVAL);
    REQUIRE(folder.restore(name).size() == 1);
    CHECK(folder.restore(name)[0].error.value() == EINVAL);
    for (const auto& result :
         {folder.purge(name, links, stop), folder.measure(name, Fate::goes, links, stop)}) {
      REQUIRE(result.errors.size() == 1);
      CHECK(result.errors[0].error.value() == EINVAL);
      CHECK(result.usage.files == 0);
    }
  }
  CHECK(stands(box.uploads / "session" / "image"));
  CHECK(box.outside_is_untouched());
}

TEST_CASE("upload_dir: one lock for one folder") {
  const Sandbox box;
  UploadDir first(box.uploads);
  CHECK(first.try_lock());
  CHECK(first.try_lock());
  {
    UploadDir second(box.uploads);
    CHECK_FALSE(second.try_lock());
  }
  CHECK(run_child([&] { return UploadDir(box.uploads).try_lock() ? 1 : 0; }) == 0);
  first = UploadDir(box.outside);
  CHECK(UploadDir(box.uploads).try_lock());
}

TEST_CASE("upload_dir: listing") {
  const Sandbox box;
  const std::string odd = "new\nline \xff\xfe";
  box.make("directory");
  box.make(".hidden");
  box.make(odd);
  box.write("file");
  fs::create_symlink(box.outside, box.uploads / "link");
  REQUIRE(::mkfifo((box.uploads / "fifo").c_str(), 0600) == 0);
  const UploadDir folder(box.uploads);
  const std::map<std::string, EntryKind> expected = {
      {"directory", EntryKind::directory}, {".hidden", EntryKind::directory},
      {odd, EntryKind::directory},         {"file", EntryKind::other},
      {"link", EntryKind::link},           {"fifo", EntryKind::other}};

  CHECK(kinds(folder) == expected);
  CHECK(kinds(folder) == expected);
  struct stat status = {};
  REQUIRE(::stat((box.uploads / "directory").c_str(), &status) == 0);
  for (const auto& entry : folder.list()) {
    if (entry.name == "directory") CHECK(entry.inode == status.st_ino);
  }

  SECTION("a file system that tells no types") {
    Hooks hooks;
    hooks.unknown_types = true;
    CHECK(kinds(folder) == expected);
    hooks.after_read = [&](const std::string&, long) { fs::remove(box.uploads / "file"); };
    CHECK(kinds(folder).count("file") == 0);
  }
  SECTION("a disk error is never an empty folder") {
    Hooks hooks;
    hooks.read_error = EIO;
    CHECK(error_of_listing(folder) == EIO);
  }
  SECTION("many entries") {
    for (int number = 0; number < 5000; ++number) {
      write_file(box.uploads / ("a name that is not short " + std::to_string(number)), "");
    }
    CHECK(kinds(folder).size() == expected.size() + 5000);
  }
}

TEST_CASE("upload_dir: an unreadable folder is never an empty one") {
  const Sandbox box;
  box.make("session");
  box.give_away();
  const int status = run_unprivileged([&] {
    const UploadDir folder(box.uploads);
    CHILD_CHECK(!folder.check_writable());
    fs::permissions(box.uploads, fs::perms(0500));
    CHILD_CHECK(folder.check_writable().value() == EACCES);
    CHILD_CHECK(folder.stage("session").value() == EACCES);
    fs::permissions(box.uploads, fs::perms(0));
    CHILD_CHECK(error_of_listing(folder) == EACCES);
    const StopFlag stop;
    HardLinks links;
    CHILD_CHECK(folder.measure_top(links, stop).errors.size() == 1);
    return 0;
  });
  CHECK(status == 0);
}

TEST_CASE("upload_dir: the time of the last change") {
  const Sandbox box;
  box.make("session");
  write_file(box.uploads / "file", "");
  fs::create_symlink(box.uploads / "session", box.uploads / "link");
  const UploadDir folder(box.uploads);
  DirectoryStatus status;
  CHECK(folder.status_of("missing", status).value() == ENOENT);
  CHECK(folder.status_of("file", status).value() == ENOTDIR);
  CHECK(folder.status_of("link", status).value() == ENOTDIR);

  const auto set_mtime = [&](timespec time) {
    const timespec times[2] = {{0, UTIME_OMIT}, time};
    REQUIRE(::utimensat(AT_FDCWD, (box.uploads / "session").c_str(), times, 0) == 0);
  };
  using namespace std::chrono;
  const auto before = floor<seconds>(system_clock::now()) - seconds(2);
  set_mtime({100, 0});
  REQUIRE_FALSE(folder.status_of("session", status));
  CHECK(status.changed > before);  // ctime
  set_mtime({4'000'000'000, 1'001});
  REQUIRE_FALSE(folder.status_of("session", status));
  CHECK(status.changed.time_since_epoch() == seconds(4'000'000'000) + microseconds(2));

  // tmpfs, for one, stores any second; one beyond microseconds' range must not come out as the
  // past.
  Hooks hooks;
  hooks.mtime = std::numeric_limits<std::int64_t>::max();
  REQUIRE_FALSE(folder.status_of("session", status));
  CHECK(status.changed.time_since_epoch() > hours(24) * 366 * 200'000);
  hooks.mtime = std::numeric_limits<std::int64_t>::min();
  REQUIRE_FALSE(folder.status_of("session", status));
  CHECK(status.changed > before);
  // Restored with its times, where nothing but the birth says so.
  hooks.mtime = 100;
  hooks.ctime = 100;
  REQUIRE_FALSE(folder.status_of("session", status));
  CHECK(status.changed == status.born);
  CHECK((status.born > before || status.born.time_since_epoch() < seconds(101)));
}

TEST_CASE("upload_dir: not every file system tells of a restore") {
  CHECK(tells_changes(FileSystem::local, "ext4"));
  CHECK(tells_changes(FileSystem::local, ""));
  CHECK(tells_changes(FileSystem::fuse, "fuse.glusterfs"));
  CHECK(tells_changes(FileSystem::other, "nfs4"));
  CHECK_FALSE(tells_changes(FileSystem::fuse, "fuse.sshfs"));
  // One may show a folder of the other.
  for (const auto* type : {"fuse", "fuse.bindfs", "fuse.mergerfs", "fuse.nobody-knows-it"}) {
    CHECK_FALSE(tells_changes(FileSystem::fuse, type));
  }
  CHECK_FALSE(tells_changes(FileSystem::fuse, ""));
  CHECK_FALSE(tells_changes(FileSystem::unknown, ""));
}

TEST_CASE("upload_dir: the type of its file system", "[linux]") {
  const Sandbox box;
  CHECK_FALSE(UploadDir(box.uploads).file_system_type().empty());
}

TEST_CASE("upload_dir: measuring the folder itself") {
  const Sandbox box;
  box.write("session/image", 100'000);
  box.write("file", 5000);
  box.write(".hidden", 3);
  fs::create_hard_link(box.uploads / "file", box.uploads / "again");
  fs::create_hard_link(box.uploads / "file", box.uploads / "session" / "once more");
  fs::create_symlink("12345", box.uploads / "link");
  const UploadDir folder(box.uploads);
  StopFlag stop;
  HardLinks links;
  const bool unknown_types = GENERATE(false, true);
  Hooks hooks;
  hooks.unknown_types = unknown_types;

  const auto top = folder.measure_top(links, stop);
  CHECK(top.errors.empty());
  CHECK_FALSE(top.stopped);
  CHECK(top.usage.files == 4);
  CHECK(top.usage.apparent_bytes == 5000 + 3 + 5);
  const auto session = folder.measure("session", Fate::goes, links, stop);
  CHECK(top.exclusive_bytes + session.exclusive_bytes + links.allocated_bytes() == du(box.uploads));
  CHECK(links.freed_bytes() == 0);

  stop.request(2);
  CHECK(folder.measure_top(links, stop).stopped);
  const StopFlag go;
  hooks.read_error = EIO;
  CHECK(lines(folder.measure_top(links, go).errors, box.root) == std::vector{line("uploads", EIO)});
}
