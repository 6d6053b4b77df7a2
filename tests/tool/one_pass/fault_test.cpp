// Calls to the system that fail on the way: each session goes whole or stays whole, the status says
// which, and the next pass has no trouble with what is left.
#include <fmt/format.h>

#include <cerrno>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

TEST_CASE("a directory that cannot be moved aside keeps its session whole, the others go",
          "[tool][faults]") {
  const Backlog backlog(GENERATE(from_range(journals())));
  const int error = GENERATE(EBUSY, EXDEV, EPERM, EACCES, EIO);
  CAPTURE(error);
  const auto stuck = backlog.due().front();
  const auto other = backlog.due().back();

  const auto ran = run_pass(backlog, {}, fmt::format("renameat2/{}:1:{}", stuck, error));

  CHECK(ran.status == 1);
  CHECK(is_one_error(
      ran, {(backlog.uploads() / stuck).string(), fmt::format("session {} is left whole", stuck)}));
  CHECK(has_line(ran.out, "Cleanup incomplete: Deleted 1 old session"));
  CHECK(backlog.is_whole(stuck));
  CHECK(backlog.number("SELECT count(*) FROM stereo_calibration_results") == 2);
  CHECK(backlog.is_gone(other));
  CHECK(backlog.entries() == backlog.session_ids());
  CHECK(run_pass(backlog).status == 0);
  CHECK(backlog.is_gone(stuck));
}

TEST_CASE("a directory for whose move there is no room goes when others have made some",
          "[tool][faults]") {
  const Backlog backlog(GENERATE(from_range(journals())));
  const int error = GENERATE(ENOSPC, EDQUOT);
  const auto settled = backlog.settled();
  const auto& stuck = backlog.due().front();
  const auto ran = run_pass(backlog, {}, fmt::format("renameat2/{}:1:{}", stuck, error));
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("where there is no room to move any directory, every session stays whole",
          "[tool][faults]") {
  const Backlog backlog;
  const auto ran = run_pass(backlog, {}, fmt::format("renameat2:*:{}", ENOSPC));
  CHECK(ran.status == 1);
  CHECK(diagnostics_of(ran).errors.size() == 2);
  for (const auto& id : backlog.due()) CHECK(backlog.is_whole(id));
}

TEST_CASE("where no directory can be moved, every session stays whole", "[tool][faults]") {
  const Backlog backlog;
  const auto ran = run_pass(backlog, {}, "renameat2:*:18");
  CHECK(ran.status == 1);
  CHECK(diagnostics_of(ran).errors.size() == 2);
  for (const auto& id : backlog.due()) CHECK(backlog.is_whole(id));
  for (const auto& id : backlog.live()) CHECK(backlog.is_whole(id));
  // What needs no directory moved goes all the same.
  CHECK(backlog.rows_of(backlog.leaked_key()) == 0);
  CHECK(backlog.entries() == backlog.session_ids());
}

TEST_CASE("a file system that knows no exclusive rename serves as well", "[tool][faults]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const auto ran = run_pass(backlog, {}, "renameat2:*:22");
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("what cannot be removed after the commit is named, and the next pass finishes it",
          "[tool][faults]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const int error = GENERATE(EIO, EACCES, EBUSY, EPERM);
  // The orphan has an image_001 of its own, and goes first: the second one is a session's.
  const auto call = GENERATE(as<std::string>{}, "unlinkat/image_001:2", "rmdirat/.calib-cleanup:1");
  CAPTURE(error, call);

  const auto ran = run_pass(backlog, {}, fmt::format("{}:{}", call, error));

  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.size() == 1);
  CHECK(lines_with(said.errors, (backlog.uploads() / ".calib-cleanup.").string()) == 1);
  for (const auto& id : backlog.due()) CHECK_FALSE(backlog.has_session(id));
  CHECK(backlog.entries().size() == 3);

  const auto next = run_pass(backlog);
  CHECK(next.status == 0);
  CHECK(next.err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("an orphan that cannot be removed is named, and the sessions go all the same",
          "[tool][faults]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const auto call = GENERATE(as<std::string>{}, "unlinkat/image_000:1:5", "rmdirat/orphan:1:16");
  const auto ran = run_pass(backlog, {}, call);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {(backlog.uploads() / "orphan").string()}));
  for (const auto& id : backlog.due()) CHECK(backlog.is_gone(id));
  CHECK(run_pass(backlog).status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("an orphan whose age cannot be told is left and named", "[tool][faults]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const auto ran = run_pass(backlog, {}, "statx/orphan:1:5");
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {(backlog.uploads() / "orphan").string(), "left for the next pass"}));
  CHECK(fs::exists(backlog.uploads() / "orphan" / "image_000.png"));
  for (const auto& id : backlog.due()) CHECK(backlog.is_gone(id));
  CHECK(run_pass(backlog).status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("where a directory cannot be moved back something was changed: status 1",
          "[tool][faults]") {
  const Backlog backlog;
  fs::remove_all(backlog.uploads() / "orphan");
  const auto ran = run_pass(backlog, {}, at_every_commit("5") + " renameat2:3+:5");
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  for (const auto& id : backlog.due()) {
    CHECK(lines_with(said.errors, backlog.staged(id).string()) == 1);
    CHECK(Backlog::has_all_images(backlog.staged(id)));
  }
  CHECK(backlog.faults(backlog) == none);
  CHECK(backlog.has_all_records(backlog));
  CHECK(run_pass(backlog).status == 0);
}

TEST_CASE("what was moved aside and cannot be looked at there goes back", "[tool][faults]") {
  const Backlog backlog;
  const auto stuck = backlog.due().front();
  const auto staged = ".calib-cleanup." + stuck;
  // The first move back fails, too.
  const auto ran =
      run_pass(backlog, {}, fmt::format("statx/{}:1:5 renameat2/{}:2:5", staged, stuck));
  CHECK(ran.status == 1);
  CHECK(lines_with(diagnostics_of(ran).errors, (backlog.uploads() / stuck).string()) == 1);
  CHECK(backlog.is_whole(stuck));
  CHECK(backlog.is_gone(backlog.due().back()));
}

TEST_CASE("a disk that stays full costs no session anything", "[tool][faults][sqlite]") {
  const Backlog backlog(GENERATE(from_range(journals())));
  const bool has_orphan = GENERATE(true, false);
  if (!has_orphan) fs::remove_all(backlog.uploads() / "orphan");
  const auto before = state_of(backlog);
  const auto settled = backlog.settled();

  const auto ran = run_pass(backlog, {}, "pwrite:*:28");

  CAPTURE(ran.err);
  // The orphan goes first, to make room; and where something is gone, 3 would be a lie.
  const bool removed = has_orphan && !fs::exists(backlog.uploads() / "orphan");
  CHECK(ran.status == (removed ? 1 : 3));
  CHECK(diagnostics_of(ran).errors.size() == 1);
  CHECK(backlog.faults(backlog) == none);
  CHECK(backlog.has_all_records(backlog));
  if (!removed) CHECK(difference(state_of(backlog), before) == none);
  CHECK(run_pass(backlog).status == 0);
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("where the folder cannot be locked or read, nothing is changed: status 3",
          "[tool][faults]") {
  const Backlog backlog;
  const auto before = backlog.fingerprint();
  const auto call =
      GENERATE(as<std::string>{}, "flock:*:37", "flock:1:5", "getdents:1:5", "getdents:2:5");
  CAPTURE(call);
  const auto ran = run_pass(backlog, {}, call);
  CHECK(ran.status == 3);
  CHECK(ran.out.empty());
  CHECK(is_one_error(ran, {backlog.uploads().string()}));
  CHECK(backlog.fingerprint() == before);
}

TEST_CASE("a call that a signal interrupted is made again", "[tool][faults][threads]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const auto ran = run_pass(backlog, {},
                            "flock:1:4 getdents:1:4 statx:1:4 renameat2:1:4 unlinkat:2:4 "
                            "rmdirat:1:4");
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}
