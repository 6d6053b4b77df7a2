// What a purge has changed is brought to the disk before the next transaction takes the lock, or
// whoever waits for the lock would wait for that as well.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/change_log.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// More than one transaction takes.
constexpr int many_sessions = 2100;
/// From so many directories on the folder is synced.
constexpr std::size_t min_to_sync = 64;

void add_sessions(const App& app, int count) {
  std::string rows;
  for (int i = 0; i < count; ++i) {
    const auto id = new_uuid();
    rows += fmt::format("{}('{}', 'uploads/{}', '2025-01-01 00:00:00.000000')", i == 0 ? "" : ", ",
                        id, id);
    app.add_directory(id, 0);
  }
  app.execute("INSERT INTO sessions VALUES " + rows);
}

/// What came between two commits.
struct Between {
  std::size_t removed = 0;         ///< directories
  int syncs = 0;                   ///< of the uploads folder
  bool was_locked = false;         ///< one of them while a journal was written
  std::size_t removed_before = 0;  ///< before the first one
};

bool is_journal(const Change& change) { return change.path.ends_with("-journal"); }

bool clears_journal(const Change& change) {
  return is_journal(change) && change.kind == Change::Kind::write && change.offset == 0 &&
         change.data.find_first_not_of('\0') == std::string::npos;
}

std::vector<Between> between_commits(const std::vector<Change>& changes) {
  std::vector<Between> found(1);
  bool locked = false;
  for (const auto& change : changes) {
    if (is_journal(change) && change.kind == Change::Kind::open) locked = true;
    const bool is_removed = is_journal(change) && change.kind == Change::Kind::unlink;
    if (locked && (clears_journal(change) || is_removed)) {
      locked = false;
      found.emplace_back();
    }
    auto& now = found.back();
    if (change.kind == Change::Kind::rmdir) ++now.removed;
    if (change.kind == Change::Kind::sync && change.path == "uploads") {
      if (now.syncs++ == 0) now.removed_before = now.removed;
      if (locked) now.was_locked = true;
    }
  }
  return found;
}

}  // namespace

TEST_CASE("between two slices the folder is synced while the lock is free, and not after the last",
          "[tool][slices][sqlite][threads]") {
  const App app;
  add_sessions(app, many_sessions);
  RunOptions options;
  options.interpose = "none:1:0";
  const auto log = app.scratch("log");
  options.environment["CALIB_TEST_LOG"] = log.string();
  REQUIRE(run_tool(pass_arguments(app), options).status == 0);

  auto slices = between_commits(read_change_log(log, app.root()));
  REQUIRE(slices.size() > 2);
  CHECK(slices.back().removed > 0);
  CHECK(slices.back().syncs == 0);
  slices.pop_back();
  int synced = 0;
  std::size_t removed = 0;
  for (const auto& slice : slices) {
    CAPTURE(slice.removed, slice.removed_before);
    CHECK(slice.syncs == (slice.removed < min_to_sync ? 0 : 1));
    CHECK_FALSE(slice.was_locked);
    removed += slice.removed;
    if (slice.syncs == 0) continue;
    ++synced;
    CHECK(slice.removed_before >= slice.removed * 3 / 4);
  }
  CHECK(removed > 0);
  CHECK(synced > 0);
}

TEST_CASE("a pass of one slice syncs no folder", "[tool][slices][sqlite]") {
  App app;
  for (int i = 0; i < 3; ++i) app.add_session(48);
  RunOptions options;
  options.interpose = "none:1:0";
  const auto log = app.scratch("log");
  options.environment["CALIB_TEST_LOG"] = log.string();
  REQUIRE(run_tool(pass_arguments(app), options).status == 0);
  for (const auto& slice : between_commits(read_change_log(log, app.root()))) {
    CHECK(slice.syncs == 0);
  }
}

TEST_CASE("a folder that cannot be synced between two slices is told of, once, and all goes",
          "[tool][slices][sqlite][threads]") {
  const App app;
  add_sessions(app, many_sessions);
  const auto ran = run_pass(app, {}, fmt::format("fsync/uploads:*:{}", EIO));
  CHECK(ran.status == 0);
  CHECK(is_one_warning(ran, {app.uploads().string(), "could not be synced", "see to the disk"}));
  CHECK(app.entries().empty());
  CHECK(app.session_ids().empty());
}

TEST_CASE("a file system that cannot sync directories is nothing to tell of",
          "[tool][slices][sqlite]") {
  const App app;
  add_sessions(app, many_sessions);
  const auto ran = run_pass(app, {}, fmt::format("fsync/uploads:*:{}", EINVAL));
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.entries().empty());
}

TEST_CASE("nor is it where directories were moved back", "[tool][slices][sqlite]") {
  const int error = GENERATE(EINVAL, ENOSYS, EOPNOTSUPP);
  const Backlog backlog;
  REQUIRE(run_pass(backlog, {}, "renameat2:2:kill").status == killed);
  const auto ran = run_pass(backlog, {}, fmt::format("fsync/uploads:*:{}", error));
  CAPTURE(error, ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
}

TEST_CASE("what was moved back and could not be synced between two slices is an error",
          "[tool][slices][sqlite][threads]") {
  const App app;
  add_sessions(app, many_sessions);
  // The first slice fails, and everything in it is moved back; the disk tells of its error once.
  const auto ran = run_pass(
      app, {}, fmt::format("pwrite/calibration.db-journal:8:{} fsync/uploads:1:{}", ENOSPC, EIO));
  CHECK(ran.status == 1);
  const auto said = diagnostics_of(ran);
  CHECK(said.errors.size() == 1);
  CHECK(lines_with(said.errors, "may be aside again after a power loss") == 1);
  CHECK(app.entries().empty());
}
