#include "cli/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>
#include <string_view>

#include "base/text.hpp"
#include "cli/config_file.hpp"
#include "cli/option_table.hpp"

namespace calib {
namespace {

using Layers = OptionSpec::Layers;

constexpr std::string_view prefix = "CALIB_CLEANUP_";
/// The app's adapter finds the executable through this one; it is none of ours.
constexpr std::string_view ignored_variable = "CALIB_CLEANUP_BIN";

/// What python-dotenv takes for a yes, since release 1.2.
bool is_yes_to_dotenv(std::string_view value) {
  constexpr std::array<std::string_view, 5> yes{"1", "true", "t", "yes", "y"};
  return std::ranges::count(yes, ascii_lowered(value)) > 0;
}

std::string variable_of(const OptionSpec& spec) {
  std::string variable(prefix);
  for (const char c : spec.name) {
    variable += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return variable;
}

const OptionSpec& option_of(const std::string& variable) {
  const auto table = option_table();
  const auto found = std::ranges::find(table, variable, variable_of);
  if (found != table.end() && found->layers == Layers::all) return *found;
  if (found != table.end()) {
    throw UsageError(fmt::format("{} cannot come from the environment: unset it and write --{}",
                                 variable, found->name));
  }
  const OptionSpec* const similar = similar_option(variable.substr(prefix.size()), Layers::all);
  throw UsageError(similar == nullptr ? fmt::format("{} is not known: unset it", variable)
                                      : fmt::format("{} is not known: did you mean {}?", variable,
                                                    variable_of(*similar)));
}

const OptionSpec& option_of(const FileSetting& given, const Setting& setting) {
  const OptionSpec* const spec = find_option(given.key);
  if (spec == nullptr) {
    const OptionSpec* const similar = similar_option(given.key, Layers::all);
    refuse(setting, similar == nullptr
                        ? std::string("is not an option: remove it")
                        : fmt::format("is not an option: did you mean {}?", similar->name));
  }
  if (spec->layers != Layers::all) {
    refuse(setting,
           fmt::format("cannot stand in a file: write --{} on the command line", spec->name));
  }
  return *spec;
}

/// What the value of an option must be in TOML; empty where `type` is right.
std::string_view wrong_type(Takes takes, TomlType type) {
  switch (takes) {
    case Takes::nothing:
      return type == TomlType::boolean ? "" : "true or false, without quotes";
    case Takes::whole_number:
      return type == TomlType::integer ? "" : "a whole number, without quotes";
    case Takes::whole_number_or_none: {
      const bool right = type == TomlType::integer || type == TomlType::string;
      return right ? "" : "a whole number, or \"none\"";
    }
    case Takes::number: {
      const bool right = type == TomlType::integer || type == TomlType::decimal;
      return right ? "" : "a number, without quotes";
    }
    case Takes::text:
      return type == TomlType::string ? "" : "text in quotes";
    case Takes::texts:
      return type == TomlType::string ? "" : "text in quotes, or a list of such texts";
  }
  return "";
}

}  // namespace

EnvironmentSettings environment_settings(const Environment& environment) {
  EnvironmentSettings result;
  std::set<std::string, std::less<>> seen;
  for (const std::string& entry : environment) {
    const std::size_t equals = std::min(entry.find('='), entry.size());
    const std::string name = entry.substr(0, equals);
    const std::string value = equals < entry.size() ? entry.substr(equals + 1) : std::string();
    if (name == "NO_COLOR" && !value.empty()) result.no_color = true;
    if (name == "PYTHON_DOTENV_DISABLED" && is_yes_to_dotenv(value)) {
      result.app.dotenv_disabled = true;
    }
    if (!name.starts_with(prefix) && name != "DATABASE_URL") continue;
    // Some programs go by the first, some by the last.
    if (!seen.insert(name).second) {
      throw UsageError(fmt::format("{} is in the environment twice: set it once", name));
    }
    if (name == "DATABASE_URL") {
      result.app.database_url = value;
    } else if (name != ignored_variable) {
      const OptionSpec& spec = option_of(name);
      const Setting setting{Layer::environment, name, value};
      require_text(setting, "is empty: unset it or give it a value");
      result.settings[std::string(spec.name)].push_back(setting);
    }
  }
  return result;
}

Settings file_settings(const std::filesystem::path& file) {
  Settings settings;
  for (const FileSetting& given : read_config_file(file)) {
    const Setting setting{Layer::file, given.source, given.text};
    const OptionSpec& spec = option_of(given, setting);
    const std::string_view wanted = wrong_type(spec.takes, given.type);
    if (!wanted.empty()) refuse(setting, fmt::format("must be {}", wanted));
    if (given.in_list && spec.takes != Takes::texts) refuse(setting, "must be one value, no list");
    if (given.is_empty_list) continue;
    require_text(setting, "is empty: remove it or give it a value");
    settings[given.key].push_back(setting);
  }
  return settings;
}

}  // namespace calib
