// The pass after a crash: what it makes of what the app has done meanwhile, and of a folder that
// nothing is left in to vouch for.
#include <fmt/format.h>

#include <fstream>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// An app whose expired session stands aside, with its records, after a crash before the commit.
class Staged : public App {
 public:
  Staged() : id(add_session(48)) {
    const auto ran = run_pass(*this, {}, at_commit("kill"));
    if (ran.status != killed || !has_session(id) || !fs::is_directory(aside())) {
      throw std::runtime_error("nothing was left staged");
    }
  }
  [[nodiscard]] fs::path aside() const { return staged(id); }
  [[nodiscard]] fs::path home() const { return uploads() / id; }
  std::string id;
};

}  // namespace

TEST_CASE("a backlog of several slices that is cut short loses whole sessions only",
          "[tool][crash][slices][vast][threads]") {
  App app;
  const auto young = app.add_session(1);
  constexpr int sessions = 2050;
  std::string rows;
  for (int i = 0; i < sessions; ++i) {
    const auto id = new_uuid();
    rows += fmt::format("{}('{}', 'uploads/{}', '2025-01-01 00:00:00.000000')", i == 0 ? "" : ", ",
                        id, id);
    app.add_directory(id, i < 1990 ? 0 : 1, 1);
  }
  app.execute("INSERT INTO sessions VALUES " + rows);
  app.execute(
      "INSERT INTO calibration_images (session_id, image_path) SELECT id, 'x' FROM sessions WHERE "
      "created_at < '2025-06-01'");

  REQUIRE(run_pass(app, {}, "renameat2:2010:kill").status == killed);

  const auto left = app.session_ids();
  // How much a slice takes is a matter of time, so the cut may be anywhere between two of them.
  CHECK(left.size() > 1);
  CHECK(left.size() < 1 + sessions);
  const auto entries = app.entries();
  CHECK(entries.size() == left.size());
  const auto staged = app.staged_names();
  std::size_t rows_left = 0;
  for (const auto& id : left) {
    CHECK(entries.contains(id) != staged.contains(id));
    if (id != young && app.rows_of(id) == 1) ++rows_left;
  }
  CHECK(rows_left == left.size() - 1);
  CHECK(app.number("SELECT count(*) FROM calibration_images") ==
        3 + static_cast<std::int64_t>(rows_left));
  CHECK(run_pass(app).status == 0);
  CHECK(app.entries() == std::set{young});
  CHECK(app.session_ids() == std::set{young});
  CHECK(app.is_whole(young));
}

TEST_CASE("where all sessions were expired, the next pass purges what its mark says is its own",
          "[tool][crash]") {
  App app;
  const auto id = app.add_session(48);
  REQUIRE(run_pass(app, {}, "unlinkat:2:kill").status == killed);
  REQUIRE(fs::is_directory(app.staged(id)));

  const auto next = run_pass(app);
  CHECK(next.status == 0);
  CHECK(next.err.empty());
  CHECK(has_line(next.out, "Settled an interrupted pass: 0 directories restored, 1 purged"));
  CHECK(app.entries().empty());
}

TEST_CASE("the directory of a session that a crash left aside goes back to it", "[tool][crash]") {
  Staged app;
  const bool saved = GENERATE(false, true);
  // Somebody still needs it: then it stays, whatever the other pass had in mind.
  if (saved) {
    app.execute(fmt::format("UPDATE sessions SET created_at = '{}'", hours_ago(1)));
  }
  const auto ran = run_pass(
      app, saved ? std::vector<std::string>{} : std::vector<std::string>{"--orphans-only"});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Settled an interrupted pass: 1 directory restored, 0 purged"));
  CHECK(app.is_whole(app.id));
  CHECK(app.entries() == std::set{app.id});
}

TEST_CASE("what a crash left aside of a session that the app has deleted meanwhile is purged",
          "[tool][crash]") {
  Staged app;
  app.execute("DELETE FROM sessions; DELETE FROM calibration_images");
  const auto young = app.add_session(1);
  const auto ran = run_pass(app);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.entries() == std::set{young});
  CHECK(app.rows_of(app.id) == 0);
}

TEST_CASE("where the app has made the directory anew, the staged files join it", "[tool][crash]") {
  Staged app;
  fs::create_directory(app.home());
  write(app.home() / "live_000.png", "taken after the crash");
  const auto ran = run_pass(app, {"--orphans-only"});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_whole(app.id));
  CHECK(bytes_in(app.home() / "live_000.png") == "taken after the crash");
  CHECK_FALSE(fs::exists(app.aside()));

  CHECK(run_pass(app).status == 0);
  CHECK(app.is_gone(app.id));
}

TEST_CASE("where the app has written a file of the same name anew, both are kept and reported",
          "[tool][crash]") {
  Staged app;
  const auto old_image = bytes_in(app.aside() / "image_001.png");
  fs::create_directory(app.home());
  write(app.home() / "image_001.png", "taken after the crash");

  // Also a pass whose rule the session falls under deletes nothing of it until that is settled.
  for (const bool expired : {false, true, true}) {
    CAPTURE(expired);
    const auto ran = run_pass(
        app, expired ? std::vector<std::string>{} : std::vector<std::string>{"--orphans-only"});
    CHECK(ran.status == 1);
    const auto said = diagnostics_of(ran);
    CHECK(lines_with(said.errors, (app.aside() / "image_001.png").string()) == 1);
    CHECK(said.strays.empty());
    CHECK(app.has_session(app.id));
    CHECK(app.rows_of(app.id) == 4);
    CHECK(bytes_in(app.home() / "image_001.png") == "taken after the crash");
    CHECK(bytes_in(app.aside() / "image_001.png") == old_image);
    CHECK(fs::exists(app.home() / "image_000.png"));
    CHECK(fs::exists(app.home() / "image_002.png"));
  }

  fs::rename(app.aside() / "image_001.png", app.home() / "image_001.old.png");
  CHECK(run_pass(app).status == 0);
  CHECK(app.is_gone(app.id));
}

TEST_CASE("a session whose directory cannot be moved back keeps its records, and is named",
          "[tool][crash][faults]") {
  Staged app;
  const auto mode = GENERATE(values<std::vector<std::string>>({{"--orphans-only"}, {}}));
  const auto ran = run_pass(app, mode, "renameat2:1:5");
  CHECK(ran.status == 1);
  CHECK(lines_with(diagnostics_of(ran).errors, app.aside().string()) >= 1);
  CHECK(app.has_session(app.id));
  CHECK(app.rows_of(app.id) == 4);
  CHECK(Backlog::has_all_images(app.aside()));

  CHECK(run_pass(app).status == 0);
  CHECK(app.is_gone(app.id));
}
