// A pass under which the database, or whose the orphans are, changes as in a restore.
#include <fmt/format.h>

#include <cerrno>
#include <fstream>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

// Above what is removed before the first look at who claims the others.
constexpr int many = 200;
constexpr auto first_removal = "unlinkat/image_:1:stop";

std::string orphan(int number) { return fmt::format("orphan-{}", number); }

/// An app with many orphans.
struct OrphanApp : App {
  OrphanApp() {
    add_session(2);
    for (int i = 0; i < many; ++i) add_directory(orphan(i), 1);
  }
  /// Sessions come whose directories they are.
  void claim_all() const {
    std::string rows;
    for (int i = 0; i < many; ++i) {
      rows += fmt::format("{}('{}', 'uploads/{}', '{}')", rows.empty() ? "" : ", ", orphan(i),
                          orphan(i), hours_ago(1));
    }
    execute("INSERT INTO sessions (id, images_dir, created_at) VALUES " + rows);
  }
  [[nodiscard]] int orphans_left() const {
    int left = 0;
    for (int i = 0; i < many; ++i) left += fs::exists(uploads() / orphan(i) / "image_000.png");
    return left;
  }
};

}  // namespace

TEST_CASE("orphans that sessions come to claim while others are removed stay", "[tool][race]") {
  const OrphanApp app;
  Running running(pass_arguments(app), at(first_removal));
  REQUIRE(running.wait_until_stopped());
  app.claim_all();
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.orphans_left() >= many / 2);
}

TEST_CASE("orphans that change while others are removed are younger than the grace, and stay",
          "[tool][race][linux]") {
  const OrphanApp app;
  // One microsecond.
  Running running(pass_arguments(app, {"--orphan-grace", "0.00000002"}), at(first_removal));
  REQUIRE(running.wait_until_stopped());
  for (int i = 0; i < many; ++i) app.add_directory(orphan(i) + "/restored", 1);
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.orphans_left() >= many / 2);
}

// Each file takes a tenth of a second, so in one second ten orphans of one file go.
constexpr auto slow_removal = "unlinkat/image_:1:stop unlinkat:*:slow";
constexpr int within_a_second = 11;

TEST_CASE("what goes slowly is looked up again within a second, whoever claims it by then",
          "[tool][race]") {
  OrphanApp app;
  const auto jobs = GENERATE(as<std::string>{}, "1", "2");
  const bool staged = GENERATE(false, true);
  const auto name = [&](int i) { return (staged ? ".calib-cleanup." : "") + orphan(i); };
  for (int i = 0; staged && i < many; ++i) {
    fs::rename(app.uploads() / orphan(i), app.uploads() / name(i));
  }
  Running running({"--app-dir", app.root().string(), "--jobs", jobs}, at(slow_removal));
  REQUIRE(running.wait_until_stopped());
  app.claim_all();
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  int left = 0;
  for (int i = 0; i < many; ++i) left += fs::exists(app.uploads() / name(i) / "image_000.png");
  CHECK(left >= many - within_a_second);
}

TEST_CASE("the grace is asked again right before each orphan goes", "[tool][race][linux]") {
  OrphanApp app;
  Running running(pass_arguments(app, {"--orphan-grace", "0.00000002"}), at(first_removal));
  REQUIRE(running.wait_until_stopped());
  for (int i = 0; i < many; ++i) {
    if (fs::exists(app.uploads() / orphan(i))) app.add_directory(orphan(i) + "/restored", 1);
  }
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 0);
  // But for the one that was under way.
  CHECK(app.orphans_left() == many - 1);
}

TEST_CASE("where the database is replaced while a pass runs, the pass ends there",
          "[tool][race][sqlite][linux]") {
  const auto journal = GENERATE(from_range(journals()));
  const bool before_all = GENERATE(true, false);
  const bool only_removed = GENERATE(false, true);
  const Backlog app(journal);
  app.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  const auto backup = app.scratch("backup.db");
  fs::copy_file(app.database(), backup);
  Running running(pass_arguments(app, {"--json"}),
                  at(before_all ? "getdents:2:stop-after" : first_removal));
  REQUIRE(running.wait_until_stopped());

  for (const auto* suffix : {"", "-wal", "-shm"}) fs::remove(app.database().string() + suffix);
  if (!only_removed) fs::rename(backup, app.database());
  const auto ran = running.finish();

  INFO(ran.err);
  CHECK(ran.status == (before_all ? 3 : 1));
  CHECK(is_one_error(ran, {app.database().string(), "replaced or moved away"}));
  CHECK(ran.json().at("kept").at("directories") == app.entries().size());
  if (only_removed) fs::rename(backup, app.database());
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}

TEST_CASE("where a link leads to another database while a pass runs, the pass ends there",
          "[tool][race][sqlite][linux]") {
  const auto journal = GENERATE(from_range(journals()));
  const bool before_all = GENERATE(true, false);
  const Backlog app(journal);
  app.execute("PRAGMA wal_checkpoint(TRUNCATE)");
  // The one is where the pass finds it, until a restore has made the other ready.
  const auto restored = app.scratch("restored");
  const auto given = app.scratch("current");
  fs::create_directory(restored);
  fs::copy_file(app.database(), restored / "calibration.db");
  fs::create_directory_symlink(app.database().parent_path(), given);
  Running running(pass_arguments(app, {"--database", (given / "calibration.db").string()}),
                  at(before_all ? "getdents:2:stop-after" : first_removal));
  REQUIRE(running.wait_until_stopped());

  fs::remove(given);
  fs::create_directory_symlink(restored, given);
  const auto ran = running.finish();

  INFO(ran.err);
  CHECK(ran.status == (before_all ? 3 : 1));
  CHECK(is_one_error(ran, {(given / "calibration.db").string(), "leads to another file by now"}));
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
  CHECK_FALSE(fs::exists(app.database().string() + "-journal"));
}

TEST_CASE("where the path of the uploads leads to another folder while a pass runs, it ends there",
          "[tool][race][threads][linux]") {
  const bool before_all = GENERATE(true, false);
  const bool by_link = GENERATE(true, false);
  const Backlog app;
  const auto other = app.scratch("other");
  const auto real = app.scratch("real");
  fs::create_directory(other);
  if (by_link) {
    fs::rename(app.uploads(), real);
    fs::create_directory_symlink(real, app.uploads());
  }
  Running running(pass_arguments(app), at(before_all ? "getdents:2:stop-after" : first_removal));
  REQUIRE(running.wait_until_stopped());

  if (by_link) {
    fs::remove(app.uploads());
    fs::create_directory_symlink(other, app.uploads());
  } else {
    fs::rename(app.uploads(), real);
  }
  const auto ran = running.finish();

  INFO(ran.err);
  CHECK(ran.status == (before_all ? 3 : 1));
  CHECK(is_one_error(ran, {app.uploads().string(), "leads to another folder by now"}));
  fs::remove(app.uploads());
  fs::rename(real, app.uploads());
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}

TEST_CASE("between two transactions, too, it is looked where the paths lead", "[tool][race]") {
  const Backlog app;
  constexpr int sessions = 2500;  // more than one transaction takes
  std::string rows;
  for (int i = 0; i < sessions; ++i) {
    rows += fmt::format("{0}('{1}', 'uploads/{1}', '{2}')", i == 0 ? "" : ", ", new_uuid(),
                        hours_ago(50));
  }
  app.execute("INSERT INTO sessions (id, images_dir, created_at) VALUES " + rows);
  Running running(pass_arguments(app), at("rmdirat/.calib-cleanup.:1:stop"));
  REQUIRE(running.wait_until_stopped());
  fs::rename(app.uploads(), app.scratch("real"));
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.uploads().string(), "leads to another folder by now"}));
  const auto left = app.number("SELECT count(*) FROM sessions");
  CHECK(left > 2);
  CHECK(left < sessions);
  fs::rename(app.scratch("real"), app.uploads());
  for (const auto& id : app.live()) CHECK(app.is_whole(id));
}

TEST_CASE("the journal of a database that stands there by the end is its own",
          "[tool][race][sqlite]") {
  const Backlog app;
  const auto journal = app.database().string() + "-journal";
  Running running(pass_arguments(app), at("rmdirat/.calib-cleanup.:1:stop"));
  REQUIRE(running.wait_until_stopped());
  CHECK(fs::remove(journal));
  fs::rename(app.database(), app.scratch("old.db"));
  fs::copy_file(app.scratch("old.db"), app.database());
  std::ofstream(journal) << "somebody's";
  CHECK(running.finish().status == 0);
  CHECK(fs::exists(journal));
}

TEST_CASE("a database file with two names is refused", "[tool][untouched][sqlite]") {
  App app;
  const auto id = app.add_session(48);
  fs::create_hard_link(app.database(), app.scratch("link.db"));
  const auto before = app.fingerprint();
  const std::vector<std::string> dry{"--dry-run"};
  for (const auto& arguments : {none, dry}) {
    const auto ran = run_on(app, arguments);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {app.database().string(), "hard links"}));
  }
  CHECK(app.fingerprint() == before);
  CHECK(app.is_whole(id));
}

TEST_CASE("where a journal finds no room, orphans go first and make some",
          "[tool][faults][sqlite]") {
  const int error = GENERATE(ENOSPC, EDQUOT);
  const Backlog app;
  // SQLite then tries to open the journal that is not there, and knows of that error only.
  const auto ran = run_pass(app, {}, fmt::format("create/app/backend:*:{}", error));
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.database().string(), "no room on the disk"}));
  CHECK(app.entries() == app.session_ids());
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
}

TEST_CASE("a disk that is full only for files with names is full", "[tool][faults][sqlite]") {
  const auto* const probe = GENERATE("create", "write");
  const Backlog app;
  // As on XFS, where a file without a name may still be made.
  const auto ran =
      run_pass(app, {},
               fmt::format("create/calibration.db-journal:*:{0} {1}/.calib-cleanup.room:*:{0}",
                           ENOSPC, probe));
  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.database().string(), "no room on the disk"}));
  CHECK(app.entries() == app.session_ids());
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
  const auto backend = app.database().parent_path();
  for (const auto& entry : fs::directory_iterator(backend)) {
    CHECK(entry.path().filename().string().find("room") == std::string::npos);
  }
}
