#include "uploads/tree_walk.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

constexpr int many_levels = 5000;

// A chain of directories, each with a file, by descriptors: no path is that long.
void build_chain(const fs::path& top, int levels) {
  fs::create_directory(top);
  Fd at(::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int level = 1; level < levels; ++level) {
    const Fd file(::openat(at.get(), "image", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!file || ::mkdirat(at.get(), "d", 0700) != 0) throw std::runtime_error("build_chain");
    at = Fd(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
}

// One of everything that can stand in a directory, and names that need care.
void build_variety(const Sandbox& box, const fs::path& name) {
  box.write(name / "image.png", 100'000);
  box.write(name / ".hidden", 1);
  box.write(name / "new\nline", 2);
  box.write(name / "\xff\xfe not UTF-8", 3);
  box.write(name / std::string(255, 'n'), 4);
  box.write(name / "sub" / "sub" / "deep", 5);
  box.make(name / "empty" / std::string(255, 'd'));
  const auto top = box.uploads / name;
  REQUIRE(::truncate(box.write(name / "sparse", 0).c_str(), 1'000'000) == 0);
  REQUIRE(::mkfifo((top / "fifo").c_str(), 0600) == 0);
  const Fd bound(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // By a descriptor, for a socket's path has to be short.
  const Fd directory(::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto path = "/proc/self/fd/" + std::to_string(directory.get()) + "/socket";
  REQUIRE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  REQUIRE(::bind(bound.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  fs::create_symlink(box.outside, top / "link");
  fs::create_symlink(box.outside / "sentinel", top / "sub" / "link");
  fs::create_symlink(box.outside / "inner", top / "sub" / "sub" / "link");
  fs::create_symlink("..", top / "up");
}

}  // namespace

TEST_CASE("tree: everything that can stand in a directory is measured and removed") {
  const Sandbox box;
  build_variety(box, "session");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  hooks.unknown_types = GENERATE(false, true);
  const auto size = du(box.uploads / "session");
  const auto links_apparent = box.outside.string().size() +
                              (box.outside / "sentinel").string().size() +
                              (box.outside / "inner").string().size() + 2;

  const auto measured = folder.measure("session", Fate::goes, links, stop);
  CHECK(measured.errors.empty());
  CHECK_FALSE(measured.stopped);
  CHECK(measured.usage.files == 13);
  CHECK(measured.usage.allocated_bytes == size);
  CHECK(measured.exclusive_bytes == size);
  CHECK(measured.usage.apparent_bytes == 100'015 + 1'000'000 + links_apparent);
  CHECK(du(box.uploads / "session") == size);

  REQUIRE_FALSE(folder.stage("session"));
  const auto purged = folder.purge(".calib-cleanup.session", links, stop);
  CHECK(purged.errors.empty());
  CHECK_FALSE(purged.stopped);
  CHECK(purged.usage.files == measured.usage.files);
  CHECK(purged.usage.allocated_bytes == size);
  CHECK(purged.exclusive_bytes == size);
  CHECK(purged.usage.apparent_bytes == measured.usage.apparent_bytes);
  CHECK(names_in(box.uploads).empty());
  CHECK(box.outside_is_untouched());
}

TEST_CASE("tree: what is no directory is neither measured nor purged") {
  const Sandbox box;
  box.write("file");
  fs::create_symlink(box.outside, box.uploads / "link");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  for (const auto* name : {"file", "link"}) {
    CHECK(lines(folder.purge(name, links, stop).errors, box.uploads) ==
          std::vector{line(name, ENOTDIR)});
    CHECK(lines(folder.measure(name, Fate::goes, links, stop).errors, box.uploads) ==
          std::vector{line(name, ENOTDIR)});
    CHECK(stands(box.uploads / name));
  }
  CHECK(folder.purge("gone", links, stop).errors.empty());
  CHECK(folder.measure("gone", Fate::goes, links, stop).errors.empty());
  CHECK(box.outside_is_untouched());
}

TEST_CASE("tree: a deep tree takes linear work and few descriptors") {
  const Sandbox box;
  build_chain(box.uploads / "deep", many_levels);
  const int status = run_child([&] {
    if (::close_range(3, ~0U, 0) != 0) return not_possible;
    const UploadDir folder(box.uploads);
    const rlimit three_more = {7, 7};
    CHILD_CHECK(::setrlimit(RLIMIT_NOFILE, &three_more) == 0);
    const StopFlag stop;
    HardLinks links;
    Hooks hooks;
    const auto measured = folder.measure("deep", Fate::goes, links, stop);
    CHILD_CHECK(measured.errors.empty());
    CHILD_CHECK(measured.usage.files == many_levels - 1);
    CHILD_CHECK(hooks.looks < 4L * many_levels);
    hooks.looks = 0;
    const auto purged = folder.purge("deep", links, stop);
    CHILD_CHECK(purged.errors.empty());
    CHILD_CHECK(purged.usage.files == many_levels - 1);
    CHILD_CHECK(purged.usage.allocated_bytes == measured.usage.allocated_bytes);
    CHILD_CHECK(hooks.looks < 4L * many_levels);
    return 0;
  });
  CHECK(status == 0);
  CHECK(names_in(box.uploads).empty());
}

TEST_CASE("tree: a path that is longer than any may be is said in short") {
  const Sandbox box;
  box.give_away();
  const int status = run_unprivileged([&] {
    constexpr int levels = 300;
    const std::string long_name(250, 'd');
    Fd at(::open(box.uploads.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int level = 0; level < levels; ++level) {
      CHILD_CHECK(::mkdirat(at.get(), long_name.c_str(), 0700) == 0);
      at = Fd(::openat(at.get(), long_name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    const Fd file(::openat(at.get(), "image", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    CHILD_CHECK(::fchmod(at.get(), 0500) == 0);
    const UploadDir folder(box.uploads);
    const StopFlag stop;
    HardLinks links;
    const auto purged = folder.purge(long_name, links, stop);
    CHILD_CHECK(purged.errors.size() == 1);
    const auto& path = purged.errors.front().path;
    CHILD_CHECK(path.starts_with((box.uploads / long_name / long_name).string()));
    CHILD_CHECK(path.ends_with("/.../" + long_name + "/" + long_name + "/" + long_name + "/" +
                               long_name + "/image"));
    CHILD_CHECK(path.size() < 6000);
    return 0;
  });
  CHECK(status == 0);
}

TEST_CASE("tree: wide directories") {
  const Sandbox box;
  box.make("wide");
  for (int number = 0; number < 20'000; ++number) {
    const auto name = std::to_string(number) + " of a good many files";
    if (number % 100 == 0) {
      box.write("wide/directory " + name + "/image", 1);
    } else {
      write_file(box.uploads / "wide" / name, "");
    }
  }
  const UploadDir folder(box.uploads);
  StopFlag stop;
  HardLinks links;
  Hooks hooks;

  SECTION("are measured and removed whole") {
    const auto measured = folder.measure("wide", Fate::goes, links, stop);
    CHECK(measured.usage.files == 20'000);
    CHECK(measured.usage.allocated_bytes == du(box.uploads / "wide"));
    hooks.looks = 0;
    const auto purged = folder.purge("wide", links, stop);
    CHECK(purged.usage.files == 20'000);
    CHECK(purged.usage.allocated_bytes == measured.usage.allocated_bytes);
    CHECK(hooks.looks < 20'500);
    CHECK(names_in(box.uploads).empty());
  }
  SECTION("are left soon when a signal has come") {
    hooks.after_read = [&](const std::string&, long) { stop.request(15); };
    const auto purged = folder.purge("wide", links, stop);
    CHECK(purged.stopped);
    CHECK(purged.usage.files <= 64);
    CHECK(names_in(box.uploads / "wide").size() >= 20'000 - 64);
    const auto measured = folder.measure("wide", Fate::goes, links, stop);
    CHECK(measured.stopped);
    CHECK(measured.usage.files == 0);
  }
}

TEST_CASE("tree: what cannot be removed is named, and the rest goes") {
  const Sandbox box;
  box.write("t/file", 5000);
  box.write("t/locked/held", 50'000);
  box.write("t/dark/unseen", 50'000);
  box.write("t/listed/unreachable", 50'000);
  box.write("t/open/gone", 5000);
  box.write("u/file", 5000);
  box.give_away();
  const int status = run_unprivileged([&] {
    fs::permissions(box.uploads / "t/locked", fs::perms(0500));
    fs::permissions(box.uploads / "t/dark", fs::perms(0));
    fs::permissions(box.uploads / "t/listed", fs::perms(0400));
    const UploadDir folder(box.uploads);
    const StopFlag stop;
    HardLinks links;
    const auto measured = folder.measure("t", Fate::goes, links, stop);
    CHILD_CHECK((lines(measured.errors, box.uploads) ==
                 std::vector{line("t/dark", EACCES), line("t/listed/unreachable", EACCES)}));
    const auto open_size = du(box.uploads / "t/open");
    const auto file_size = du(box.uploads / "t/file");
    const auto purged = folder.purge("t", links, stop);
    CHILD_CHECK((lines(purged.errors, box.uploads) ==
                 std::vector{line("t/dark", EACCES), line("t/listed/unreachable", EACCES),
                             line("t/locked/held", EACCES)}));
    CHILD_CHECK(purged.usage.files == 2);
    CHILD_CHECK(purged.usage.allocated_bytes == open_size + file_size);
    CHILD_CHECK(purged.exclusive_bytes == open_size + file_size);
    CHILD_CHECK(
        (names_in(box.uploads / "t") == std::vector<std::string>{"dark", "listed", "locked"}));

    // The directory is emptied, but may not be taken out of its own.
    fs::permissions(box.uploads, fs::perms(0500));
    const auto kept = folder.purge("u", links, stop);
    CHILD_CHECK((lines(kept.errors, box.uploads) == std::vector{line("u", EACCES)}));
    CHILD_CHECK(names_in(box.uploads / "u").empty());
    CHILD_CHECK(kept.exclusive_bytes == file_size);
    return 0;
  });
  CHECK(status == 0);
}

TEST_CASE("tree: measuring changes no access time, nor needs to own what it measures", "[linux]") {
  const Sandbox box;
  box.write("t/sub/file");
  const auto directory = box.uploads / "t";
  const timespec old[2] = {{1000, 0}, {2000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, directory.c_str(), old, 0) == 0);
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  CHECK(folder.measure("t", Fate::stays, links, stop).errors.empty());
  struct stat status = {};
  REQUIRE(::stat(directory.c_str(), &status) == 0);
  CHECK(status.st_atim.tv_sec == 1000);

  CHECK(run_unprivileged([&] {
          return folder.measure("t", Fate::stays, links, stop).usage.files == 1 ? 0 : 1;
        }) == 0);
}

TEST_CASE("tree: a disk error is said, and nothing taken for empty") {
  const Sandbox box;
  box.write("session/image");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  Hooks hooks;
  hooks.read_error = EIO;
  const std::vector expected{line("session", EIO)};
  CHECK(lines(folder.measure("session", Fate::goes, links, stop).errors, box.uploads) == expected);
  CHECK(lines(folder.purge("session", links, stop).errors, box.uploads) == expected);
  REQUIRE_FALSE(folder.stage("session"));
  box.make("session");
  CHECK(lines(folder.restore("session"), box.uploads) ==
        std::vector{line(".calib-cleanup.session", EIO)});
}
