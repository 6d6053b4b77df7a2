// What the text of an option's value means, wherever it was given.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/options.hpp"

namespace calib {

/// Where a value was given; the later beats the earlier.
enum class Layer { file, environment, command_line };

/// One value of one option. `source` is what a message calls it: `--hours`,
/// `CALIB_CLEANUP_HOURS`, `cleanup.toml:3: hours`.
struct Setting {
  Layer layer = Layer::file;
  std::string source;
  std::string text;
};

/// Throws UsageError with `source` before `problem`.
[[noreturn]] void refuse(const Setting& setting, std::string_view problem);

/// Refuses an empty value, with the problem `if_empty`, and one with a NUL byte, which no path and
/// no id can hold.
void require_text(const Setting& setting, std::string_view if_empty);

// Each of these throws UsageError where the text is nothing of the kind.

/// 1/0, true/false, yes/no, on/off, of either case.
bool yes_or_no(const Setting& setting);

/// A decimal number from 0 to `maximum`, the whole text of it. `what` completes "must be …"; `unit`
/// is what it counts: an hour, a minute or a second.
double number(const Setting& setting, double maximum, std::string_view what,
              std::chrono::seconds unit);

/// Digits that make a number from `minimum` to `maximum`.
std::uint64_t whole_number(const Setting& setting, std::uint64_t minimum, std::uint64_t maximum);

/// The same, or nothing for `none`.
std::optional<std::uint64_t> whole_number_or_none(const Setting& setting, std::uint64_t minimum,
                                                  std::uint64_t maximum);

/// auto, always or never.
When when(const Setting& setting);

/// How many letters must be changed, added or left out to get from one word to the other; dashes,
/// underscores and case do not count.
std::size_t distance(std::string_view a, std::string_view b);

}  // namespace calib
