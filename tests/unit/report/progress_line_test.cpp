#include "report/progress_line.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/progress.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using calib::Progress;

namespace {

constexpr std::chrono::steady_clock::time_point began{std::chrono::hours{1}};

std::string line(const std::string& what, std::uint64_t done, std::uint64_t total,
                 std::chrono::milliseconds elapsed, unsigned columns = 79) {
  return calib::progress_line({what, done, total, began}, began + elapsed, columns);
}

}  // namespace

TEST_CASE("a phase without counts is just its phrase") {
  CHECK(line("waiting for another pass", 0, 0, 5s) == "waiting for another pass");
}

TEST_CASE("a wait says for what, for how long of how long, and for whom") {
  Progress::View view{"deleting sessions", 3, 10, began};
  view.wait = calib::Wait{"waiting for the database", began, 30s, {}, "python3 (process 812)"};
  CHECK(calib::progress_line(view, began + 4'500ms, 79) ==
        "waiting for the database: 4 of 30 s, for python3 (process 812)");
  view.wait->holder.clear();
  view.wait->limit = 500ms;
  CHECK(calib::progress_line(view, began, 79) == "waiting for the database: 0 of 0.5 s");
  CHECK(calib::progress_line(view, began, 7) == "waiting");
}

TEST_CASE("a wait of which nothing more is heard is over") {
  Progress progress;
  progress.begin("deleting", 2);
  progress.waits({"waiting", std::chrono::steady_clock::now(), 1s, {}, {}});
  CHECK(progress.view().wait);
  progress.begin("vacuuming", 0);
  CHECK_FALSE(progress.view().wait);
}

TEST_CASE("a phase without a total shows how much it has done") {
  CHECK(line("listing", 7, 0, 5s) == "listing: 7");
  CHECK(line("listing", 999, 0, 5s) == "listing: 999");
  CHECK(line("listing", 1'234, 0, 5s) == "listing: 1,234");
  CHECK(line("listing", 1'234'567, 0, 5s) == "listing: 1,234,567");
  CHECK(line("listing", 123'456, 0, 5s) == "listing: 123,456");
}

TEST_CASE("a phase with a total shows part, rate and time left") {
  CHECK(line("purging directories", 1'234, 10'000, 2'360ms) ==
        "purging directories: 1,234 of 10,000 (12 %), 522/s, 16 s left");
  CHECK(line("deleting", 3, 10, 2s) == "deleting: 3 of 10 (30 %), 1.5/s, 4 s left");
  CHECK(line("deleting", 5'000, 1'000'000, 1s) ==
        "deleting: 5,000 of 1,000,000 (0 %), 5,000/s, 3 min left");
}

TEST_CASE("without a rate there is no time left") {
  CHECK(line("purging", 0, 10, 5s) == "purging: 0 of 10 (0 %)");
  CHECK(line("purging", 5, 10, 999ms) == "purging: 5 of 10 (50 %)");
  CHECK(line("purging", 5, 10, 0s) == "purging: 5 of 10 (50 %)");
  CHECK(line("purging", 5, 10, -1s) == "purging: 5 of 10 (50 %)");
}

TEST_CASE("a phase that is done has no time left") {
  CHECK(line("purging", 10, 10, 2s) == "purging: 10 of 10 (100 %), 5.0/s");
  CHECK(line("purging", 12, 10, 2s) == "purging: 10 of 10 (100 %), 5.0/s");
  CHECK(line("purging", 199, 200, 2s) == "purging: 199 of 200 (99 %), 99/s, 0 s left");
}

TEST_CASE("numbers of any size are taken") {
  const auto most = std::numeric_limits<std::uint64_t>::max();
  CHECK(line("purging", 1, most, 2s, 200) ==
        "purging: 1 of 18,446,744,073,709,551,615 (0 %), 0.5/s, 11574 d left");
  CHECK(line("purging", most, most, 2s, 200).substr(0, 12) == "purging: 18,");
}

TEST_CASE("the line is cut to the terminal") {
  CHECK(line("deleting", 3, 10, 2s, 0).empty());
  CHECK(line("listing", 7, 0, 2s, 10) == "listing: 7");
  // Characters, not bytes, and none in half.
  CHECK(line("K\xc3\xb6ln", 0, 0, 0s, 2) == "K\xc3\xb6");
  CHECK(line("K\xc3\xb6ln", 0, 0, 0s, 1) == "K");
}

TEST_CASE("on a narrow terminal whole parts are left out, the least needed first") {
  const auto narrow = [](unsigned columns) {
    return line("purging", 1'234, 10'000, 2'360ms, columns);
  };
  CHECK(narrow(53) == "purging: 1,234 of 10,000 (12 %), 522/s, 16 s left");
  CHECK(narrow(49) == "purging: 1,234 of 10,000 (12 %), 522/s, 16 s left");
  CHECK(narrow(48) == "purging: 1,234 of 10,000 (12 %), 16 s left");
  CHECK(narrow(42) == "purging: 1,234 of 10,000 (12 %), 16 s left");
  CHECK(narrow(41) == "purging: 1,234 of 10,000 (12 %)");
  CHECK(narrow(31) == "purging: 1,234 of 10,000 (12 %)");
  CHECK(narrow(30) == "purging: 12 %, 16 s left");
  CHECK(narrow(24) == "purging: 12 %, 16 s left");
  CHECK(narrow(23) == "purging: 12 %");
  CHECK(narrow(13) == "purging: 12 %");
  CHECK(narrow(12) == "purging: 12 ");
}

TEST_CASE("the line cannot drive the terminal") {
  CHECK(line("a\n\x1b[2J", 0, 0, 0s) == R"(a\x0a\x1b[2J)");
}

TEST_CASE("a new phase begins at nothing") {
  Progress progress;
  CHECK(progress.view().what.empty());
  progress.begin("listing", 0);
  progress.advance();
  progress.advance(4);
  CHECK(progress.view().done == 5);
  const auto first = progress.view().began;
  progress.begin("purging", 12);
  const Progress::View view = progress.view();
  CHECK(view.what == "purging");
  CHECK(view.done == 0);
  CHECK(view.total == 12);
  CHECK(view.began >= first);
}

TEST_CASE("many threads advance together") {
  Progress progress;
  progress.begin("purging", 4'000);
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int n = 0; n < 4; ++n) {
      threads.emplace_back([&] {
        for (int step = 0; step < 1'000; ++step) progress.advance();
      });
    }
  }
  CHECK(progress.view().done == 4'000);
}

TEST_CASE("a line that goes before its first second ends at once") {
  Progress progress;
  progress.begin("purging", 10);
  for (const calib::When when : {calib::When::never, calib::When::automatic, calib::When::always}) {
    const calib::ProgressLine shown(progress, when);
  }
  CHECK(progress.view().total == 10);
}
