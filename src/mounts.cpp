#include "mounts.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace calib {
namespace {

/// mountinfo writes blanks, tabs, newlines and backslashes as three octal digits.
std::string unescaped(const std::string& field) {
  const auto digit = [&](std::size_t at, char most) {
    return at < field.size() && field[at] >= '0' && field[at] <= most;
  };
  std::string text;
  for (std::size_t at = 0; at < field.size(); ++at) {
    if (field[at] == '\\' && digit(at + 1, '3') && digit(at + 2, '7') && digit(at + 3, '7')) {
      const int value =
          (field[at + 1] - '0') * 64 + (field[at + 2] - '0') * 8 + (field[at + 3] - '0');
      text += static_cast<char>(static_cast<unsigned char>(value));
      at += 3;
    } else {
      text += field[at];
    }
  }
  return text;
}

/// The mount point in a line of mountinfo.
std::string mount_point(const std::string& line) {
  std::istringstream fields(line);
  std::string field;
  for (int number = 1; number <= 5; ++number) std::getline(fields, field, ' ');
  return unescaped(field);
}

}  // namespace

std::vector<std::string> entries_with_mounts(int directory) {
  std::error_code error;
  const auto real =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(directory), error);
  std::vector<std::string> names;
  if (error) return names;
  const auto below = real.string().ends_with('/') ? real.string() : real.string() + '/';
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const auto point = mount_point(line);
    if (!point.starts_with(below)) continue;
    auto name = point.substr(below.size(), point.find('/', below.size()) - below.size());
    if (!name.empty()) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace calib
