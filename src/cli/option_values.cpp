#include "cli/option_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <system_error>
#include <utility>
#include <vector>

#include "base/number.hpp"
#include "base/text.hpp"

namespace calib {
namespace {

/// Reads the whole of `text`; false where that is not all of it, or out of range.
bool read_whole_number(std::string_view text, std::uint64_t& value) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end;
}

/// How to write a number that has a unit of time, as in `24h` or `7 days`, in the one that is
/// `wanted`; empty for other texts.
std::string without_unit(std::string_view text, std::chrono::seconds wanted) {
  const auto end = std::min(text.find_first_not_of("0123456789."), text.size());
  double value = 0;
  if (!read_number(text.substr(0, end), value)) return {};
  auto unit = text.substr(end);
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  using namespace std::chrono_literals;
  constexpr std::array<std::pair<std::string_view, std::chrono::seconds>, 17> units{
      {{"s", 1s},
       {"sec", 1s},
       {"second", 1s},
       {"seconds", 1s},
       {"m", 1min},
       {"min", 1min},
       {"minute", 1min},
       {"minutes", 1min},
       {"h", 1h},
       {"hour", 1h},
       {"hours", 1h},
       {"d", 24h},
       {"day", 24h},
       {"days", 24h},
       {"w", 168h},
       {"week", 168h},
       {"weeks", 168h}}};
  for (const auto& [name, length] : units) {
    if (unit != name) continue;
    const auto seconds = value * static_cast<double>(length.count());
    const auto* const in = wanted == 1h ? "hours" : wanted == 1min ? "minutes" : "seconds";
    return fmt::format(" (in {}: {:.10g})", in, seconds / static_cast<double>(wanted.count()));
  }
  return {};
}

}  // namespace

void refuse(const Setting& setting, std::string_view problem) {
  throw UsageError(fmt::format("{} {}", setting.source, problem));
}

void require_text(const Setting& setting, std::string_view if_empty) {
  if (setting.text.empty()) refuse(setting, if_empty);
  if (setting.text.find('\0') != std::string::npos) refuse(setting, "holds a NUL byte: remove it");
}

bool yes_or_no(const Setting& setting) {
  constexpr std::array<std::string_view, 4> yes{"1", "true", "yes", "on"};
  constexpr std::array<std::string_view, 4> no{"0", "false", "no", "off"};
  const std::string word = ascii_lowered(setting.text);
  if (std::ranges::count(yes, word) > 0) return true;
  if (std::ranges::count(no, word) > 0) return false;
  refuse(setting,
         fmt::format("must be 1 or 0 (or true/false, yes/no, on/off), not '{}'", setting.text));
}

double number(const Setting& setting, double maximum, std::string_view what,
              std::chrono::seconds unit) {
  double value = 0;
  if (!read_number(setting.text, value) || value < 0 || value > maximum) {
    refuse(setting, fmt::format("must be {}, not '{}'{}", what, setting.text,
                                without_unit(setting.text, unit)));
  }
  return std::abs(value);  // -0 is 0
}

namespace {

std::optional<std::uint64_t> whole_number_in(const Setting& setting, std::uint64_t minimum,
                                             std::uint64_t maximum) {
  std::uint64_t value = 0;
  if (read_whole_number(setting.text, value) && value >= minimum && value <= maximum) return value;
  return std::nullopt;
}

std::string range_text(std::uint64_t minimum, std::uint64_t maximum) {
  return maximum == std::numeric_limits<std::uint64_t>::max()
             ? fmt::format("a whole number, {} or more", minimum)
             : fmt::format("a whole number from {} to {}", minimum, maximum);
}

}  // namespace

std::uint64_t whole_number(const Setting& setting, std::uint64_t minimum, std::uint64_t maximum) {
  if (const auto value = whole_number_in(setting, minimum, maximum)) return *value;
  refuse(setting, fmt::format("must be {}, not '{}'", range_text(minimum, maximum), setting.text));
}

std::optional<std::uint64_t> whole_number_or_none(const Setting& setting, std::uint64_t minimum,
                                                  std::uint64_t maximum) {
  if (setting.text == "none") return std::nullopt;
  if (const auto value = whole_number_in(setting, minimum, maximum)) return value;
  refuse(setting,
         fmt::format("must be {}, or none, not '{}'", range_text(minimum, maximum), setting.text));
}

When when(const Setting& setting) {
  if (setting.text == "auto") return When::automatic;
  if (setting.text == "always") return When::always;
  if (setting.text == "never") return When::never;
  refuse(setting, fmt::format("must be auto, always or never, not '{}'", setting.text));
}

std::size_t distance(std::string_view a, std::string_view b) {
  const auto squeezed = [](std::string_view word) {
    std::string result = ascii_lowered(word);
    std::erase_if(result, [](char c) { return c == '-' || c == '_'; });
    return result;
  };
  const std::string from = squeezed(a);
  const std::string to = squeezed(b);
  // Levenshtein's table, a row at a time.
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t change = diagonal + (from[i] == to[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

}  // namespace calib
