// --metrics: what monitoring gets of each pass, of those that fail above all.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Words = std::vector<std::string>;

namespace {

class MetricsApp : public App {
 public:
  MetricsApp() {
    add_session(48);
    add_session(72, 5);
    young = add_session(1);
    add_directory("left-behind");
    add_image_rows(new_uuid(), 6);
    fs::create_directory(folder());
  }
  [[nodiscard]] fs::path folder() const { return scratch("textfile"); }
  [[nodiscard]] fs::path file() const { return folder() / "calib.prom"; }
  [[nodiscard]] Ran run(const Words& more = {}, const RunOptions& options = {}) const {
    Words all{"--metrics", file().string()};
    all.insert(all.end(), more.begin(), more.end());
    return run_on(*this, all, options);
  }
  [[nodiscard]] std::string content() const {
    std::ifstream stream(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  /// The samples, by name and the labels beside the folder's, which each has to have; the test
  /// fails where the file is not as Prometheus wants it.
  [[nodiscard]] std::map<std::string, double> samples() const {
    std::map<std::string, double> result;
    const auto text = content();
    REQUIRE_FALSE(text.empty());
    REQUIRE(text.back() == '\n');
    for (const auto& line : lines_of(text)) {
      if (line.starts_with("# HELP calib_cleanup_") || line.starts_with("# TYPE calib_cleanup_")) {
        continue;
      }
      REQUIRE_THAT(line,
                   Catch::Matchers::Matches(
                       "calib_cleanup_[a-z_]+\\{([a-z]+=\"[a-z0-9.]+\",)?uploads=.*\\} [0-9.]+"));
      const auto label = "uploads=\"" + uploads().string() + "\"} ";
      const auto at = line.find(label);
      REQUIRE(at != std::string::npos);
      auto name = line.substr(0, at);
      if (name.back() == ',') {
        name.back() = '}';
      } else {
        name.pop_back();
      }
      REQUIRE(result.emplace(name, std::stod(line.substr(at + label.size()))).second);
    }
    return result;
  }
  std::string young;
};

mode_t mode_of(const fs::path& file) {
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

ino_t inode_of(const fs::path& file) {
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  return status.st_ino;
}

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("the metrics of a pass say what it did", "[tool][metrics]") {
  const MetricsApp app;
  const auto mask = ::umask(077);  // a timer's may be as strict; the collector is another user
  const auto ran = app.run({"--json"});
  ::umask(mask);
  CHECK(ran.status == 0);
  CHECK(mode_of(app.file()) == 0644);
  CHECK(files_in(app.folder()) == 1);
  const auto samples = app.samples();
  const auto json = ran.json();
  CHECK(samples.at("calib_cleanup_status") == 0);
  CHECK(samples.at("calib_cleanup_sessions_deleted") == 2);
  CHECK(samples.at("calib_cleanup_orphaned_directories_deleted") == 1);
  CHECK(samples.at("calib_cleanup_orphaned_records_deleted") == 6);
  CHECK(samples.at("calib_cleanup_freed_bytes") == json.at("freed_bytes").get<double>());
  CHECK(samples.at("calib_cleanup_sessions_kept") == 1);
  CHECK(samples.at("calib_cleanup_directories_kept") == 1);
  CHECK(samples.at("calib_cleanup_last_success_timestamp_seconds") ==
        samples.at("calib_cleanup_last_run_timestamp_seconds"));
}

TEST_CASE("a pass that fails writes its metrics, too, and keeps the time of the last success",
          "[tool][metrics]") {
  MetricsApp app;
  REQUIRE(app.run().status == 0);
  const auto success = app.samples().at("calib_cleanup_last_success_timestamp_seconds");
  int folder = -1;
  Words more;
  RunOptions options;
  int status = 3;
  std::string kind = "database";
  SECTION("no database") { app.lose_database(); }
  SECTION("no uploads folder") {
    fs::remove_all(app.uploads());
    kind = "uploads";
  }
  SECTION("a file in place of the uploads folder") {
    fs::remove_all(app.uploads());
    std::ofstream(app.uploads()) << "x";
    kind = "uploads";
  }
  SECTION("a database that cannot be served") {
    options.environment["DATABASE_URL"] = "mysql://app@db/calib";
  }
  SECTION("another pass") {
    folder = ::open(app.uploads().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(::flock(folder, LOCK_EX | LOCK_NB) == 0);
    more = {"--lock-wait", "0"};
    status = 4;
    kind = "busy";
  }
  SECTION("a session that is not known") {
    more = {"--session", new_uuid()};
    status = 1;
    kind = "session";
  }
  SECTION("a pass that would delete too much") {
    app.add_session(48);
    more = {"--max-delete", "0"};
    status = 1;
    kind = "limit";
  }
  CHECK(app.run(more, options).status == status);
  if (folder >= 0) ::close(folder);
  const auto samples = app.samples();
  CHECK(samples.at("calib_cleanup_status") == status);
  CHECK(samples.at("calib_cleanup_last_success_timestamp_seconds") == success);
  CHECK(samples.at("calib_cleanup_last_run_timestamp_seconds") > success);
  CHECK(samples.at("calib_cleanup_sessions_deleted") == 0);
  CHECK(samples.at("calib_cleanup_errors{kind=\"" + kind + "\"}") == 1);
  CHECK(mode_of(app.file()) == 0644);
}

TEST_CASE("a dry run and wrong usage leave the metrics as they are", "[tool][metrics]") {
  const MetricsApp app;
  CHECK(app.run({"--dry-run"}).status == 0);
  CHECK(app.run({"--hours", "x"}).status == 2);
  CHECK(files_in(app.folder()) == 0);
  std::ofstream(app.file()) << "of the pass before\n";
  CHECK(app.run({"--dry-run"}).status == 0);
  CHECK(app.run({"--hours", "x"}).status == 2);
  CHECK(app.content() == "of the pass before\n");
}

TEST_CASE("the metrics are replaced as a whole: who reads the old ones reads on",
          "[tool][metrics]") {
  const MetricsApp app;
  REQUIRE(app.run().status == 0);
  const auto old_content = app.content();
  const auto old_inode = inode_of(app.file());
  std::ifstream reader(app.file(), std::ios::binary);
  std::string text(10, '\0');
  REQUIRE(reader.read(text.data(), 10));
  REQUIRE(app.run().status == 0);
  CHECK(inode_of(app.file()) != old_inode);
  text.append(std::istreambuf_iterator<char>(reader), {});
  CHECK(text == old_content);
  CHECK(files_in(app.folder()) == 1);
}

TEST_CASE("metrics that cannot be written are an error of their own, after the work",
          "[tool][metrics]") {
  const MetricsApp app;
  fs::create_directory(app.file());
  const auto ran = app.run({"--json"});
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {app.file().string(), "metrics"}));
  CHECK(ran.json().at("deleted_sessions") == 2);
  CHECK(ran.json().at("errors").size() == 1);
  CHECK(app.session_ids() == std::set{app.young});
}

TEST_CASE("metrics for a folder that is not there are refused before anything is done",
          "[tool][metrics]") {
  const MetricsApp app;
  fs::remove(app.folder());
  const auto before = app.fingerprint();
  const auto ran = app.run({});
  CHECK(ran.status == 2);
  CHECK(is_one_error(ran, {"--metrics", "there is no folder " + app.folder().string()}));
  CHECK(changes_since(before, app) == none);
  CHECK(app.run({"--dry-run"}).status == 0);
}

TEST_CASE("the environment names the metrics file, too", "[tool][metrics]") {
  const MetricsApp app;
  const RunOptions options{.environment = {{"CALIB_CLEANUP_METRICS", app.file().string()}}};
  CHECK(run_on(app, {}, options).status == 0);
  CHECK(app.samples().at("calib_cleanup_sessions_deleted") == 2);
}
