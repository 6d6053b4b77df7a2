// Any bytes as a session database: a dry run and a real pass over them in a sandbox. Whatever the
// bytes say, nothing outside of uploads goes, no file of a session that is not due goes, and the
// pass ends with a status of the contract.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <set>

#include "base/progress.hpp"
#include "fuzz/fuzz.hpp"
#include "pass/pass.hpp"
#include "report/report.hpp"
#include "support/in_memory.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace calib;
using namespace calib::test;
namespace fs = std::filesystem;

// The directories that the databases of the corpus speak of, and one that they do not.
constexpr std::array names{
    "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222",
    "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444", "orphan"};
constexpr const char* now_text = "2025-10-14 12:00:00";

void write(const fs::path& path, std::string_view bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream << bytes;
}

class Sandbox {
 public:
  Sandbox() : root_(calib::test::fast_folder() / fmt::format("calib_fuzz.{}", ::getpid())) {}
  ~Sandbox() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  Sandbox(Sandbox&&) = delete;
  Sandbox& operator=(Sandbox&&) = delete;

  void set_up(std::string_view database_bytes) const {
    fs::remove_all(root_);
    for (const auto* name : names) {
      fs::create_directories(uploads() / name);
      write(uploads() / name / "image.png", name);
    }
    fs::create_directories(root_ / "app" / "backend");
    fs::create_directories(outside());
    write(outside() / "image.png", "sentinel");
    write(uploads() / "file", "a file stays");
    write(database(), database_bytes);
    write(copy(), database_bytes);
  }

  [[nodiscard]] Options options(DryRun dry_run) const {
    Options options;
    options.dry_run = dry_run;
    options.app_dir = root_ / "app";
    options.uploads = uploads();
    options.database.path = database();
    options.database.display = database().string();
    options.lock_wait = std::chrono::milliseconds{0};
    options.jobs = 1;
    return options;
  }

  [[nodiscard]] fs::path uploads() const { return root_ / "app" / "uploads"; }
  [[nodiscard]] fs::path outside() const { return root_ / "outside"; }
  [[nodiscard]] fs::path database() const { return root_ / "app" / "backend" / "calibration.db"; }
  /// For the witness, who must not get in the way of the pass.
  [[nodiscard]] fs::path copy() const { return root_ / "copy.db"; }

  [[nodiscard]] bool stands(const std::string& name) const {
    std::ifstream file(uploads() / name / "image.png");
    std::string text;
    return std::getline(file, text) && text == name;
  }
  [[nodiscard]] std::set<std::string> entries() const {
    std::set<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / "app")) {
      // Beside a write-ahead database SQLite may leave these.
      const auto name = entry.path().filename().string();
      if (!name.ends_with("-wal") && !name.ends_with("-shm")) found.insert(entry.path().string());
    }
    return found;
  }

 private:
  fs::path root_;
};

/// The names that the sessions speak of for which `condition` (SQL) holds, as a connection of its
/// own reads them; as many as it can read.
std::set<std::string> names_of_sessions(const fs::path& path, const std::string& condition) {
  std::set<std::string> result;
  try {
    SQLite::Database database(path.string(), SQLite::OPEN_READWRITE);
    SQLite::Statement rows(database,
                           "SELECT id, images_dir FROM sessions NOT INDEXED WHERE " + condition);
    while (rows.executeStep()) {
      for (int column = 0; column < 2; ++column) {
        const auto text = rows.getColumn(column).getString();
        for (const std::string name : names) {
          if (text == name || text == "uploads/" + name) result.insert(name);
        }
      }
    }
  } catch (const SQLite::Exception&) {
    // Damaged from here on; what was read so far still counts.
    return result;
  }
  return result;
}

/// Not due, as SQLite reads times.
std::string not_due() {
  return fmt::format(
      "NOT coalesce(typeof(created_at) = 'text' AND length(created_at) >= 16 AND "
      "julianday(created_at) < julianday('{}', '-24 hours'), 0)",
      now_text);
}

int pass(const Sandbox& sandbox, DryRun dry_run) {
  const auto now =
      Instant{std::chrono::sys_days{std::chrono::year{2025} / 10 / 14}} + std::chrono::hours{12};
  const StopFlag stop;
  Progress progress;
  const auto report = run_pass(sandbox.options(dry_run), now, stop, progress);
  const auto status = exit_status(report);
  require(status == 0 || status == 1 || status == 3 || status == 4, "a status of the contract");
  require((status == 0) == report.errors.empty(), "whatever is wrong is said");
  return status;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Sandbox sandbox;
  const auto bytes = fuzz_text(data, size);
  sandbox.set_up(bytes);
  const auto alive = names_of_sessions(sandbox.copy(), not_due());

  const auto before = sandbox.entries();
  pass(sandbox, DryRun::yes);
  require(sandbox.entries() == before, "a dry run changes nothing");
  std::ifstream file(sandbox.database(), std::ios::binary);
  require(bytes == std::string(std::istreambuf_iterator<char>(file), {}),
          "a dry run changes no byte of the database");

  const auto status = pass(sandbox, DryRun::no);
  if (status != 3) ++fuzz_hits;
  require(fs::exists(sandbox.outside() / "image.png"), "nothing outside is touched");
  require(fs::exists(sandbox.uploads() / "file"), "a file in the folder stays");
  for (const auto& name : alive) {
    require(sandbox.stands(name), "no file of a session that is not due goes: " + name);
  }
  for (const auto& name : names_of_sessions(sandbox.database(), "1")) {
    require(sandbox.stands(name), "whoever is still in the database has its files: " + name);
  }
  if (status == 3) require(sandbox.entries() == before, "status 3: nothing was changed");
  return 0;
}
