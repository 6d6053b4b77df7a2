#include <atomic>
#include <thread>

#include "support/catch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

TEST_CASE("tree: hard links count once, and as freed with the last name") {
  const Sandbox box;
  box.write("a/1", 20'000);
  fs::create_hard_link(box.uploads / "a/1", box.make("a/sub") / "2");
  box.write("b/1", 40'000);
  fs::create_hard_link(box.uploads / "b/1", box.make("c") / "1");
  box.write("c/kept", 80'000);
  fs::create_hard_link(box.uploads / "c/kept", box.uploads / "kept");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  const std::vector<std::string> names = {"a", "b", "c"};

  HardLinks planned;
  std::uint64_t expected = 0;
  for (const auto& name : names) {
    const auto result = folder.measure(name, Fate::goes, planned, stop);
    CHECK(result.usage.allocated_bytes == du(box.uploads / name));
    CHECK(result.usage.files == (name == "b" ? 1 : 2));
    expected += result.exclusive_bytes;
  }
  expected += planned.freed_bytes();

  const auto before = du(box.uploads);
  HardLinks links;
  std::uint64_t freed = 0;
  for (const auto& name : names) {
    const auto size = du(box.uploads / name);
    const auto result = folder.purge(name, links, stop);
    CHECK(result.usage.allocated_bytes == size);
    CHECK(result.usage.files == (name == "b" ? 1 : 2));
    freed += result.exclusive_bytes;
  }
  freed += links.freed_bytes();
  CHECK(freed == expected);
  CHECK(before - du(box.uploads) == freed);
}

TEST_CASE("tree: apparent sizes of one inode with several names") {
  const Sandbox box;
  box.write("a/1", 1000);
  fs::create_hard_link(box.uploads / "a/1", box.uploads / "a/2");
  fs::create_hard_link(box.uploads / "a/1", box.uploads / "a/3");
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  CHECK(folder.purge("a", links, stop).usage.apparent_bytes == 1000);
  CHECK(links.freed_bytes() == links.allocated_bytes());
}

TEST_CASE("tree: a failed removal of a linked file frees nothing") {
  const Sandbox box;
  box.write("t/1", 50'000);
  fs::create_hard_link(box.uploads / "t/1", box.uploads / "t/2");
  box.give_away();
  const int status = run_unprivileged([&] {
    fs::permissions(box.uploads / "t", fs::perms(0500));
    const UploadDir folder(box.uploads);
    const StopFlag stop;
    HardLinks links;
    const auto purged = folder.purge("t", links, stop);
    CHILD_CHECK(purged.errors.size() == 2);
    CHILD_CHECK(purged.usage.files == 0);
    CHILD_CHECK(links.freed_bytes() == 0);
    return 0;
  });
  CHECK(status == 0);
}

TEST_CASE("tree: several threads work on one folder") {
  const Sandbox box;
  constexpr int each = 20;
  for (int number = 0; number < 4 * each; ++number) {
    const auto name = std::to_string(number);
    box.write(name + "/image", 5000);
    box.write(name + "/sub/image", 5000);
    if (number > 0) fs::create_hard_link(box.uploads / "0/image", box.uploads / name / "link");
  }
  const auto all = du(box.uploads);
  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  std::atomic<std::uint64_t> freed{0};
  std::atomic<std::size_t> errors{0};
  std::vector<std::thread> threads;
  for (int first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      for (int number = first; number < 4 * each; number += 4) {
        errors += folder.measure(std::to_string(number), Fate::stays, links, stop).errors.size();
        const auto result = folder.purge(std::to_string(number), links, stop);
        freed += result.exclusive_bytes;
        errors += result.errors.size();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(errors == 0);
  CHECK(names_in(box.uploads).empty());
  const auto top = du(box.uploads);
  CHECK(freed <= all - top);
  CHECK(freed + links.allocated_bytes() >= all - top);
}
