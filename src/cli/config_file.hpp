// The TOML file of --config, as a flat list of settings. Only config_file.cpp sees toml++.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace calib {

enum class TomlType { boolean, integer, decimal, string };

struct FileSetting {
  std::string key;
  TomlType type = TomlType::string;
  std::string text;            ///< a number or boolean as it is written on the command line
  std::string source;          ///< `FILE:LINE: key`, for messages
  bool in_list = false;        ///< one of the values of a list; each of them is a setting
  bool is_empty_list = false;  ///< a list of none, which is one setting, too
};

/// Everything that stands in `file`. Throws UsageError, with file and line, where it cannot be
/// read, is not TOML, or holds anything but values, and lists of them, at the top level.
std::vector<FileSetting> read_config_file(const std::filesystem::path& file);

}  // namespace calib
