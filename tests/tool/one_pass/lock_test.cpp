// Two passes in one folder, and passes beside the app and its readers. Who waits is seen to wait:
// the tool is stopped between two of its looks at the lock.
#include <fmt/format.h>
#include <signal.h>

#include <optional>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

constexpr auto reads = "BEGIN; SELECT count(*) FROM sessions";

}  // namespace

TEST_CASE("a second pass gives up with status 4 while another is at work, and changes nothing",
          "[tool][locks]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  // The lock is held until the end of the purge.
  const auto point = GENERATE(as<std::string>{}, "renameat2:2:stop", "unlinkat/image_:4:stop",
                              "rmdirat/.calib-cleanup:2:stop");
  const auto wait = GENERATE(as<std::string>{}, "0", "0.2");
  CAPTURE(point, wait);
  Running first(pass_arguments(backlog), at(point));
  REQUIRE(first.wait_until_stopped());
  const auto before = backlog.fingerprint();

  const auto second = run_pass(backlog, {"--lock-wait", wait});

  CHECK(second.status == 4);
  CHECK(second.out.empty());
  CHECK(is_one_error(second, {backlog.uploads().string(), "another pass", "--lock-wait",
                              fmt::format("(process {})", first.pid())}));
  CHECK(changes_since(before, backlog) == none);
  const auto ran = first.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a second pass that waits goes on when the first has ended, and sees what it did",
          "[tool][locks]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  Running first(pass_arguments(backlog), at("renameat2:2:stop"));
  REQUIRE(first.wait_until_stopped());
  Running second(pass_arguments(backlog, {"--lock-wait", "20"}), at("flock:3:stop"));
  REQUIRE(second.wait_until_stopped());

  CHECK(has_line(first.finish().out, "Cleanup completed: Deleted 2 old sessions"));
  const auto ran = second.finish();

  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 0 old sessions"));
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a pass that waits takes over from one that was killed",
          "[tool][locks][crash][threads]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const auto point = GENERATE(as<std::string>{}, at_commit("stop"), "unlinkat/image_:4:stop");
  Running first(pass_arguments(backlog), at(point));
  REQUIRE(first.wait_until_stopped());
  Running second(pass_arguments(backlog, {"--lock-wait", "20"}), at("flock:3:stop"));
  REQUIRE(second.wait_until_stopped());
  first.signal(SIGKILL);
  CHECK(first.finish().status == killed);
  CHECK(second.finish().status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a dry run neither waits for a pass nor makes one wait", "[tool][locks][dry-run]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  std::optional<Ran> pass;
  SECTION("beside a pass") {
    const auto point = GENERATE(as<std::string>{}, "renameat2:2:stop", "unlinkat/image_:4:stop");
    CAPTURE(point);
    Running first(pass_arguments(backlog), at(point));
    REQUIRE(first.wait_until_stopped());
    const auto before = backlog.fingerprint();
    const auto dry = run_pass(backlog, {"--dry-run", "--lock-wait", "0"});
    CHECK(dry.status == 0);
    CHECK(dry.err.empty());
    CHECK(changes_since(before, backlog) == none);
    pass = first.finish();
  }
  SECTION("before a pass") {
    Running dry(pass_arguments(backlog, {"--dry-run"}), at("getdents:2:stop"));
    REQUIRE(dry.wait_until_stopped());
    pass = run_pass(backlog, {"--lock-wait", "0"});
    CHECK(dry.finish().status == 0);
  }
  REQUIRE(pass);
  CHECK(pass->status == 0);
  CHECK(pass->err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a database that stays locked for longer than --lock-wait is status 4, orphans included",
          "[tool][locks]") {
  const Backlog backlog(GENERATE(from_range(journals())));
  const auto settled = backlog.settled();
  const auto wait = GENERATE(as<std::string>{}, "0", "0.2");
  auto writer = backlog.writer();
  const auto before = backlog.fingerprint();
  const auto ran = run_pass(backlog, {"--lock-wait", wait});
  CHECK(ran.status == 4);
  CHECK(ran.out.empty());
  // A server is asked once, which takes its time.
  const bool is_told_of_time = wait != "0" || on_postgresql();
  const auto* const locked = is_told_of_time ? "stayed locked for " : "is locked by ";
  CHECK(is_one_error(ran, {backlog.database_shown(), locked, " by ", "process ", "--lock-wait"}));
  CHECK(changes_since(before, backlog) == none);
  writer.reset();
  CHECK(run_pass(backlog).status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a pass that waits for the app's write lock goes on when the app is done",
          "[tool][locks]") {
  const Backlog backlog(GENERATE(from_range(journals())));
  const auto settled = backlog.settled();
  auto writer = backlog.writer();
  const auto before = backlog.fingerprint();
  Running running(pass_arguments(backlog, {"--lock-wait", "20"}), at("sleep:3:stop"));
  REQUIRE(running.wait_until_stopped());
  CHECK(changes_since(before, backlog) == none);
  writer.reset();
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("where the app takes the lock after the orphans have gone, sessions stay whole: status 1",
          "[tool][locks]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  Running running(pass_arguments(backlog, {"--lock-wait", "0.1"}), at("unlinkat/image_:1:stop"));
  REQUIRE(running.wait_until_stopped());
  auto writer = backlog.writer();
  const auto ran = running.finish();
  writer.reset();
  // Status 4 promises that nothing was changed.
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {backlog.database_shown(), "--lock-wait"}));
  CHECK(has_line(ran.out, "Cleanup incomplete: Deleted 0 old sessions"));
  CHECK(has_line(ran.out, "Orphaned file cleanup incomplete: Deleted 1 directory"));
  for (const auto& id : backlog.due()) CHECK(backlog.is_whole(id));
  CHECK(run_pass(backlog).status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a commit that a reader blocks is rolled back, and tried again until the reader is done",
          "[tool][locks][sqlite]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  auto reader = backlog.user(reads);
  // 1 and 2: moved aside; 3 and 4: moved back, because the reader stays.
  Running running(pass_arguments(backlog, {"--lock-wait", "20"}),
                  at("renameat2:4:stop-after renameat2:5:stop"));
  REQUIRE(running.wait_until_stopped());
  CHECK(backlog.entries() == backlog.session_ids());
  for (const auto& id : backlog.due()) CHECK(Backlog::has_all_images(backlog.uploads() / id));

  // The lock is free between two tries: a writer gets in.
  running.signal(SIGCONT);
  REQUIRE(running.wait_until_stopped());
  CHECK(backlog.has_all_records(backlog));
  reader.reset();

  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a directory that cannot be moved back after a blocked commit keeps its records",
          "[tool][locks][faults][sqlite]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  auto reader = backlog.user(reads);
  Running running(pass_arguments(backlog, {"--lock-wait", "20"}),
                  at("renameat2:3:5 renameat2:4:stop-after"));
  REQUIRE(running.wait_until_stopped());
  reader.reset();
  const auto ran = running.finish();
  CHECK(ran.status == 1);
  // One of the two could be moved back, and goes with the second try.
  const auto& stuck = backlog.due()[backlog.has_session(backlog.due()[0]) ? 0 : 1];
  const auto& other = backlog.due()[backlog.has_session(backlog.due()[0]) ? 1 : 0];
  CHECK(backlog.has_session(stuck));
  CHECK(backlog.rows_of(stuck) == 4);
  CHECK(Backlog::has_all_images(backlog.staged(stuck)));
  CHECK(lines_with(diagnostics_of(ran).errors, backlog.staged(stuck).string()) >= 1);
  CHECK(backlog.is_gone(other));
  CHECK(run_pass(backlog).status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("readers that stay for longer than --lock-wait end the pass, with everything restored",
          "[tool][locks][sqlite]") {
  const Backlog backlog;
  const bool has_orphan = GENERATE(true, false);
  if (!has_orphan) fs::remove_all(backlog.uploads() / "orphan");
  const auto settled = backlog.settled();
  auto reader = backlog.user(reads);
  const auto ran = run_pass(backlog, {"--lock-wait", "0.1"});
  reader.reset();
  CHECK(ran.status == (has_orphan ? 1 : 4));
  CHECK(is_one_error(ran, {backlog.database_shown(), "--lock-wait"}));
  for (const auto& id : backlog.due()) CHECK(backlog.is_whole(id));
  CHECK(backlog.has_all_records(backlog));
  CHECK(backlog.entries() == backlog.session_ids());
  CHECK(run_pass(backlog).status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("what is said of a lock is how long it was waited for, all tries taken together",
          "[tool][locks][sqlite]") {
  const Backlog backlog;
  const auto reader = backlog.its_database().user(reads);
  // Longer than one commit waits for readers.
  const auto ran = run_pass(backlog, {"--lock-wait", "1.5"});
  const std::string before = "stayed locked for ";
  const auto at = ran.err.find(before);
  REQUIRE(at != std::string::npos);
  CHECK(std::stod(ran.err.substr(at + before.size())) > 1.5);
}

TEST_CASE("readers of a write-ahead database keep no pass waiting", "[tool][locks]") {
  const Backlog backlog(Journal::wal);
  const auto reader = backlog.user(reads);
  const auto ran = run_pass(backlog, {"--lock-wait", "0"});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  for (const auto& id : backlog.due()) CHECK(backlog.is_gone(id));
}
