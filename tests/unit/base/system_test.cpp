// What base/system.hpp promises, whichever system keeps it: these run on Linux's own calls, and on
// POSIX's alone.
#include "base/system.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/dir_io.hpp"
#include "support/catch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;
using system::DirEntry;
using system::DirReader;

namespace {

/// An open directory.
Fd opened(const fs::path& path) { return Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY)); }

Status seen(const fs::path& path) {
  Status status;
  REQUIRE_FALSE(system::stat_path(path.c_str(), status));
  return status;
}

std::set<std::string> names_read(DirReader& reader) {
  std::set<std::string> names;
  while (const auto* entry = reader.next()) names.insert(entry->name);
  return names;
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("system: a look at an entry tells what lstat(2) tells", "[system]") {
  const Sandbox box;
  box.write("file", 5000);
  fs::create_hard_link(box.uploads / "file", box.uploads / "again");
  fs::create_directory_symlink(box.outside, box.uploads / "link");
  const auto folder = opened(box.uploads);
  for (const auto* const name : {"file", "link", ".."}) {
    CAPTURE(name);
    struct stat expected {};
    REQUIRE(::lstat((box.uploads / name).c_str(), &expected) == 0);
    for (const auto freshness : {Freshness::now, Freshness::cached}) {
      Status status;
      REQUIRE_FALSE(system::stat_entry(folder.get(), name, freshness, status));
      CHECK(status.id == FileId{expected.st_dev, expected.st_ino});
      CHECK(status.links == expected.st_nlink);
      CHECK(status.allocated_bytes == static_cast<std::uint64_t>(expected.st_blocks) * 512);
      CHECK(status.size == static_cast<std::uint64_t>(expected.st_size));
      CHECK(status.mode == expected.st_mode);
      CHECK(status.owner == expected.st_uid);
      CHECK(status.modified.seconds == expected.st_mtim.tv_sec);
      CHECK(status.modified.nanoseconds == expected.st_mtim.tv_nsec);
      CHECK(status.changed >= to_instant(status.modified));
      CHECK(status.born <= status.changed);
      CHECK_FALSE(status.fixed);
    }
  }
  Status status;
  CHECK(system::stat_entry(folder.get(), "none", Freshness::now, status).value() == ENOENT);
}

TEST_CASE("system: the later of two times is when it changed", "[system]") {
  const Sandbox box;
  const auto file = box.write("file");
  const auto before = seen(file).changed;
  // ctime is now, whatever mtime is set to.
  const timespec past[2] = {{1000, 0}, {1000, 1}};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), past, 0) == 0);
  CHECK(seen(file).modified.seconds == 1000);
  CHECK(seen(file).modified.nanoseconds == 1);
  CHECK(seen(file).changed >= before);
  const timespec future[2] = {{4'000'000'000, 0}, {4'000'000'000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, file.c_str(), future, 0) == 0);
  CHECK(seen(file).changed == to_instant({4'000'000'000, 0}));
}

TEST_CASE("system: what is open, and what a path leads to, are looked at themselves", "[system]") {
  const Sandbox box;
  fs::create_directory_symlink(box.outside, box.uploads / "link");
  const auto outside = opened(box.outside);
  Status status;
  REQUIRE_FALSE(system::stat_open(outside.get(), Freshness::now, status));
  CHECK(status.is_directory());
  CHECK(status.id == seen(box.outside).id);
  CHECK(status.mount == seen(box.uploads).mount);
  CHECK(seen(box.uploads / "link").id == status.id);
  CHECK(system::stat_open(-1, Freshness::now, status).value() == EBADF);
  CHECK(system::stat_path((box.root / "none").c_str(), status).value() == ENOENT);
}

TEST_CASE("system: a directory is opened to be read, and nothing else is", "[system]") {
  const Sandbox box;
  box.write("sub/file");
  box.write("file");
  fs::create_directory_symlink(box.outside, box.uploads / "link");
  const auto folder = opened(box.uploads);
  for (const auto access_time : {AccessTime::set, AccessTime::keep}) {
    Fd fd;
    REQUIRE_FALSE(system::open_directory(folder.get(), "sub", access_time, fd));
    CHECK(::fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
    DirReader reader;
    reader.start(fd.get());
    CHECK(names_read(reader) == std::set<std::string>{"file"});
    CHECK(system::open_directory(folder.get(), "file", access_time, fd).value() == ENOTDIR);
    const auto link = system::open_directory(folder.get(), "link", access_time, fd).value();
    CHECK((link == ELOOP || link == ENOTDIR));
    CHECK(system::open_directory(folder.get(), "none", access_time, fd).value() == ENOENT);
  }
}

TEST_CASE("system: names are looked up where nobody may read", "[system]") {
  const Sandbox box;
  box.make("searched/inner");
  fs::create_directory_symlink("searched", box.uploads / "link");
  const auto folder = opened(box.uploads);
  Fd fd;
  CHECK_FALSE(system::open_to_look_up(folder.get(), "link", system::Links::follow, fd));
  CHECK(::fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
  Status status;
  CHECK_FALSE(system::stat_entry(fd.get(), "inner", Freshness::now, status));
  const auto refused =
      system::open_to_look_up(folder.get(), "link", system::Links::refuse, fd).value();
  CHECK((refused == ELOOP || refused == ENOTDIR));

  box.give_away();
  const int result = run_unprivileged([&] {
    Fd inner;
    fs::permissions(box.uploads / "searched", fs::perms(0111));
    const auto error =
        system::open_to_look_up(folder.get(), "searched", system::Links::refuse, inner);
    // Where that cannot be done it is said, and not taken for the end of the way.
    CHILD_CHECK(!error || error.value() == EOPNOTSUPP);
    CHILD_CHECK(error || !system::stat_entry(inner.get(), "inner", Freshness::now, status));
    return 0;
  });
  CHECK((result == 0 || result == not_possible));
}

TEST_CASE("system: nothing is renamed over something", "[system]") {
  const Sandbox box;
  box.write("from/file");
  box.make("empty");
  write_file(box.uploads / "one", "one");
  write_file(box.uploads / "two", "two");
  const auto folder = opened(box.uploads);
  const auto renamed = [&](const char* from, const char* to) {
    return system::rename_exclusive(folder.get(), from, folder.get(), to).value();
  };
  const auto taken = renamed("from", "empty");
  CHECK((taken == EEXIST || taken == EINVAL));
  CHECK(stands(box.uploads / "from/file"));
  CHECK(names_in(box.uploads / "empty").empty());
  CHECK(renamed("one", "two") == taken);
  CHECK(read_text(box.uploads / "two") == "two");
  const auto free = renamed("from", "to");
  CHECK((taken == EINVAL ? free == EINVAL : free == 0));
  // Whoever cannot do it says so, and then it is done otherwise.
  if (free != 0) REQUIRE_FALSE(rename_new(folder.get(), "from", folder.get(), "to"));
  CHECK(rename_new(folder.get(), "to", folder.get(), "empty").value() == EEXIST);
  CHECK(rename_new(folder.get(), "one", folder.get(), "two").value() == EEXIST);
  CHECK(stands(box.uploads / "to/file"));
  CHECK(read_text(box.uploads / "two") == "two");
  CHECK_FALSE(rename_new(folder.get(), "one", folder.get(), "three"));
  CHECK(read_text(box.uploads / "three") == "one");
  CHECK_FALSE(stands(box.uploads / "one"));
}

TEST_CASE("system: a file and a directory are written to the disk", "[system]") {
  const Sandbox box;
  const Fd file(::open(box.write("file").c_str(), O_RDONLY));
  CHECK_FALSE(system::sync_to_disk(file.get()));
  CHECK_FALSE(system::sync_to_disk(opened(box.uploads).get()));
  CHECK(system::sync_to_disk(-1).value() == EBADF);
}

TEST_CASE("system: a directory is read whole, as often as it takes", "[system]") {
  const Sandbox box;
  std::set<std::string> expected{"directory", "link", ".hidden"};
  box.make("directory");
  box.write(".hidden");
  fs::create_symlink("nowhere", box.uploads / "link");
  for (int i = 0; i < 3000; ++i) {
    expected.insert("file " + std::to_string(i));
    write_file(box.uploads / ("file " + std::to_string(i)), "");
  }
  const auto folder = opened(box.uploads);
  DirReader reader;
  reader.start(folder.get());
  CHECK(names_read(reader) == expected);
  CHECK_FALSE(reader.error());
  CHECK(reader.next() == nullptr);
  // Where its offset stands there is nothing more.
  reader.start(folder.get());
  CHECK(names_read(reader).empty());

  reader.restart(folder.get());
  std::map<std::string, DirEntry::Kind> kinds;
  while (const auto* entry = reader.next()) {
    const std::string name = entry->name;
    kinds[name] = entry->kind;
    struct stat status {};
    REQUIRE(::lstat((box.uploads / name).c_str(), &status) == 0);
    REQUIRE(entry->inode == status.st_ino);
  }
  const auto is = [&](const char* name, DirEntry::Kind kind) {
    return kinds.at(name) == kind || kinds.at(name) == DirEntry::Kind::unknown;
  };
  CHECK(is("directory", DirEntry::Kind::directory));
  CHECK(is("link", DirEntry::Kind::link));
  CHECK(is(".hidden", DirEntry::Kind::other));

  // Another one, before the first has been read to its end.
  reader.restart(folder.get());
  REQUIRE(reader.next() != nullptr);
  const auto outside = opened(box.outside);
  reader.start(outside.get());
  CHECK(names_read(reader) == std::set<std::string>{"inner", "sentinel"});

  const Fd file(::open((box.outside / "sentinel").c_str(), O_RDONLY));
  reader.start(file.get());
  CHECK(reader.next() == nullptr);
  CHECK(reader.error().value() == ENOTDIR);
  reader.start(-1);
  CHECK(reader.next() == nullptr);
  CHECK(reader.error().value() == EBADF);
}

TEST_CASE("system: a reader has no more open than it says, and nothing afterwards", "[system]") {
  const Sandbox box;
  box.write("a");
  box.write("b");
  const auto folder = opened(box.uploads);
  const auto before = open_descriptors();
  {
    DirReader reader;
    reader.start(folder.get());
    REQUIRE(reader.next() != nullptr);
    CHECK(open_descriptors() <= before + DirReader::own_descriptors);
    names_read(reader);
    CHECK(open_descriptors() == before);
    reader.restart(folder.get());
    REQUIRE(reader.next() != nullptr);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("system: another file system in the folder is a mount point", "[system]") {
  const Sandbox box;
  box.make("mounted");
  box.make("plain");
  const auto folder = opened(box.uploads);
  CHECK(system::mounts_below(folder.get(), seen(box.uploads).mount).points.empty());
  const int status = run_with_mounts([&] {
    if (::mount("none", (box.uploads / "mounted").c_str(), "tmpfs", 0, nullptr) != 0) {
      return not_possible;
    }
    Status own;
    CHILD_CHECK(!system::stat_path(box.uploads.c_str(), own));
    const auto mounts = system::mounts_below(opened(box.uploads).get(), own.mount);
    CHILD_CHECK(mounts.points == std::vector<std::string>{"mounted"});
    CHILD_CHECK(mounts.entries == std::vector<std::string>{"mounted"});
    Status inside;
    CHILD_CHECK(!system::stat_path((box.uploads / "mounted").c_str(), inside));
    CHILD_CHECK(inside.mount != own.mount);
    return 0;
  });
  if (status == not_possible) {
    WARN("skipped: mounts need root and a mount namespace of their own");
  } else {
    CHECK(status == 0);
  }
}

TEST_CASE("system: of what cannot be looked at nobody says that nothing is mounted", "[system]") {
  CHECK_THROWS_AS(system::mounts_below(-1, 0), std::runtime_error);
}

TEST_CASE("system: what kind of file system it is does not depend on how it is asked", "[system]") {
  const Sandbox box;
  const auto folder = opened(box.uploads);
  CHECK(system::file_system_of(folder.get()) == system::file_system_at(box.uploads.c_str()));
  CHECK(system::file_system_of(-1) == FileSystem::unknown);
  CHECK(system::file_system_at((box.root / "none").c_str()) == FileSystem::unknown);
}

TEST_CASE("system: locks are told, or it is told that they are not", "[system]") {
  const Sandbox box;
  const auto file = box.write("file");
  const Fd fd(::open(file.c_str(), O_RDWR));
  REQUIRE(::flock(fd.get(), LOCK_EX) == 0);
  std::vector<HeldLock> locks;
  const auto error = system::read_held_locks(locks);
  CHECK((error || !locks.empty()));
  if (error) CHECK(error.value() == ENOSYS);
  // Not this process itself.
  CHECK(system::lock_holder(std::vector{seen(file).id}).empty());
}

TEST_CASE("system: the rest", "[system]") {
  CHECK(system::device_text(seen("/proc").id.device) != system::device_text(seen("/").id.device));
  CHECK(system::means_damage(EIO));
  CHECK(system::means_damage(EBADMSG));
  CHECK_FALSE(system::means_damage(ENOENT));
  system::give_memory_back();
  const auto names = system::library_names("c", 6);
  CHECK(std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return ::dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD) != nullptr;
  }));
}
