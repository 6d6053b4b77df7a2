// The rollback journal of a pass, which is overwritten from one transaction to the next: when what
// it says is a commit, and who removes it.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/change_log.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

TEST_CASE("until its journal's header is cleared nothing is committed, and then everything is",
          "[tool][crash][sqlite]") {
  const Backlog backlog;
  const App app;
  const auto journal = app.database().string() + "-journal";
  int commits = 0;
  for (int n = 1;; ++n) {
    CAPTURE(n);
    backlog.copy_to(app);
    if (run_pass(app, {}, fmt::format("clear/-journal:{}:kill", n)).status != killed) break;
    CHECK(bytes_in(journal).find_first_not_of('\0') < 28);
    CHECK(backlog.faults(app) == none);
    CHECK(backlog.has_all_records(app));
    backlog.copy_to(app);
    REQUIRE(run_pass(app, {}, fmt::format("clear/-journal:{}:kill-after", n)).status == killed);
    CHECK(bytes_in(journal).find_first_not_of('\0') >= 28);
    CHECK(backlog.faults(app) == none);
    if (backlog.has_all_records(app)) continue;
    ++commits;
    // No file is unlinked before its commit.
    for (const auto& id : backlog.due()) {
      CHECK(Backlog::has_all_images(app.staged(id)));
    }
  }
  CHECK(commits == 1);
}

TEST_CASE(
    "a journal that a killed pass leaves stands in nobody's way, and goes with the next write",
    "[tool][crash][sqlite][threads]") {
  const Backlog app;
  const auto journal = app.database().string() + "-journal";
  // In the commit, or at the end; the first journal is that of a transaction that is rolled back.
  const auto* point = GENERATE("clear/-journal:1:kill-after", "unlink/-journal:2:kill");
  REQUIRE(run_pass(app, {}, point).status == killed);
  REQUIRE(fs::file_size(journal) > 0);
  const auto dry = run_pass(app, {"--dry-run"});
  CHECK(dry.status == 0);
  CHECK(dry.err.empty());
  const bool by_the_app = GENERATE(true, false);
  if (by_the_app) {
    app.execute("UPDATE sessions SET images_dir = images_dir || '/'");
  } else {
    CHECK(run_pass(app).status == 0);
  }
  CHECK_FALSE(fs::exists(journal));
}

TEST_CASE("a pass leaves no journal", "[tool][sqlite]") {
  const Backlog app;
  const auto rule = GENERATE(as<std::string>{}, "none:1:0", "clear/-journal:1:stop");
  Running running(pass_arguments(app), at(rule));
  if (rule != "none:1:0") {
    REQUIRE(running.wait_until_stopped());
    running.signal(SIGTERM);
  }
  CHECK(running.finish().status == (rule == "none:1:0" ? 0 : 128 + SIGTERM));
  CHECK_FALSE(fs::exists(app.database().string() + "-journal"));
}

TEST_CASE("files of a commit that can be seen and could not be synced stay while the journal does",
          "[tool][faults][sqlite]") {
  App app;
  const auto id = app.add_session(48);
  app.add_session(1);
  // The third sync of the journal is that of its cleared header; and nobody removes the journal.
  const auto ran =
      run_pass(app, {}, fmt::format("fdatasync/-journal:3:{} unlink/-journal:*:{}", EIO, EPERM));
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.database().string() + "-journal", "may undo that commit",
                           "the next pass settles it"}));
  const auto aside = app.staged(id);
  CHECK(fs::exists(aside / "image_000.png"));
  CHECK(run_pass(app).status == 0);
  CHECK_FALSE(fs::exists(aside));
}

TEST_CASE("a journal that says committed is on the disk before an orphan goes",
          "[tool][faults][sqlite]") {
  const Backlog app;
  REQUIRE(run_pass(app, {}, "clear/-journal:1:kill-after").status == killed);
  RunOptions options;
  // The pass cannot write, and that journal stays.
  options.interpose = fmt::format("pwrite/-journal:*:{} unlink/-journal:*:{}", ENOSPC, EPERM);
  const auto log = app.scratch("log");
  options.environment["CALIB_TEST_LOG"] = log.string();
  CHECK(run_tool(pass_arguments(app), options).status != killed);

  const auto changes = read_change_log(log, app.root());
  const auto is_sync = [](const Change& change) {
    return change.path.ends_with("-journal") && change.kind == Change::Kind::sync;
  };
  const auto is_removal = [](const Change& change) {
    return change.path.starts_with("uploads/") && change.kind == Change::Kind::unlink;
  };
  const auto sync = std::find_if(changes.begin(), changes.end(), is_sync);
  const auto removal = std::find_if(changes.begin(), changes.end(), is_removal);
  REQUIRE(removal != changes.end());
  CHECK(sync < removal);
}
