// A fixed list of work for a few threads: each piece once, and the end is the end.
#include "parallel.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <latch>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"

using namespace calib;

TEST_CASE("each index is worked on exactly once, however many threads there are", "[parallel]") {
  const auto jobs = GENERATE(0U, 1U, 2U, 7U, 64U);
  const auto count = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{1000});
  CAPTURE(jobs, count);
  std::vector<std::atomic<int>> seen(count);
  for_each_index(jobs, count, StopFlag{}, [&](std::size_t i) { ++seen.at(i); });
  int wrong = 0;
  for (const auto& times : seen) wrong += times == 1 ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("as many pieces are under way at once as there are jobs", "[parallel]") {
  constexpr unsigned jobs = 4;
  // Nobody gets past the latch before all of them have arrived: fewer threads would hang here.
  std::latch all_there(jobs);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  for_each_index(jobs, jobs, StopFlag{}, [&](std::size_t) {
    {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    }
    all_there.arrive_and_wait();
  });
  CHECK(threads.size() == jobs);
  CHECK(threads.contains(std::this_thread::get_id()));
}

TEST_CASE("the first exception ends the rest and reaches the caller", "[parallel]") {
  const auto jobs = GENERATE(1U, 4U);
  constexpr std::size_t count = 100'000;
  std::atomic<std::size_t> worked{0};
  CHECK_THROWS_WITH(for_each_index(jobs, count, StopFlag{},
                                   [&](std::size_t i) {
                                     if (i == 3) throw std::runtime_error("piece three");
                                     ++worked;
                                   }),
                    "piece three");
  CHECK(worked < count - 1);
  if (jobs == 1) CHECK(worked == 3);
}

TEST_CASE("every thread may throw, and one exception comes out", "[parallel]") {
  CHECK_THROWS_AS(for_each_index(4, 1000, StopFlag{},
                                 [](std::size_t i) { throw std::out_of_range(std::to_string(i)); }),
                  std::out_of_range);
}

TEST_CASE("a stop is heeded before the next piece", "[parallel]") {
  StopFlag stop;
  std::atomic<int> worked{0};
  SECTION("where it came before the first") {
    stop.request(SIGTERM);
    for_each_index(4, 1000, stop, [&](std::size_t) { ++worked; });
    CHECK(worked == 0);
  }
  SECTION("where it comes meanwhile") {
    for_each_index(1, 1000, stop, [&](std::size_t i) {
      ++worked;
      if (i == 10) stop.request(SIGTERM);
    });
    CHECK(worked == 11);
  }
}
