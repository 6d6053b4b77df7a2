#include "model/report.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace calib {
namespace {

/// The words of `text`, without those that name something: a path, a number, an id.
std::string wording(std::string_view text) {
  const auto names = [](char c) { return c == '/' || (c >= '0' && c <= '9'); };
  std::string words;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    words += std::any_of(word.begin(), word.end(), names) ? "#" : word;
    words += ' ';
  }
  return words;
}

}  // namespace

std::string kind_of_failure(const Failure& failure) {
  return fmt::format("{} {}", static_cast<int>(failure.kind), wording(failure.error));
}

std::string kind_of_warning(const std::string& warning) { return wording(warning); }

}  // namespace calib
