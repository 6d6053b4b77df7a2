// What a pass may leave that was cut short, and what it may say of that.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "every_call/fault_scenario.hpp"
#include "support/diagnostics.hpp"

namespace calib::test {
namespace {

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

}  // namespace

void FaultScenario::learn_what_goes(const std::vector<std::string>& keys) {
  for (const auto& key : keys) {
    Rows rows;
    for (const auto& row : before_.rows) {
      if (row.find(key) != std::string::npos) rows.push_back(row);
    }
    if (none_of_them(settled_.rows, rows)) {
      due_.emplace(key, rows);
    } else if (rule_ == Rule::expired) {
      throw std::runtime_error(key + " did not go");
    }
  }
  if (due_.empty()) throw std::runtime_error("no records went");
}

bool FaultScenario::has_whole_metrics(const Contents& is) const {
  // The values are other ones each time, and what they are of is not.
  const auto last_line = [](const std::string& text) {
    const auto line = text.find_last_of('\n', text.size() - 2) + 1;
    return text.substr(line, text.find_first_of("{ ", line) - line);
  };
  return !is.metrics || (is.metrics->ends_with('\n') && settled_.metrics &&
                         last_line(*is.metrics) == last_line(*settled_.metrics));
}

std::vector<std::string> FaultScenario::faults(const DiskState& state, Cut cut) {
  std::vector<std::string> found;
  const auto expect = [&](bool is_so, const std::string& what) {
    if (!is_so) found.push_back(what);
  };
  const auto is = contents(state);
  expect(is.sound, "the database is damaged");
  expect(is.outside == before_.outside, "something outside was touched");
  expect(has_whole_metrics(is), "the metrics are no whole file");
  expect(includes(before_.rows, is.rows), "there are rows that nobody had put there");
  expect(includes(is.rows, settled_.rows), "rows are gone that belong to somebody live");
  if (!cut.by_error) {
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
    expect(holds(is.uploads, path, text) || (!cut.late && holds(is.uploads, aside + path, text)),
           "a live session has lost " + path);
  }
  for (auto& line : faults_of_due(is, cut)) found.push_back(std::move(line));
  return found;
}

std::vector<std::string> FaultScenario::faults_of_due(const Contents& is, Cut cut) const {
  std::vector<std::string> found;
  const auto expect = [&](bool is_so, const std::string& what) {
    if (!is_so) found.push_back(what);
  };
  for (const auto& [key, rows] : due_) {
    const bool whole = includes(is.rows, rows);
    expect(whole || none_of_them(is.rows, rows), "some of its records are gone: " + key);
    if (!before_.uploads.contains(key + '/')) continue;
    const bool home = is.uploads.contains(key + '/');
    const bool moved = is.uploads.contains(aside + key + '/');
    if (!whole) {
      expect(!home || cut.by_power_loss, "its records are gone, and it is not: " + key);
      continue;
    }
    expect(home != moved, "it stands twice, or not at all: " + key);
    expect(home || !cut.late, "it has its records, and is aside: " + key);
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
    if (!has_whole_metrics(is) || is.metrics.has_value() != settled_.metrics.has_value()) {
      known->second.emplace_back("the metrics are no whole file");
    }
  }
  return known->second;
}

std::vector<std::string> FaultScenario::strange_end(const Ran& ran, const DiskState& from) {
  // Who names a session that is gone is told so.
  const bool is_unknown =
      rule_ == Rule::named && none_of_them(contents(from).rows, due_.begin()->second);
  const auto errors = diagnostics_of(ran).errors;
  const bool is_told = errors.size() == 1 && lines_with(errors, due_.begin()->first) == 1;
  std::vector<std::string> found;
  if (ran.status != (is_unknown ? 1 : 0)) {
    found.push_back(fmt::format("the next pass ends with {}", ran.status));
  }
  if (is_unknown ? !is_told : !ran.err.empty()) found.push_back("the next pass says " + ran.err);
  return found;
}

std::vector<std::string> FaultScenario::next_pass_unsettled(const DiskState& state) {
  auto [known, is_new] = unsettled_next_.try_emplace(hash_of(state));
  if (!is_new) return known->second;
  const auto ran = pass(state);
  auto found = unsettled(now());
  for (auto& line : strange_end(ran, state)) found.push_back(std::move(line));
  known->second = found;
  return found;
}

std::vector<std::string> FaultScenario::broken_promises(const Ran& ran, const DiskState& state) {
  auto found = faults(state, by_error);
  const auto expect = [&](bool is_so, const std::string& what) {
    if (!is_so) found.push_back(what);
  };
  const auto database =
      server_database_ ? server_database_->shown() : (sandbox() / "app/backend").string();
  const auto said = diagnostics_of(ran);
  expect(said.strays.empty(), "it says something that is no error and no warning");
  expect(said.errors.empty() == (ran.status == 0), "status and errors do not agree");
  for (const auto& error : said.errors) {
    // Ten of a kind are named.
    if (error.starts_with("… and ") && error.ends_with(" more of that kind")) continue;
    expect(error.find(sandbox().string()) != std::string::npos || error.starts_with(database) ||
               error.starts_with("session ") || error.starts_with("standard output: ") ||
               // One in a folder above the app's.
               error.find("/.env, where the app's DATABASE_URL may stand") != std::string::npos,
           "an error names nothing");
  }
  // Where nobody knows whether a commit holds, what is aside stays there.
  const bool open = lines_with(said.errors, "the next pass settles it") > 0;
  const auto is = contents(state);
  for (const auto& [key, rows] : due_) {
    if (open || !includes(is.rows, rows) || !is.uploads.contains(aside + key + '/')) continue;
    expect(lines_with(said.errors, key) > 0, "it stays, is aside, and not named: " + key);
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
      return error.starts_with(database) ||
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
