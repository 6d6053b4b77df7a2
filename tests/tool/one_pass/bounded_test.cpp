// What a pass takes of the machine has a bound, whatever the database and the folder hold: memory
// for each session, none for values that are no session's; and a few descriptors.
#include <fmt/format.h>

#include <array>
#include <functional>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/in_memory.hpp"
#include "support/scale.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

constexpr std::uint64_t mib = 1024 * 1024;
/// The executable with its libraries, of which a server takes more, and an empty database.
const std::uint64_t resting = (on_postgresql() ? 15 : 12) * mib;

// A sanitizer takes several times as much.
const bool memory_is_its_own = !sanitized;

bool is_within(const Ran& ran, std::uint64_t bound) {
  INFO(fmt::format("{} KiB, {} KiB are allowed", ran.peak_bytes / 1024, bound / 1024));
  CHECK(ran.peak_bytes > mib);
  CHECK((!memory_is_its_own || ran.peak_bytes <= bound));
  return ran.peak_bytes > mib && (!memory_is_its_own || ran.peak_bytes <= bound);
}

Ran measured_run(const App& app, std::vector<std::string> arguments) {
  RunOptions options;
  options.measures_memory = true;
  return run_on(app, std::move(arguments), options);
}

/// Many rows at a time, for as few statements.
void insert(const App& app, const std::string& table, int count,
            const std::function<std::string(unsigned)>& values) {
  constexpr int rows_at_once = 2000;
  std::string sql;
  for (int i = 0; i < count; ++i) {
    sql += sql.empty() ? "INSERT INTO " + table + " VALUES (" : ", (";
    sql += values(static_cast<unsigned>(i)) + ')';
    if ((i + 1) % rows_at_once != 0 && i + 1 != count) continue;
    app.execute(sql);
    sql.clear();
  }
}

/// `count` sessions as uploads leave them, each with a row of images; every second one is due.
void add_sessions(const App& app, int count) {
  if (!on_postgresql()) {
    return app.execute(fmt::format(
        "BEGIN; CREATE TEMP TABLE ids AS WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 "
        "FROM n WHERE i < {} - 1) SELECT i, printf('%08x-0000-4000-8000-%012x', (i * 2654435761) & "
        "0xffffffff, i) AS id FROM n;"
        "INSERT INTO sessions SELECT id, 'uploads/' || id, iif(i % 2, '{}', '{}') FROM ids;"
        "INSERT INTO calibration_images (session_id, image_path) SELECT id, 'uploads/' || id || "
        "'/1.png' FROM ids; COMMIT",
        count, hours_ago(48), hours_ago(1)));
  }
  const std::array<std::string, 2> dates{hours_ago(1), hours_ago(48)};
  insert(app, "sessions", count, [&](unsigned i) {
    const auto id = fmt::format("{:08x}-0000-4000-8000-{:012x}", i * 2654435761U, i);
    return fmt::format("'{0}', 'uploads/{0}', '{1}'", id, dates[i % 2]);
  });
  app.execute(
      "INSERT INTO calibration_images (session_id, image_path) SELECT id, 'uploads/' || id || "
      "'/1.png' FROM sessions");
  // Else the server reads all images for each session, and the test takes minutes.
  app.execute("CREATE INDEX by_session ON calibration_images (session_id)");
}

enum class Directories { none, one_each };

void add_directories(const App& app) {
  for (const auto& id : app.session_ids()) fs::create_directory(app.uploads() / id);
}

std::ptrdiff_t count_directories(const App& app) {
  return std::distance(fs::directory_iterator(app.uploads()), fs::directory_iterator());
}

void check_memory_of_sessions(int count, std::uint64_t bound, Directories directories) {
  const InMemory in_memory;
  const App app;
  add_sessions(app, count);
  if (directories == Directories::one_each) {
    add_directories(app);
  } else {
    // Of one that stays: it proves whose folder it is.
    fs::create_directory(app.uploads() / "00000000-0000-4000-8000-000000000000");
  }
  // What this process holds, the next one would be charged with.
  {
    const auto dry = measured_run(app, {"--dry-run"});
    INFO(dry.err);
    CHECK(dry.status == 0);
    CHECK(
        has_line(dry.out, fmt::format("Cleanup dry run: Would delete {} old sessions", count / 2)));
    CHECK(is_within(dry, bound));
  }
  {
    const auto document = measured_run(app, {"--dry-run", "--json"});
    CHECK(document.status == 0);
    CHECK(document.out.find(fmt::format("\"deleted_sessions\": {},", count / 2)) < 200);
    CHECK(is_within(document, bound));
  }
  const auto ran = measured_run(app, {});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(is_within(ran, bound));
  CHECK(app.number("SELECT count(*) FROM sessions") == count - count / 2);
  CHECK(app.number("SELECT count(*) FROM calibration_images") == count - count / 2);
  const bool has_directories = directories == Directories::one_each;
  CHECK(count_directories(app) == (has_directories ? count - count / 2 : 1));
}

void check_memory_of_leaked_keys(int count, std::uint64_t bound) {
  App app;
  app.add_session(1);
  insert(app, "calibration_images (session_id, image_path)", count,
         [](unsigned i) { return fmt::format("'{0:08x}-0000-4000-8000-{0:012x}', 'x'", i); });
  const auto dry = measured_run(app, {"--dry-run"});
  CHECK(dry.status == 0);
  CHECK(has_line(dry.out, fmt::format("Would delete {} orphaned records", count)));
  CHECK(is_within(dry, bound));

  const auto ran = measured_run(app, {});
  CHECK(ran.status == 0);
  CHECK(is_within(ran, bound));
  CHECK(app.number("SELECT count(*) FROM calibration_images") == 3);
}

}  // namespace

TEST_CASE("a backlog takes a quarter of a KiB of memory for each session", "[tool][bounded]") {
  // As many sessions as 1,000,000 in 256 MiB, a part of them.
  const unsigned count = !memory_is_its_own ? 5'000 : on_postgresql() ? 50'000 : 100'000;
  check_memory_of_sessions(static_cast<int>(count), resting + 256 * mib * count / 1'000'000,
                           Directories::none);
}

// What is kept of them is the same whatever the database.
TEST_CASE("so does a backlog in which each session has a directory", "[tool][bounded][sqlite]") {
  const unsigned count = !memory_is_its_own ? 2'000 : 50'000;
  check_memory_of_sessions(static_cast<int>(count), resting + 256 * mib * count / 1'000'000,
                           Directories::one_each);
}

TEST_CASE("1,000,000 sessions are planned, and half of them deleted, in 256 MiB",
          "[.][tool][bounded][long]") {
  check_memory_of_sessions(1'000'000, 256 * mib, Directories::none);
}

TEST_CASE("so are 1,000,000 sessions with a directory each", "[.][tool][bounded][long][sqlite]") {
  check_memory_of_sessions(1'000'000, 256 * mib, Directories::one_each);
}

TEST_CASE("leaked records take a bounded amount of memory each", "[tool][bounded]") {
  check_memory_of_leaked_keys(memory_is_its_own ? 50'000 : 1'000, resting + 256 * mib / 20);
}

TEST_CASE("1,000,000 leaked keys are planned and deleted in 256 MiB", "[.][tool][bounded][long]") {
  check_memory_of_leaked_keys(1'000'000, 256 * mib);
}

TEST_CASE("orphans take a bounded amount of memory each", "[.][tool][bounded][long]") {
  const int count = 100'000;
  App app;
  app.add_session(1);
  for (int i = 0; i < count; ++i) fs::create_directory(app.uploads() / fmt::format("orphan-{}", i));
  const auto ran = measured_run(app, {"--dry-run"});
  CHECK(ran.status == 0);
  CHECK(has_line(ran.out,
                 fmt::format("Orphaned file cleanup dry run: Would delete {} directories", count)));
  CHECK(is_within(ran, resting + static_cast<std::uint64_t>(count) * 600));
}

TEST_CASE("sessions that share one directory are looked at once each", "[tool][bounded][threads]") {
  const int count = memory_is_its_own ? 30'000 : 2'000;
  App app;
  const auto living = app.add_session(1);
  insert(app, "sessions", count, [&](unsigned i) {
    return fmt::format("'s{}', 'uploads/{}', '{}'", i, living, hours_ago(48));
  });
  const auto ran = measured_run(app, {"--dry-run"});
  CHECK(ran.status == 1);
  // Ten of them, and how many more.
  CHECK(lines_of(ran.err).size() == 11);
  CHECK(ran.err.find(fmt::format("and {} more of that kind", count - 10)) != std::string::npos);
  // For each pair of them, it would be gigabytes.
  CHECK(is_within(ran, resting + static_cast<std::uint64_t>(count) * 2048));
}

namespace {

void check_refused(const std::string& row) {
  CAPTURE(row);
  App app;
  const auto id = app.add_session(48);
  app.execute(row);
  const auto before = app.fingerprint();
  for (const auto& arguments :
       {std::vector<std::string>{"--dry-run"}, std::vector<std::string>{}}) {
    const auto ran = measured_run(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {app.database_shown(), "larger than 16 MiB"}));
    CHECK(is_within(ran, resting + 40 * mib));
  }
  CHECK(app.fingerprint() == before);
  CHECK(app.is_whole(id));
}

/// Rows with a value of so many bytes where others are read.
std::vector<std::string> giant_rows(std::uint64_t bytes) {
  const std::string giant = sql_zeros(bytes);
  std::vector<std::string> rows{
      "INSERT INTO sessions VALUES ('x', " + giant + ", NULL)",
      "INSERT INTO calibration_images (session_id, image_path) VALUES (" + giant + ", 'x')"};
  // PostgreSQL's index takes no such id, and its dates are no text.
  if (!on_postgresql()) {
    rows.push_back("INSERT INTO sessions VALUES (" + giant + ", 'uploads/x', NULL)");
    // Zeros alone would be kept as a number.
    rows.push_back("INSERT INTO sessions VALUES ('x', 'uploads/x', 'x' || " + giant + ")");
  }
  return rows;
}

}  // namespace

TEST_CASE("a value that is larger than any of the app's is refused, and not read into memory",
          "[tool][hostile]") {
  const auto rows = giant_rows(60'000'000);
  check_refused(GENERATE_COPY(from_range(rows)));
}

// SQLite takes no more than 10^9 bytes.
TEST_CASE("so is a value of a gigabyte", "[.][tool][bounded][hostile][long]") {
  const auto rows = giant_rows(999'000'000);
  check_refused(GENERATE_COPY(from_range(rows)));
}

TEST_CASE("a giant value beside what is read goes with its row, and is not read",
          "[tool][hostile][threads]") {
  const auto journal = GENERATE(from_range(journals()));
  constexpr std::uint64_t size = 20'000'000;
  App app(AppSchema::current, journal);
  const auto id = app.add_session(48);
  app.execute(fmt::format("UPDATE calibration_images SET image_path = {} WHERE session_id = {}",
                          sql_zeros(size), sql_text(id)));
  const auto ran = measured_run(app, {});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.is_gone(id));
  // Where SQLite overwrites what it deletes, the pages of the three rows are in its cache until the
  // commit, as they were and as they become.
  CHECK(is_within(ran, resting + 2 * 3 * size + 20 * mib));
}

TEST_CASE("what is deleted is overwritten where the database's owner has it so", "[tool][sqlite]") {
  App app;
  const auto id = app.add_session(48);
  app.add_session(1);
  const std::string secret = "only the deleted rows say this";
  app.execute(fmt::format("UPDATE calibration_images SET image_path = '{}' WHERE session_id = {}",
                          secret, sql_text(id)));
  const auto is_in_the_file = [&] {
    return bytes_in(app.database()).find(secret) != std::string::npos;
  };
  REQUIRE(is_in_the_file());
  const bool overwrites = app.number("PRAGMA secure_delete") == 1;
  CHECK(run_on(app, {}).status == 0);
  CHECK(is_in_the_file() != overwrites);
}

TEST_CASE("an images_dir of millions of components claims them all in bounded memory",
          "[tool][hostile]") {
  App app;
  app.add_session(1);
  app.add_directory("claimed");
  app.execute("INSERT INTO sessions VALUES ('many', replace(" + sql_zeros(8'000'000) +
              ", '00', 'a/') || '/Claimed', NULL)");
  const auto ran = measured_run(app, {});
  INFO(ran.err.substr(0, 2000));
  CHECK(ran.status == 0);
  CHECK(fs::exists(app.uploads() / "claimed"));
  CHECK(is_within(ran, resting + 100 * mib));
}

TEST_CASE("what names something very long is one line of bounded length",
          "[tool][bounded][sqlite]") {
  App app;
  app.add_session(1);
  app.execute(fmt::format("INSERT INTO sessions VALUES ({}, 'elsewhere', '{}')",
                          sql_zeros(2'000'000), hours_ago(48)));
  const auto ran = run_on(app, {});
  CHECK(ran.status == 1);
  CHECK(lines_of(ran.err).size() == 1);
  CHECK(ran.err.size() < 10'000);
  CHECK(is_one_error(ran, {"bytes left out", "left whole"}));
}

TEST_CASE("a pass with many jobs stays within the files that it may open",
          "[tool][bounded][threads]") {
  App app;
  app.add_session(48, 40);
  for (int tree = 0; tree < 48; ++tree) {
    auto directory = app.uploads() / fmt::format("deep-{}", tree);
    for (int level = 0; level < 60; ++level) directory /= "d";
    fs::create_directories(directory);
    for (int wide = 0; wide < 40; ++wide) fs::create_directory(directory / std::to_string(wide));
  }
  RunOptions options;
  options.open_files = 32;
  const auto dry = run_on(app, {"--dry-run", "--jobs", "64"}, options);
  INFO(dry.err);
  CHECK(dry.status == 0);
  CHECK(dry.err.empty());
  const auto ran = run_on(app, {"--jobs", "64"}, options);
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(app.entries().empty());
}

TEST_CASE("files that may not grow are an error that is named, not the end",
          "[tool][bounded][sqlite]") {
  App app;
  const auto expired = app.add_session(48, 3);
  RunOptions options;
  options.file_bytes = 4096;  // of which a journal has more
  const auto ran = run_on(app, {}, options);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {app.database().string(), "may not grow as large", "ulimit -f"}));
  CHECK(app.is_whole(expired));
  CHECK(run_on(app, {}).status == 0);
  CHECK(app.entries().empty());
}
