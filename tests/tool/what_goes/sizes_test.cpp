// Sizes and counts are those that du and SQL give; an inode with several names is freed with its
// last.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "support/catch.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Json = nlohmann::json;

namespace {

std::uint64_t du(const fs::path& path) {
  // What was just written may have no blocks yet.
  const int there = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(there >= 0);
  REQUIRE(::syncfs(there) == 0);
  ::close(there);
  const auto command = fmt::format("du --block-size=1 -s '{}'", path.string());
  FILE* output = ::popen(command.c_str(), "r");
  REQUIRE(output != nullptr);
  std::array<char, 64> text{};
  const bool read = std::fgets(text.data(), text.size(), output) != nullptr;
  REQUIRE(::pclose(output) == 0);
  REQUIRE(read);
  return std::stoull(text.data());
}

/// The entry of `list` whose `key` is `name`.
Json entry(const Json& list, const std::string& key, const std::string& name) {
  for (const auto& candidate : list) {
    if (candidate.at(key) == name) return candidate;
  }
  FAIL(name << " is not in " << list);
  return {};
}

Json json_of(const App& app, std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const auto ran = run_on(app, arguments);
  REQUIRE(ran.status == 0);
  return ran.json();
}

/// A file of 100 000 bytes with a name in each of these directories.
void add_linked(const std::vector<fs::path>& directories) {
  const auto first = directories.front() / "shared.png";
  std::ofstream(first, std::ios::binary) << std::string(100'000, 's');
  for (std::size_t i = 1; i < directories.size(); ++i) {
    fs::create_hard_link(first, directories[i] / fmt::format("again_{}.png", i));
  }
}

}  // namespace

TEST_CASE("sizes are what du says, for each directory and for all of it",
          "[tool][sizes][threads]") {
  App app;
  const auto mixed = app.add_session(48);
  app.add_session(1, 4);
  fs::create_directories(app.uploads() / mixed / "deep" / "er");
  std::ofstream(app.uploads() / mixed / "deep" / "er" / "large") << std::string(70'000, 'x');
  std::ofstream(app.uploads() / mixed / "empty").flush();
  std::ofstream(app.uploads() / mixed / "sparse").flush();
  fs::resize_file(app.uploads() / mixed / "sparse", 5'000'000);
  fs::create_symlink("nowhere", app.uploads() / mixed / "link");
  const auto empty = new_uuid();
  app.add_session_row(empty, sql_text(hours_ago(48)));
  fs::create_directory(app.uploads() / empty);
  app.add_directory("left-behind", 2, 12'345);
  app.add_directory(".hidden", 1, 7000);
  std::ofstream(app.uploads() / "a file") << std::string(9000, 'f');
  const auto before = du(app.uploads());
  const auto of_mixed = du(app.uploads() / mixed);
  const auto of_empty = du(app.uploads() / empty);
  const auto of_orphan = du(app.uploads() / "left-behind");

  const auto would = json_of(app, {"--dry-run"});
  const auto did = json_of(app, {});

  CHECK(would.at("uploads_allocated_bytes") == before);
  for (const auto& json : {would, did}) {
    const auto session = entry(json.at("sessions"), "id", mixed);
    CHECK(session.at("allocated_bytes") == of_mixed);
    CHECK(session.at("apparent_bytes") == 3 * 3000 + 70'000 + 5'000'000 + 7);
    CHECK(session.at("files") == 3 + 1 + 2 + 1);
    CHECK(entry(json.at("sessions"), "id", empty).at("allocated_bytes") == of_empty);
    CHECK(entry(json.at("sessions"), "id", empty).at("files") == 0);
    const auto orphan = entry(json.at("orphans"), "name", "left-behind");
    CHECK(orphan.at("allocated_bytes") == of_orphan);
    CHECK(orphan.at("apparent_bytes") == 2 * 12'345);
    CHECK(orphan.at("files") == 2);
    CHECK(json.at("freed_bytes") == of_mixed + of_empty + of_orphan);
    CHECK(json.at("kept").at("allocated_bytes") == before - of_mixed - of_empty - of_orphan);
    CHECK(json.at("kept").at("sessions") == 1);
    CHECK(json.at("kept").at("directories") == 1);
  }
  CHECK(did.at("kept").at("allocated_bytes") == du(app.uploads()));
}

TEST_CASE("records are what SQL counts, in every table, however deep", "[tool][sizes]") {
  App app;
  app.execute(
      "CREATE TABLE corners (id INTEGER PRIMARY KEY, image_id INTEGER REFERENCES "
      "calibration_images (id) ON DELETE CASCADE)");
  const auto old_one = app.add_session(48, 7);
  const auto young = app.add_session(1, 2);
  app.execute(
      "INSERT INTO live_capture_sessions (id, session_id) SELECT id, session_id FROM "
      "calibration_images");
  app.execute("INSERT INTO corners SELECT id, id FROM calibration_images");
  app.execute("INSERT INTO corners SELECT -id, id FROM calibration_images");
  const auto leaked = new_uuid();
  app.add_image_rows(leaked, 11);
  app.add_stereo_row(young, leaked);

  Json expected;
  for (const auto* table : {"calibration_images", "calibration_results", "live_capture_sessions"}) {
    expected[table] = app.number(
        fmt::format("SELECT count(*) FROM {} WHERE session_id = {}", table, sql_text(old_one)));
  }
  expected["corners"] = app.number(
      "SELECT count(*) FROM corners WHERE image_id IN (SELECT id FROM "
      "calibration_images WHERE session_id = " +
      sql_text(old_one) + ")");
  REQUIRE(
      expected.dump() ==
      R"({"calibration_images":7,"calibration_results":1,"corners":14,"live_capture_sessions":7})");
  const Json leaks{{"calibration_images", 11}, {"stereo_calibration_results", 1}};

  const auto rows = [&] {
    std::int64_t sum = 0;
    for (const auto* table : {"calibration_images", "calibration_results", "corners",
                              "live_capture_sessions", "stereo_calibration_results"}) {
      sum += app.number(fmt::format("SELECT count(*) FROM {}", table));
    }
    return sum;
  };
  const auto before = rows();
  for (const auto& json : {json_of(app, {"--dry-run"}), json_of(app, {})}) {
    REQUIRE(json.at("sessions").size() == 1);
    CHECK(json.at("sessions").front().at("records") == expected);
    CHECK(json.at("orphaned_records") == leaks);
  }
  CHECK(before - rows() == 7 + 1 + 14 + 7 + 11 + 1);
}

TEST_CASE("an inode with several names counts once, and is freed with its last name",
          "[tool][sizes][threads]") {
  App app;
  const auto* const jobs = GENERATE("1", "4");
  const auto left = app.add_session(48);
  const auto right = app.add_session(48);
  const auto young = app.add_session(1);
  const auto orphan = app.add_directory("left-behind");
  const auto in = [&](const std::string& id) { return app.uploads() / id; };
  SECTION("two names in one session") { add_linked({in(left), in(left)}); }
  SECTION("names in two sessions that go") { add_linked({in(left), in(right)}); }
  SECTION("names in a session and an orphan that go") { add_linked({in(right), orphan, in(left)}); }
  SECTION("a name in a session that stays") { add_linked({in(left), in(young), in(right)}); }
  SECTION("a name that nobody but the file system knows of") {
    add_linked({in(left), app.outside()});
  }
  CAPTURE(jobs);
  const auto before = du(app.uploads());
  const auto of_left = du(in(left));
  const auto would = json_of(app, {"--dry-run", "--jobs", jobs});
  const auto did = json_of(app, {"--jobs", jobs});

  CHECK(would.at("uploads_allocated_bytes") == before);
  const auto after = du(app.uploads());
  CHECK(did.at("kept").at("allocated_bytes") == after);
  CHECK(would.at("kept").at("allocated_bytes") == after);
  for (const auto& json : {would, did}) {
    CHECK(entry(json.at("sessions"), "id", left).at("allocated_bytes") == of_left);
    CHECK(json.at("deleted_sessions") == 2);
  }
  // What also has a name outside still takes its room on the disk, though not in this folder.
  const auto outside = app.outside() / "again_1.png";
  const auto freed = before - after - (fs::exists(outside) ? du(outside) : 0);
  CHECK(would.at("freed_bytes") == freed);
  CHECK(did.at("freed_bytes") == freed);
  CHECK(app.is_whole(young));
}
