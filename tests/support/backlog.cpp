#include "support/backlog.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace calib::test {
namespace {

constexpr int images = 3;
constexpr int leaked_rows = 2;

std::int64_t stereo_rows(const App& app, const std::string& left, const std::string& right) {
  return app.number("SELECT count(*) FROM stereo_calibration_results WHERE session_id = " +
                    sql_text(fmt::format("stereo_{}_{}", left, right)));
}

}  // namespace

std::string state_of(const App& app) {
  auto lines = app.rows();
  for (const auto& entry : fs::recursive_directory_iterator(app.uploads())) {
    const auto name = entry.path().lexically_relative(app.uploads()).string();
    lines.push_back(
        entry.is_regular_file()
            ? fmt::format("file {} {}", name, std::hash<std::string>{}(bytes_in(entry.path())))
            : "directory " + name);
  }
  lines.push_back("outside " + bytes_in(app.outside() / "sentinel"));
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

std::vector<std::string> difference(const std::string& one, const std::string& other) {
  const auto first = lines_of(one);
  const auto second = lines_of(other);
  std::vector<std::string> result;
  std::set_symmetric_difference(first.begin(), first.end(), second.begin(), second.end(),
                                std::back_inserter(result));
  return result;
}

Backlog::Backlog(Journal journal) : App(AppSchema::current, journal), leaked_(new_uuid()) {
  due_ = {add_session(48, images), add_session(30, images)};
  live_ = {add_session(2, images), add_session(23, images)};
  add_stereo_row(due_[0], live_[0]);
  add_stereo_row(live_[0], live_[1]);
  add_image_rows(leaked_, leaked_rows);
  add_directory("orphan", 2);
}

std::string Backlog::settled() const {
  const App copy;
  copy_to(copy);
  const auto ran = run_pass(copy);
  if (ran.status != 0 || !ran.err.empty()) throw std::runtime_error(ran.err);
  return state_of(copy);
}

bool Backlog::has_all_images(const fs::path& directory) {
  for (int i = 0; i < images; ++i) {
    const auto image = directory / fmt::format("image_{:03}.png", i);
    if (!fs::is_regular_file(image) || fs::file_size(image) != 3000) return false;
  }
  return true;
}

bool Backlog::has_all_records(const App& app) const {
  return app.has_session(due_[0]) && app.has_session(due_[1]) &&
         app.rows_of(due_[0]) == images + 1 && app.rows_of(due_[1]) == images + 1 &&
         stereo_rows(app, due_[0], live_[0]) == 1 && app.rows_of(leaked_) == leaked_rows;
}

std::vector<std::string> Backlog::faults(const App& app) const {
  std::vector<std::string> found;
  const auto expect = [&](bool holds, std::string what) {
    if (!holds) found.push_back(std::move(what));
  };
  expect(app.is_sound(), "the database is damaged");
  for (const auto& id : live_) expect(app.is_whole(id, images), "live session harmed: " + id);
  expect(stereo_rows(app, live_[0], live_[1]) == 1, "a stereo row of live sessions is gone");
  expect(bytes_in(app.outside() / "sentinel") == bytes_in(outside() / "sentinel"),
         "something outside was touched");

  // One transaction: all that is due is there with everything, or none of it has a record left.
  if (app.has_session(due_[0]) || app.has_session(due_[1])) {
    expect(has_all_records(app), "an expired session has lost records");
    for (const auto& id : due_) {
      const auto staged = app.staged(id);
      expect(has_all_images(fs::exists(staged) ? staged : app.uploads() / id),
             "an expired session has lost images: " + id);
      expect(fs::exists(staged) != fs::exists(app.uploads() / id), "it stands twice: " + id);
    }
  } else {
    for (const auto& key : {due_[0], due_[1], leaked_}) {
      expect(app.rows_of(key) == 0, "rows were left behind: " + key);
    }
    expect(stereo_rows(app, due_[0], live_[0]) == 0, "a stereo row was left behind");
  }
  return found;
}

std::vector<std::string> pass_arguments(const App& app, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"--app-dir", app.root().string(), "--jobs", "1"});
  return arguments;
}

Ran run_pass(const App& app, std::vector<std::string> arguments, const std::string& interpose) {
  RunOptions options;
  options.interpose = interpose;
  return run_tool(pass_arguments(app, std::move(arguments)), options);
}

}  // namespace calib::test
