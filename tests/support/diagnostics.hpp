// What the tool says on stderr, taken apart.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "support/tool_run.hpp"

namespace calib::test {

/// The lines of stderr without their prefixes. `strays` are those that have none: they break the
/// promise that each warning and error is one line of that form.
struct Diagnostics {
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
  std::vector<std::string> strays;
};

inline Diagnostics diagnostics_of(const Ran& ran) {
  constexpr std::string_view error = "calib-cleanup: error: ";
  constexpr std::string_view warning = "calib-cleanup: warning: ";
  Diagnostics result;
  for (const auto& line : lines_of(ran.err)) {
    if (line.starts_with(error)) {
      result.errors.push_back(line.substr(error.size()));
    } else if (line.starts_with(warning)) {
      result.warnings.push_back(line.substr(warning.size()));
    } else {
      result.strays.push_back(line);
    }
  }
  return result;
}

inline bool holds_all(const std::string& line, const std::vector<std::string>& parts) {
  return std::all_of(parts.begin(), parts.end(),
                     [&](const std::string& part) { return line.find(part) != std::string::npos; });
}

/// Whether stderr is exactly one error, and every one of `parts` stands in it.
inline bool is_one_error(const Ran& ran, const std::vector<std::string>& parts) {
  const auto said = diagnostics_of(ran);
  return said.errors.size() == 1 && said.warnings.empty() && said.strays.empty() &&
         holds_all(said.errors.front(), parts);
}

/// The same for a warning.
inline bool is_one_warning(const Ran& ran, const std::vector<std::string>& parts) {
  const auto said = diagnostics_of(ran);
  return said.warnings.size() == 1 && said.errors.empty() && said.strays.empty() &&
         holds_all(said.warnings.front(), parts);
}

/// How many of `lines` hold `part`.
inline std::size_t lines_with(const std::vector<std::string>& lines, std::string_view part) {
  std::size_t count = 0;
  for (const auto& line : lines) {
    if (line.find(part) != std::string::npos) ++count;
  }
  return count;
}

}  // namespace calib::test
