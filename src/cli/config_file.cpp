#include "cli/config_file.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <string_view>

#include "base/file.hpp"
#include "model/options.hpp"

namespace calib {
namespace {

toml::table parse_toml(const std::filesystem::path& file) {
  std::string text;
  try {
    text = read_small_file(file);
  } catch (const FileError& error) {
    throw UsageError(fmt::format("--config: cannot read {}: {}; name a file that can be read",
                                 file.string(), error.what()));
  }
  try {
    return toml::parse(text, std::string_view{file.native()});
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}; write lines such as: hours = 48", file.string(),
                                 error.source().begin.line, error.description()));
  }
}

FileSetting setting_of(std::string_view key, const toml::node& value, const std::string& source) {
  FileSetting setting{std::string(key), TomlType::string, {}, source};
  if (const auto* const text = value.as_string()) {
    setting.text = text->get();
  } else if (const auto* const boolean = value.as_boolean()) {
    setting.type = TomlType::boolean;
    setting.text = boolean->get() ? "true" : "false";
  } else if (const auto* const integer = value.as_integer()) {
    setting.type = TomlType::integer;
    setting.text = fmt::to_string(integer->get());
  } else if (const auto* const decimal = value.as_floating_point()) {
    setting.type = TomlType::decimal;
    setting.text = fmt::to_string(decimal->get());
  } else {
    throw UsageError(fmt::format(
        "{} is a table, an array or a date: give each option one value, at the top level", source));
  }
  return setting;
}

}  // namespace

std::vector<FileSetting> read_config_file(const std::filesystem::path& file) {
  std::vector<FileSetting> settings;
  for (const auto& [key, value] : parse_toml(file)) {
    const std::string_view name = key;
    const auto source = fmt::format("{}:{}: {}", file.string(), value.source().begin.line, name);
    const auto* const list = value.as_array();
    if (list == nullptr) {
      settings.push_back(setting_of(name, value, source));
      continue;
    }
    if (list->empty())
      settings.push_back({std::string(name), TomlType::string, {}, source, true, true});
    for (const auto& item : *list) {
      settings.push_back(setting_of(
          name, item, fmt::format("{}:{}: {}", file.string(), item.source().begin.line, name)));
      settings.back().in_list = true;
    }
  }
  return settings;
}

}  // namespace calib
