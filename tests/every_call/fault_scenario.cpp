#include "every_call/fault_scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "support/backlog.hpp"

namespace calib::test {
namespace {

const std::string metrics_file = "metrics/calib-cleanup.prom";

// On a server the rows are no file of the sandbox's; here they are one more.
const std::string dotenv = "app/backend/.env";
const std::string rows_file = "rows";

// What hangs is ended: no pass takes any part of this, not on a machine that has much else to do.
constexpr unsigned max_pass_seconds = 60;

void put(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

std::vector<std::string> rows_of_dump(const std::string& dump) {
  std::vector<std::string> rows;
  const auto tables = nlohmann::json::parse(dump);
  for (const auto& [table, values] : tables.items()) {
    for (const auto& row : values) rows.push_back("row of " + table + " " + row.dump());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

/// Fills the app, and returns the keys of what is due in the database.
std::vector<std::string> fill(App& app, FaultScenario::Size size) {
  const auto expired = app.add_session(48, 2);
  std::vector<std::string> due{expired, app.add_session(30, 1), new_uuid()};
  app.add_image_rows(due.back(), 2);
  const auto live = app.add_session(2, 1);
  app.add_stereo_row(expired, live);
  if (size == FaultScenario::Size::sessions_only) return due;
  const auto again = app.add_session(3, 1);
  fs::rename(app.uploads() / again, app.uploads() / (aside + again));
  fs::create_directory(app.uploads() / again);
  put(app.uploads() / again / "live_000.png", "taken after the crash");
  const auto moved = app.add_session(4, 1);
  fs::rename(app.uploads() / moved, app.uploads() / (aside + moved));
  app.add_directory("orphan", 1);
  fs::create_directory(app.uploads() / "orphan" / "below");
  put(app.uploads() / "orphan" / "below" / "image.png", "below");
  app.add_directory(aside + new_uuid(), 1);
  if (size == FaultScenario::Size::small) return due;
  for (int i = 0; i < 6; ++i) {
    due.push_back(app.add_session(24.5 + i, 4));
    app.add_session(5 + i, 2);
  }
  app.add_directory("another-orphan", 5);
  app.add_directory(aside + new_uuid(), 3);
  due.push_back(new_uuid());
  app.add_image_rows(due.back(), 40);
  return due;
}

}  // namespace

FaultScenario::FaultScenario(const Setup& setup) : rule_(setup.rule) {
  App app;
  // Many small pages are many calls in few bytes.
  if (!on_postgresql()) app.execute("PRAGMA page_size=1024; VACUUM");
  const auto keys = fill(app, setup.size);
  if (setup.journal == Journal::wal) app.execute("PRAGMA journal_mode=WAL");
  fs::create_directory(app.root().parent_path() / "metrics");
  start_ = read_disk(app.root().parent_path());
  if (on_postgresql()) {
    fs::create_directories(sandbox() / "app" / "backend");
    server_database_ = make_app_database(sandbox() / "app", AppSchema::current, setup.journal);
    start_[dotenv] = read_disk(sandbox()).at(dotenv);
    start_[rows_file] = app.its_database().dump();
  }

  arguments_ = {"--app-dir", (sandbox() / "app").string(), "--jobs", std::to_string(setup.jobs)};
  if (setup.rule == Rule::named) arguments_.insert(arguments_.end(), {"--session", keys.front()});
  if (setup.rule == Rule::orphans_only) arguments_.emplace_back("--orphans-only");
  if (setup.extras == Extras::all) {
    const auto metrics = (sandbox() / metrics_file).string();
    arguments_.insert(arguments_.end(), {"--vacuum", "--json", "--metrics", metrics});
  }
  tool_.emplace(arguments_, options(""));
  before_ = contents(start_);
  const auto ran = pass(start_);
  if (ran.status != 0 || !ran.err.empty()) throw std::runtime_error(ran.err);
  settled_ = contents(now());
  learn_what_goes(keys);
}

RunOptions FaultScenario::options(const std::string& interpose, const fs::path& log) const {
  RunOptions options;
  options.interpose = interpose.empty() ? "none:1:0" : interpose;
  options.environment["CALIB_TEST_RANDOM"] = "none";
  options.environment["CALIB_TEST_SLEEP"] = "skip";
  options.environment["CALIB_TEST_TIME"] = "still";
  options.environment["CALIB_TEST_DATABASE"] = "same";
  options.environment["SQLITE_TMPDIR"] = scratch_.path().string();
  if (!log.empty()) options.environment["CALIB_TEST_LOG"] = log.string();
  options.seconds = max_pass_seconds;
  return options;
}

DiskState FaultScenario::now() const {
  auto state = read_disk(sandbox());
  // What SQLite keeps there it throws away when the first process opens the database again
  // (unixLockSharedMemory() in its os_unix.c): it makes no two states of one.
  if (const auto shared = state.find("app/backend/calibration.db-shm"); shared != state.end()) {
    shared->second.assign(shared->second.size(), '\0');
  }
  if (server_database_) state[rows_file] = server_database_->dump();
  return state;
}

void FaultScenario::lay_out(const DiskState& state) {
  if (!server_database_) return write_disk(state, sandbox());
  auto files = state;
  const auto rows = files.extract(rows_file);
  write_disk(files, sandbox());
  server_database_->load(rows.mapped());
}

Ran FaultScenario::pass(const DiskState& from, const std::string& interpose, const fs::path& log) {
  lay_out(from);
  return pass_on(interpose, log);
}

Ran FaultScenario::pass_on(const std::string& interpose, const fs::path& log) {
  auto ran = tool_->run(interpose, log);
  if (server_database_) server_database_->await_departures();
  return ran;
}

Ran FaultScenario::walk(const DiskState& from, const std::function<void(const DiskState&)>& look) {
  lay_out(from);
  Running running(arguments_, options("change:*:stop", ""));
  while (running.wait_until_stopped()) {
    look(now());
    running.signal(SIGCONT);
  }
  return running.finish();
}

Contents FaultScenario::contents(const DiskState& state) {
  Contents result;
  for (const auto& [path, text] : below(state, "app/uploads/")) {
    const auto end = std::min(path.find('/'), path.size());
    const auto entry = path.substr(0, end);
    const auto name = (entry.starts_with(aside) ? aside : "") + without_staging(entry);
    result.uploads.emplace(name + path.substr(end), text);
  }
  if (const auto sentinel = state.find("outside/sentinel"); sentinel != state.end()) {
    result.outside = sentinel->second;
  }
  if (const auto metrics = state.find(metrics_file); metrics != state.end()) {
    result.metrics = metrics->second;
  }
  if (const auto rows = state.find(rows_file); rows != state.end()) {
    result.sound = true;
    result.rows = rows_of_dump(rows->second);
    return result;
  }
  const auto backend = below(state, "app/backend/");
  auto [database, is_new] = databases_.try_emplace(hash_of(backend));
  if (is_new) {
    write_disk(backend, scratch_.path());
    const auto file = scratch_.path() / "calibration.db";
    auto& [sound, rows] = database->second;
    try {
      const auto opened = open_sqlite_database(file);
      rows = rows_of(*opened);
      std::sort(rows.begin(), rows.end());
      sound = opened->is_sound();
    } catch (const std::exception& error) {
      rows = {error.what()};
    }
  }
  std::tie(result.sound, result.rows) = database->second;
  return result;
}

}  // namespace calib::test
