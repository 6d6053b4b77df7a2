// Many passes at once in one folder, and dry runs between them.
#include <fmt/format.h>

#include <memory>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/scale.hpp"

using namespace calib::test;

namespace {

/// A backlog that keeps a pass busy for a while.
class Crowded : public Backlog {
 public:
  explicit Crowded(Journal journal) : Backlog(journal) {
    for (int i = 0; i < more; ++i) add_session(40);
    for (int i = 0; i < more; ++i) add_directory(fmt::format("orphan {}", i), 2);
  }
  static constexpr int more = 12;
};

using Crowd = std::vector<std::unique_ptr<Running>>;

Crowd start(int count, const App& app, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"--app-dir", app.root().string(), "--json"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  Crowd crowd;
  for (int i = 0; i < count; ++i) crowd.push_back(std::make_unique<Running>(words, RunOptions{}));
  return crowd;
}

}  // namespace

TEST_CASE("passes at once that wait for each other delete everything once",
          "[tool][company][threads]") {
  const Crowded app(GENERATE(from_range(journals())));
  const auto settled = app.settled();
  const auto crowd = start(GENERATE(2, 8), app, {"--lock-wait", "60"});
  std::uint64_t sessions = 0;
  std::uint64_t directories = 0;
  for (const auto& running : crowd) {
    const auto ran = running->finish();
    CHECK(ran.status == 0);
    CHECK(ran.err.empty());
    sessions += ran.json().at("deleted_sessions").get<std::uint64_t>();
    directories += ran.json().at("deleted_orphaned_directories").get<std::uint64_t>();
  }
  CHECK(sessions == app.due().size() + Crowded::more);
  CHECK(directories == 1 + Crowded::more);
  CHECK(difference(state_of(app), settled) == none);
  CHECK(app.is_sound());
}

TEST_CASE("passes at once that do not wait: each does it all, or says that another is at work",
          "[tool][company][threads]") {
  const Crowded app(GENERATE(from_range(journals())));
  const auto settled = app.settled();
  const auto crowd = start(8, app, {"--lock-wait", "0"});
  std::uint64_t sessions = 0;
  int done = 0;
  for (const auto& running : crowd) {
    const auto ran = running->finish();
    INFO(ran.err);
    sessions += ran.json().at("deleted_sessions").get<std::uint64_t>();
    if (ran.status == 0) {
      ++done;
      CHECK(ran.err.empty());
    } else {
      CHECK(ran.status == 4);
      CHECK(is_one_error(ran, {"--lock-wait"}));
    }
  }
  CHECK(done >= 1);
  CHECK(sessions == app.due().size() + Crowded::more);
  CHECK(difference(state_of(app), settled) == none);
  CHECK(app.is_sound());
}

TEST_CASE("dry runs beside passes find what is there at that moment, and never fail",
          "[tool][company][threads]") {
  const Crowded app(GENERATE(from_range(journals())));
  const auto settled = app.settled();
  const auto due = app.due().size() + Crowded::more;
  for (int round = 0; round < scaled(4); ++round) {
    const auto dry = start(2, app, {"--dry-run"});
    const auto passes = start(2, app, {"--lock-wait", "60"});
    const auto more = start(2, app, {"--dry-run"});
    for (const auto* crowd : {&dry, &passes, &more}) {
      for (const auto& running : *crowd) {
        const auto ran = running->finish();
        INFO(ran.err);
        CHECK(ran.status == 0);
        CHECK(ran.json().at("deleted_sessions").get<std::uint64_t>() <= due);
      }
    }
    CHECK(difference(state_of(app), settled) == none);
    // The next round is not to find an empty folder.
    for (int i = 0; i < Crowded::more; ++i) app.add_directory(fmt::format("orphan {}", i), 2);
  }
}
