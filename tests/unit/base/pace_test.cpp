// How many workers there are follows the rate that they get, against models of real file systems.
#include "base/pace.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>

#include "support/catch.hpp"

using namespace calib;
using std::chrono::milliseconds;

namespace {

/// Units in a millisecond that so many workers get done together.
using Rate = std::function<double(unsigned)>;

/// A file system under a pace: how long it was worked on, by each number of workers.
class Model {
 public:
  explicit Model(Rate rate, unsigned jobs = 0, unsigned first = 1)
      : pace(jobs, first), rate_(std::move(rate)) {
    pace.start(now_);
  }

  void work(milliseconds time) {
    for (const auto end = now_ + time; now_ < end;) {
      const auto workers = pace.workers();
      // So many pieces of 50 units are done at about the same time.
      const std::chrono::duration<double, std::milli> took{50.0 * workers / rate_(workers)};
      now_ += std::chrono::duration_cast<std::chrono::steady_clock::duration>(took);
      time_by_workers[workers] += took.count();
      units += 50.0 * workers;
      for (unsigned i = 0; i < workers; ++i) pace.done(50, now_);
    }
  }

  void rest(milliseconds time) {
    now_ += time;
    pace.start(now_);
  }

  void become(Rate rate) { rate_ = std::move(rate); }

  [[nodiscard]] double share(unsigned workers) const {
    double sum = 0;
    for (const auto& [number, time] : time_by_workers) sum += time;
    const auto found = time_by_workers.find(workers);
    return found == time_by_workers.end() ? 0 : found->second / sum;
  }

  Pace pace;
  std::map<unsigned, double> time_by_workers;
  double units = 0;

 private:
  Rate rate_;
  Pace::Time now_{};
};

double two_processors(unsigned workers) { return 100.0 * std::min(workers, 2U); }
double one_lock(unsigned workers) { return workers == 1 ? 100.0 : 60.0; }
double slow_disk(unsigned workers) {
  static const std::map<unsigned, double> times{
      {1, 1.0}, {2, 0.63}, {4, 0.42}, {8, 0.31}, {16, 0.23}};
  return 5.0 / times.at(workers);
}

}  // namespace

TEST_CASE("work starts with one worker, or with as many as are asked for", "[pace]") {
  CHECK(Pace(0).workers() == 1);
  for (const auto first : {1U, 2U, 16U}) CHECK(Pace(0, first).workers() == first);
  CHECK(Pace(3, 2).workers() == 3);
}

TEST_CASE("where two to begin with are slower than one, one works in the end", "[pace]") {
  Model model(one_lock, 0, 2);
  model.work(milliseconds{2000});
  model.time_by_workers.clear();
  model.work(milliseconds{2000});
  CHECK(model.share(1) > 0.9);
}

TEST_CASE("where the processors are the limit, there are as many workers as processors", "[pace]") {
  Model model(two_processors);
  model.work(milliseconds{2000});
  CHECK(model.share(2) > 0.85);
  CHECK(model.units > 0.92 * 2000 * two_processors(2));
}

TEST_CASE("where two are slower than one, one works", "[pace]") {
  Model model(one_lock);
  model.work(milliseconds{2000});
  CHECK(model.share(1) > 0.9);
  CHECK(model.units > 0.95 * 2000 * one_lock(1));
}

TEST_CASE("where removing waits for the disk, there are many workers", "[pace]") {
  Model model(slow_disk);
  model.work(milliseconds{20'000});
  CHECK(model.share(16) > 0.8);
  CHECK(model.units > 0.87 * 20'000 * slow_disk(16));
}

TEST_CASE("a file system that changes its mind is followed, up and down", "[pace]") {
  Model model(two_processors);
  model.work(milliseconds{2000});
  model.become(one_lock);
  model.work(milliseconds{20'000});
  model.time_by_workers.clear();
  model.work(milliseconds{2000});
  CHECK(model.share(1) > 0.8);
  model.become(slow_disk);
  model.work(milliseconds{40'000});
  model.time_by_workers.clear();
  model.work(milliseconds{4000});
  CHECK(model.share(16) > 0.8);
}

TEST_CASE("a rest is no work, and what was learnt stays", "[pace]") {
  Model model(two_processors);
  model.work(milliseconds{300});
  for (int slice = 0; slice < 50; ++slice) {
    model.rest(milliseconds{1000});
    model.work(milliseconds{100});
  }
  CHECK(model.share(2) > 0.85);
}

TEST_CASE("a rate is taken of pieces that stand few at a time between rests", "[pace]") {
  Pace pace(0);
  Pace::Time now{};
  for (int slice = 0; slice < 4; ++slice) {
    CHECK(pace.workers() == 1);
    pace.start(now += milliseconds{1000});
    pace.done(1, now += milliseconds{20});
  }
  REQUIRE(pace.workers() == 2);
  // Two get as much done as one did: the rests are no part of that.
  for (int piece = 0; piece < 8; ++piece) pace.done(1, now += milliseconds{19});
  CHECK(pace.workers() == 1);
}

TEST_CASE("what was being measured is forgotten where work went on at no rate", "[pace]") {
  Pace pace(0);
  Pace::Time now{};
  pace.start(now);
  for (int piece = 0; piece < 3; ++piece) pace.done(1, now += milliseconds{20});
  pace.forget(now += milliseconds{1000});
  for (int piece = 0; piece < 3; ++piece) pace.done(1, now += milliseconds{20});
  CHECK(pace.workers() == 1);
  pace.done(1, now += milliseconds{20});
  CHECK(pace.workers() == 2);
}

TEST_CASE("pieces too few for a rate teach nothing", "[pace]") {
  Pace pace(0);
  const Pace::Time begin{};
  pace.start(begin);
  for (int piece = 1; piece <= 3; ++piece) pace.done(1, begin + milliseconds{1000 * piece});
  CHECK(pace.workers() == 1);
  pace.done(1, begin + milliseconds{4000});
  CHECK(pace.workers() == 2);
}

TEST_CASE("a fixed number of workers stays", "[pace]") {
  const auto jobs = GENERATE(1U, 3U, 64U);
  Model model([](unsigned) { return 100.0; }, jobs);
  model.work(milliseconds{1000});
  CHECK(std::abs(model.share(jobs) - 1.0) < 1e-9);
  CHECK(model.pace.most() == jobs);
}
