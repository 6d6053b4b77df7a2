#include "fault_scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <set>

#include "backlog.hpp"
#include "diagnostics.hpp"

namespace calib::test {
namespace {

const std::string aside = ".calib-cleanup.";

// What hangs is ended: no pass takes any part of this, not on a machine that has much else to do.
constexpr unsigned longest_pass_seconds = 60;

/// The path that it has when it is not moved aside.
std::string at_home(const std::string& path) {
  return path.starts_with(aside) ? path.substr(aside.size()) : path;
}

std::set<std::string> top_names(const DiskState& uploads) {
  std::set<std::string> names;
  for (const auto& [path, text] : uploads) names.insert(at_home(path.substr(0, path.find('/'))));
  return names;
}

using Rows = std::vector<std::string>;  // sorted

bool includes(const Rows& all, const Rows& part) {
  return std::includes(all.begin(), all.end(), part.begin(), part.end());
}

bool none_of_them(const Rows& all, const Rows& part) {
  return std::none_of(part.begin(), part.end(), [&](const std::string& row) {
    return std::binary_search(all.begin(), all.end(), row);
  });
}

bool holds(const DiskState& uploads, const std::string& path, const std::string& text) {
  const auto found = uploads.find(path);
  return found != uploads.end() && found->second == text;
}

void put(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
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

FaultScenario::FaultScenario(Journal journal, Size size, std::vector<std::string> more_arguments) {
  App app;
  // Many small pages are many calls in few bytes.
  app.execute("PRAGMA page_size=1024; VACUUM");
  const auto keys = fill(app, size);
  if (journal == Journal::wal) app.execute("PRAGMA journal_mode=WAL");
  start_ = read_disk(app.root().parent_path());

  arguments_ = {"--app-dir", (sandbox() / "app").string(), "--jobs", "1"};
  for (auto& argument : more_arguments) arguments_.push_back(std::move(argument));
  before_ = contents(start_);
  const auto ran = pass(start_);
  if (ran.status != 0 || !ran.err.empty()) throw std::runtime_error(ran.err);
  settled_ = contents(now());
  for (const auto& key : keys) {
    for (const auto& row : before_.rows) {
      if (row.find(key) != std::string::npos) due_[key].push_back(row);
    }
    if (!none_of_them(settled_.rows, due_[key])) throw std::runtime_error(key + " did not go");
  }
}

RunOptions FaultScenario::options(const std::string& interpose) const {
  RunOptions options;
  options.interpose = interpose;
  options.environment["CALIB_TEST_RANDOM"] = "none";
  options.environment["CALIB_TEST_SLEEP"] = "skip";
  options.seconds = longest_pass_seconds;
  return options;
}

Ran FaultScenario::pass(const DiskState& from, const std::string& interpose) {
  write_disk(from, sandbox());
  return run_tool(arguments_, options(interpose.empty() ? "none:1:0" : interpose));
}

Ran FaultScenario::walk(const DiskState& from, const std::function<void(const DiskState&)>& look,
                        const std::string& log) {
  write_disk(from, sandbox());
  auto stopping = options("change:*:stop");
  if (!log.empty()) stopping.environment["CALIB_TEST_LOG"] = log;
  Running running(arguments_, stopping);
  while (running.wait_until_stopped()) {
    look(now());
    running.signal(SIGCONT);
  }
  return running.finish();
}

Contents FaultScenario::contents(const DiskState& state) {
  Contents result;
  result.uploads = below(state, "app/uploads/");
  if (const auto sentinel = state.find("outside/sentinel"); sentinel != state.end()) {
    result.outside = sentinel->second;
  }
  const auto backend = below(state, "app/backend/");
  auto [database, is_new] = databases_.try_emplace(hash_of(backend));
  if (is_new) {
    write_disk(backend, scratch_.path());
    const auto file = scratch_.path() / "calibration.db";
    auto& [sound, rows] = database->second;
    try {
      rows = rows_of_database(file);
      std::sort(rows.begin(), rows.end());
      SQLite::Database opened(file.string(), SQLite::OPEN_READWRITE);
      sound = opened.execAndGet("PRAGMA integrity_check").getString() == "ok";
    } catch (const SQLite::Exception& error) {
      rows = {error.what()};
    }
  }
  std::tie(result.sound, result.rows) = database->second;
  return result;
}

std::vector<std::string> FaultScenario::faults(const DiskState& state, Cut cut) {
  std::vector<std::string> found;
  const auto expect = [&](bool is_so, const std::string& what) {
    if (!is_so) found.push_back(what);
  };
  const auto is = contents(state);
  expect(is.sound, "the database is damaged");
  expect(is.outside == before_.outside, "something outside was touched");
  expect(includes(before_.rows, is.rows), "there are rows that nobody had put there");
  expect(includes(is.rows, settled_.rows), "rows are gone that belong to somebody live");
  if (cut != Cut::by_error) {
    expect(is.rows == before_.rows || is.rows == settled_.rows,
           "neither all records are there nor all are gone");
  }

  std::map<std::string, std::string> known;
  for (const auto& [path, text] : before_.uploads) known.emplace(at_home(path), text);
  for (const auto& [path, text] : is.uploads) {
    const auto was = known.find(at_home(path));
    expect(was != known.end() && was->second == text, "nobody had put there: " + path);
  }
  for (const auto& [path, text] : settled_.uploads) {
    expect(holds(is.uploads, path, text) || holds(is.uploads, aside + path, text),
           "a live session has lost " + path);
  }
  for (const auto& [key, rows] : due_) {
    const bool whole = includes(is.rows, rows);
    expect(whole || none_of_them(is.rows, rows), "some of its records are gone: " + key);
    if (!known.contains(key + '/')) continue;
    const bool home = is.uploads.contains(key + '/');
    const bool moved = is.uploads.contains(aside + key + '/');
    if (!whole) {
      expect(!home || cut == Cut::by_power_loss, "its records are gone, and it is not: " + key);
      continue;
    }
    expect(home != moved, "it stands twice, or not at all: " + key);
    for (const auto& [path, text] : before_.uploads) {
      if (!path.starts_with(key + '/')) continue;
      expect(holds(is.uploads, (moved ? aside : "") + path, text),
             "a session has its records, but lost " + path);
    }
  }
  return found;
}

std::vector<std::string> FaultScenario::unsettled(const DiskState& state) {
  auto [known, is_new] = unsettled_.try_emplace(hash_of(state));
  if (is_new) {
    const auto is = contents(state);
    known->second = difference(is, settled_);
    if (!is.sound) known->second.emplace_back("the database is damaged");
  }
  return known->second;
}

std::vector<std::string> FaultScenario::next_pass_unsettled(const DiskState& state) {
  auto [known, is_new] = unsettled_next_.try_emplace(hash_of(state));
  if (!is_new) return known->second;
  const auto ran = pass(state);
  auto found = unsettled(now());
  if (ran.status != 0) found.push_back(fmt::format("the next pass ends with {}", ran.status));
  if (!ran.err.empty()) found.push_back("the next pass says " + ran.err);
  known->second = found;
  return found;
}

std::vector<std::string> FaultScenario::broken_promises(const Ran& ran, const DiskState& state) {
  auto found = faults(state, Cut::by_error);
  const auto expect = [&](bool is_so, const std::string& what) {
    if (!is_so) found.push_back(what);
  };
  const auto said = diagnostics_of(ran);
  expect(said.strays.empty(), "it says something that is no error and no warning");
  expect(said.errors.empty() == (ran.status == 0), "status and errors do not agree");
  for (const auto& error : said.errors) {
    expect(error.find(sandbox().string()) != std::string::npos || error.starts_with("session ") ||
               error.starts_with("standard output: "),
           "an error names nothing");
  }
  if (ran.status == 0) {
    for (auto& line : unsettled(state)) found.push_back("status 0, but " + line);
  } else if (ran.status == 3 || ran.status == 4) {
    for (auto& line : difference(contents(state), before_)) {
      found.push_back("nothing should have changed, but " + line);
    }
  } else if (ran.status == 1) {
    // What ends the pass is said of the database, the folder, or the program's own output.
    const auto whole = [&](const std::string& error) {
      return error.starts_with((sandbox() / "app/backend").string()) ||
             error.starts_with((sandbox() / "app/uploads: ").string());
    };
    const bool ended = std::any_of(said.errors.begin(), said.errors.end(), whole);
    for (const auto& name : top_names(below(state, "app/uploads/"))) {
      if (ended || settled_.uploads.contains(name + '/')) continue;
      expect(lines_with(said.errors, name) > 0, "it is still there, and not named: " + name);
    }
  } else {
    found.push_back(fmt::format("it ended with status {}", ran.status));
  }
  return found;
}

std::vector<std::string> difference(const Contents& is, const Contents& expected) {
  std::vector<std::string> result;
  const auto compare = [&](const auto& one, const auto& other, const std::string& mark) {
    std::vector<std::string> only;
    std::set_difference(one.begin(), one.end(), other.begin(), other.end(),
                        std::back_inserter(only));
    for (const auto& line : only) result.push_back(mark + line);
  };
  const auto lines_of_files = [](const DiskState& uploads) {
    std::set<std::string> lines;
    for (const auto& [path, text] : uploads) {
      lines.insert(fmt::format("file {} of {} bytes ({:x})", path, text.size(),
                               std::hash<std::string>{}(text)));
    }
    return lines;
  };
  compare(is.rows, expected.rows, "there is ");
  compare(expected.rows, is.rows, "there is no ");
  compare(lines_of_files(is.uploads), lines_of_files(expected.uploads), "there is ");
  compare(lines_of_files(expected.uploads), lines_of_files(is.uploads), "there is no ");
  if (is.outside != expected.outside) result.emplace_back("something outside was touched");
  return result;
}

}  // namespace calib::test
