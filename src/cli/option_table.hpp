// The options, one entry each: the command line, the environment, the configuration file and the
// help text are all read from here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "cli/option_values.hpp"
#include "model/options.hpp"

namespace calib {

enum class Takes { nothing, whole_number, whole_number_or_none, number, text, texts };

/// Options, and what has to be known of them all before they can be settled.
struct PartialOptions {
  Options options;
  std::optional<Setting> database;
  // Flags that were switched on, and the layer that did it.
  std::optional<Layer> orphans_only;
  std::optional<Layer> quiet;
  std::optional<Layer> verbose;
  bool is_named = false;   ///< --session is there, even with a list of none
  bool says_what = false;  ///< --hours is there
  bool assumes_yes = false;
  // No id is taken twice.
  std::unordered_set<std::string> sessions_seen;
  std::unordered_set<std::string> keep_seen;
};

struct OptionSpec {
  std::string_view name;  ///< without the dashes
  char letter;            ///< 0 where there is none
  Takes takes;
  std::string_view value_name;
  std::string_view group;  ///< empty: not in the help text
  std::string_view help;
  /// Checks the value and stores it; null for those that are acted on before the rest is read.
  /// Called for each value of the strongest layer; the text is not empty and holds no NUL.
  void (*store)(const Setting&, PartialOptions&);
  enum class Layers { command_line, all } layers = Layers::all;
  /// adds_up: the values of all layers count, not only those of the strongest.
  enum class Repeat { no, yes, adds_up } repeat = Repeat::no;
};

/// In the order of the help text.
std::span<const OptionSpec> option_table();

/// The entry of that name, or null.
const OptionSpec* find_option(std::string_view name);

/// The option that `typed` most likely meant, of those that can stand at least in `layers`; null
/// where it resembles none.
const OptionSpec* similar_option(std::string_view typed, OptionSpec::Layers layers);

}  // namespace calib
