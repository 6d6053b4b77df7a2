// kill -9 while several threads are at work: nobody who stays is harmed, whoever goes is whole or
// gone, and the next pass leaves what one that nobody killed would have left.
#include <fmt/format.h>

#include "support/backlog.hpp"
#include "support/catch.hpp"

using namespace calib::test;

namespace {

/// What a crash has left in `app` is looked at in a copy: looking rolls a hot journal back, which
/// the next pass has to do itself.
std::vector<std::string> faults_after_crash(const Backlog& before, const App& app) {
  const App copy;
  copy.become(app);
  return before.faults(copy);
}

void check_next_pass_settles(const App& app, const std::string& settled) {
  const auto next = run_pass(app);
  CHECK(next.status == 0);
  CHECK(next.err.empty());
  CHECK(difference(state_of(app), settled) == none);
  CHECK(app.is_sound());
}

}  // namespace

TEST_CASE("a pass killed while several threads remove directories is settled by the next one",
          "[tool][crash][threads]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const App app;
  RunOptions options;
  for (int n = 1; n <= 2 + 2 * 3; ++n) {
    CAPTURE(n);
    backlog.copy_to(app);
    options.interpose = fmt::format("unlinkat:{}:kill", n);
    CHECK(run_on(app, {"--jobs", "4"}, options).status == killed);
    CHECK(faults_after_crash(backlog, app) == none);
    check_next_pass_settles(app, settled);
  }
}
