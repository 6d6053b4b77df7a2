// A fixed list of work for a few threads: each piece once, and the end is the end.
#include "base/parallel.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <latch>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "pass/purge.hpp"
#include "support/catch.hpp"

using namespace calib;

TEST_CASE("each index is worked on exactly once, however many threads there are", "[workers]") {
  const auto jobs = GENERATE(0U, 1U, 2U, 7U, 64U);
  const auto count = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{1000});
  CAPTURE(jobs, count);
  std::vector<std::atomic<std::uint64_t>> seen(count);
  Workers(jobs, StopFlag{}).run(count, [&](std::size_t i) -> std::uint64_t {
    return ++seen.at(i);
  });
  int wrong = 0;
  for (const auto& times : seen) wrong += times == 1 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("as many pieces are under way at once as there are jobs", "[workers]") {
  constexpr unsigned jobs = 4;
  // Nobody gets past the latch before all of them have arrived: fewer threads would hang here.
  std::latch all_there(jobs);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  Workers(jobs, StopFlag{}).run(jobs, [&](std::size_t) -> std::uint64_t {
    {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    }
    all_there.arrive_and_wait();
    return 1;
  });
  CHECK(threads.size() == jobs);
  CHECK(threads.contains(std::this_thread::get_id()));
}

TEST_CASE("as many pieces as are asked for are under way before a rate is known", "[workers]") {
  constexpr unsigned first = 2;
  // One thread alone would hang at the latch.
  std::latch all_there(first);
  std::atomic<unsigned> done = 0;
  Workers(0, StopFlag{}, first).run(first, [&](std::size_t) -> std::uint64_t {
    all_there.arrive_and_wait();
    return ++done;
  });
  CHECK(done == first);
}

TEST_CASE("a purge begins with two threads, with one on Btrfs, with many on a network",
          "[workers]") {
  CHECK(first_removers(FileSystem::local, 2) == 2);
  CHECK(first_removers(FileSystem::overlay, 64) == 2);
  for (const auto kind :
       {FileSystem::unknown, FileSystem::fuse, FileSystem::smb, FileSystem::other}) {
    CHECK(first_removers(kind, 1) == 8);
  }
  CHECK(first_removers(FileSystem::local, 1) == 1);
  CHECK(first_removers(FileSystem::btrfs, 64) == 1);
}

TEST_CASE("the first exception ends the rest and reaches the caller", "[workers]") {
  const auto jobs = GENERATE(1U, 4U);
  constexpr std::size_t count = 100'000;
  std::atomic<std::size_t> worked{0};
  CHECK_THROWS_WITH(Workers(jobs, StopFlag{})
                        .run(count,
                             [&](std::size_t i) -> std::uint64_t {
                               if (i == 3) {
                                 throw std::runtime_error("piece three");
                               }
                               return ++worked;
                             }),
                    "piece three");
  CHECK(worked < count - 1);
  if (jobs == 1) CHECK(worked == 3);
}

TEST_CASE("every thread may throw, and one exception comes out", "[workers]") {
  CHECK_THROWS_AS(
      Workers(4, StopFlag{})
          .run(1000,
               [](std::size_t i) -> std::uint64_t { throw std::out_of_range(std::to_string(i)); }),
      std::out_of_range);
}

TEST_CASE("a stop is heeded before the next piece", "[workers]") {
  StopFlag stop;
  std::atomic<std::uint64_t> worked{0};
  SECTION("where it came before the first") {
    stop.request(SIGTERM);
    Workers(4, stop).run(1000, [&](std::size_t) -> std::uint64_t { return ++worked; });
    CHECK(worked == 0);
  }
  SECTION("where it comes meanwhile") {
    Workers(1, stop).run(1000, [&](std::size_t i) -> std::uint64_t {
      if (i == 10) stop.request(SIGTERM);
      return ++worked;
    });
    CHECK(worked == 11);
  }
}

TEST_CASE("without a number of jobs, more workers come where that gets more done", "[workers]") {
  // Pieces that only wait: however many wait at once, all of them get on.
  const StopFlag stop;
  Workers workers(0, stop);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  workers.run(400, [&](std::size_t) -> std::uint64_t {
    {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    return 1;
  });
  CHECK(threads.size() > 1);
}

TEST_CASE("each worker goes through a stretch of neighbours", "[workers]") {
  Stretches stretches(100, 3);
  CHECK(stretches.take(0) == 0U);
  CHECK(stretches.take(0) == 1U);
  // 2 to 99 are left: the second half of them is the next worker's.
  CHECK(stretches.take(1) == 51U);
  CHECK(stretches.take(1) == 52U);
  CHECK(stretches.take(0) == 2U);
  CHECK(stretches.take(2) == 27U);
  CHECK(stretches.take(0) == 3U);
}

TEST_CASE("whoever has no stretch left takes of the longest, until nothing is left", "[workers]") {
  Stretches stretches(10, 2);
  std::set<std::size_t> taken;
  taken.insert(stretches.take(0).value());
  for (auto next = stretches.take(1); next; next = stretches.take(1)) {
    CHECK(taken.insert(*next).second);
  }
  CHECK(taken.size() == 10);
  CHECK(stretches.empty());
  CHECK(stretches.take(0) == std::nullopt);
}
