// What App::fingerprint() tells, in a form that can be read when a test fails.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "support/tool_run.hpp"

namespace calib::test {

/// The lines that only one of two fingerprints has; none: nothing was changed.
inline std::vector<std::string> changes(const std::string& before, const std::string& after) {
  auto old_lines = lines_of(before);
  auto new_lines = lines_of(after);
  std::sort(old_lines.begin(), old_lines.end());
  std::sort(new_lines.begin(), new_lines.end());
  std::vector<std::string> result;
  std::set_symmetric_difference(old_lines.begin(), old_lines.end(), new_lines.begin(),
                                new_lines.end(), std::back_inserter(result));
  return result;
}

inline std::vector<std::string> changes_since(const std::string& before, const App& app) {
  return changes(before, app.fingerprint());
}

}  // namespace calib::test
