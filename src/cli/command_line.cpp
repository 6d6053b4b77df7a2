#include "cli/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "cli/option_table.hpp"
#include "cli/option_values.hpp"
#include "cli/settings.hpp"
#include "model/options.hpp"
#include "webapp/session_id.hpp"

namespace calib {
namespace {

constexpr std::size_t help_column = 26;

const char* const description =
    "Deletes expired calibration sessions: their records and their images together,\n"
    "or not at all. Also removes what no session claims.\n";

const char* const footer =
    "Each option but --session and --config can also come from the environment, as\n"
    "CALIB_CLEANUP_HOURS=48 or CALIB_CLEANUP_DRY_RUN=1. The command line beats the\n"
    "environment, which beats the file of --config.\n"
    "\n"
    "Exit status: 0 done, 1 something is left that should have gone, 2 wrong usage,\n"
    "3 could not run, 4 busy, 128+n stopped by signal n.\n"
    "\n"
    "Examples, in the app's root folder:\n"
    "  calib-cleanup --dry-run      what a pass would delete, and an audit\n"
    "  calib-cleanup --hours 24     delete what is older than a day\n"
    "  calib-cleanup --session ID   delete one session now\n"
    "\n"
    "The manual has all of it: man calib-cleanup";

/// What other tools call what this one has under another name; empty where that is not known.
std::string_view in_other_words(std::string_view typed) {
  using Pair = std::pair<std::string_view, std::string_view>;
  constexpr std::array<Pair, 11> words{
      Pair{"older-than", "write --hours N"},
      Pair{"max-age", "write --hours N"},
      Pair{"age", "write --hours N"},
      Pair{"days", "write --hours N, 24 for each day"},
      Pair{"minutes", "write --hours N, which may be a fraction"},
      Pair{"all", "write --hours 0 for all that is dated before now"},
      Pair{"force", "write --yes, which does not ask"},
      Pair{"id", "write --session ID"},
      Pair{"exclude", "write --keep ID"},
      Pair{"what-if", "write --dry-run"},
      Pair{"path", "write --app-dir DIR"}};
  typed.remove_prefix(std::min(typed.find_first_not_of('-'), typed.size()));
  const auto* const found = std::ranges::find(words, typed, &Pair::first);
  return found == words.end() ? std::string_view() : found->second;
}

std::string dashed(std::string_view name) { return fmt::format("--{}", name); }

/// The CLI11 parser of the table. It is told to accept nearly everything, so that every complaint
/// is worded here and --help wins over all of them.
class CommandLine {
 public:
  explicit CommandLine(const std::vector<std::string>& arguments)
      : arguments_(arguments), app_(description, "calib-cleanup") {
    app_.set_help_flag();
    app_.allow_extras();
    app_.footer(footer);
    app_.get_formatter()->column_width(help_column);
    for (const OptionSpec& spec : option_table()) add(spec);
    try {
      // CLI11 takes them from the back.
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {
      throw UsageError(error.what());
    }
  }

  [[nodiscard]] std::optional<InformationText> information() const {
    refuse_long_names_with_one_dash();
    if (app_.count("--help") > 0) return InformationText{help()};
    if (app_.count("--version") > 0) {
      return InformationText{"calib-cleanup " CALIB_CLEANUP_VERSION "\n"};
    }
    return std::nullopt;
  }

  [[nodiscard]] Settings settings() const {
    refuse_strays();
    Settings settings;
    for (const OptionSpec& spec : option_table()) {
      const std::string name = dashed(spec.name);
      std::vector<Setting> values;
      for (const std::string& text : app_.get_option(name)->results()) {
        values.push_back({Layer::command_line, name, text});
        require_text(values.back(),
                     fmt::format("needs a value: write {}={}", name, spec.value_name));
      }
      if (values.size() > 1 && spec.repeat == OptionSpec::Repeat::no) {
        refuse(values.back(), "is given twice: give it once");
      }
      if (!values.empty()) settings.emplace(spec.name, std::move(values));
    }
    return settings;
  }

 private:
  void add(const OptionSpec& spec) {
    const std::string names =
        spec.letter == 0 ? dashed(spec.name) : fmt::format("-{},--{}", spec.letter, spec.name);
    const std::string help(spec.help);
    CLI::Option* option = nullptr;
    if (spec.takes == Takes::nothing) {
      option = app_.add_flag(names, help);
    } else {
      // With one value required, CLI11 would take even an option for it: `--metrics --dry-run`
      // would be a real pass. With none required it takes nothing that looks like an option, and
      // the missing value is empty.
      option = app_.add_option(names, CLI::callback_t(), help);
      option->expected(0, 1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
          ->type_name(std::string(spec.value_name));
    }
    option->group(std::string(spec.group));
  }

  [[nodiscard]] std::string help() const {
    std::string text = app_.help();
    // CLI11 puts two empty lines between groups.
    std::size_t at = 0;
    while ((at = text.find("\n\n\n", at)) != std::string::npos) text.erase(at, 1);
    return text;
  }

  /// Refuses what is no option, and what CLI11 would read otherwise than it looks: `--name= x` as
  /// `--name x`, and `---name` as a value.
  void refuse_strays() const {
    bool options_over = false;
    for (const std::string& argument : app_.remaining()) {
      const bool word = options_over || !argument.starts_with('-') || argument == "-";
      if (argument == "--" && !options_over) {
        options_over = true;
      } else if (word) {
        refuse_word(argument);
      } else {
        refuse_option(argument);
      }
    }
    for (const std::string& argument : arguments_) {
      if (argument.starts_with("---")) refuse_option(argument);
      const std::size_t equals = argument.find('=');
      if (argument.starts_with("--") && equals == argument.size() - 1) {
        throw UsageError(fmt::format("{} has nothing after the '=': give it a value", argument));
      }
    }
  }

  /// `-hours 24` and `-h24` begin with -h, and would print the help as if all were well.
  void refuse_long_names_with_one_dash() const {
    for (const std::string& argument : arguments_) {
      if (argument == "--") return;
      if (argument.size() < 3 || argument[0] != '-' || argument[1] == '-') continue;
      for (const char letter : std::string_view(argument).substr(1)) {
        const OptionSpec* const spec = option_of_letter(letter);
        if (spec == nullptr) {
          refuse_option(is_meant_long(argument) ? argument : std::string{'-', letter});
        }
        if (spec->takes != Takes::nothing) break;  // the rest is its value
      }
    }
  }

  static bool is_meant_long(const std::string& argument) {
    const auto name = argument.substr(0, argument.find('='));
    return similar_option(name, OptionSpec::Layers::command_line) != nullptr ||
           !in_other_words(name).empty() || is_help_with_number(name);
  }

  static bool is_help_with_number(std::string_view argument) {
    return argument.size() > 2 && argument.starts_with("-h") &&
           argument.find_first_not_of("0123456789.", 2) == std::string_view::npos;
  }

  static const OptionSpec* option_of_letter(char letter) {
    const auto table = option_table();
    const auto found = std::ranges::find(table, letter, &OptionSpec::letter);
    return found == table.end() ? nullptr : &*found;
  }

  // These name only what cannot hold a password, as a URL given without its option would.

  [[noreturn]] static void refuse_option(const std::string& argument) {
    const std::string typed = argument.substr(0, argument.find('='));
    if (!is_harmless(typed)) refuse_word(argument);
    if (is_help_with_number(typed)) {
      throw UsageError(fmt::format("{} is no option: did you mean --hours {}? -h is for help",
                                   typed, typed.substr(2)));
    }
    if (const std::string_view meant = in_other_words(typed); !meant.empty()) {
      throw UsageError(fmt::format("unknown option {}: {}", typed, meant));
    }
    const OptionSpec* const similar = similar_option(typed, OptionSpec::Layers::command_line);
    throw UsageError(fmt::format("unknown option {}: {}", typed,
                                 similar == nullptr
                                     ? "see calib-cleanup --help"
                                     : fmt::format("did you mean --{}?", similar->name)));
  }

  [[noreturn]] static void refuse_word(const std::string& argument) {
    if (!argument.empty() && argument.find_first_not_of("0123456789.") == std::string::npos) {
      throw UsageError(
          fmt::format("unexpected argument '{0}': did you mean --hours {0}?", argument));
    }
    if (is_uuid(argument)) {
      throw UsageError(
          fmt::format("unexpected argument '{0}': did you mean --session {0}?", argument));
    }
    const std::string named = is_harmless(argument) ? fmt::format(" '{}'", argument) : "";
    throw UsageError(
        fmt::format("unexpected argument{}: put the option it belongs to before it", named));
  }

  static bool is_harmless(std::string_view text) {
    return text.find_first_of(":@") == std::string_view::npos;
  }

  const std::vector<std::string>& arguments_;
  CLI::App app_;
};

/// Stores what the strongest of `layers` (that one first) says of each option, or all of them.
void store(const std::vector<const Settings*>& layers, PartialOptions& draft) {
  for (const OptionSpec& spec : option_table()) {
    if (spec.store == nullptr) continue;
    for (const Settings* layer : layers) {
      const auto found = layer->find(spec.name);
      if (found == layer->end()) continue;
      for (const Setting& setting : found->second) spec.store(setting, draft);
      if (spec.repeat != OptionSpec::Repeat::adds_up) break;
    }
  }
}

void settle_mode(const Settings& command_line, PartialOptions& draft) {
  Options& options = draft.options;
  if (!draft.is_named) {
    options.mode = draft.orphans_only ? Mode::orphans_only : Mode::expired;
    options.may_ask = !draft.orphans_only && !draft.says_what && !draft.assumes_yes;
    return;
  }
  if (command_line.contains("hours")) {
    throw UsageError("--session deletes whatever the age: leave --hours out");
  }
  if (draft.orphans_only == Layer::command_line) {
    throw UsageError("--session takes no orphans along: leave --orphans-only out, or run twice");
  }
  for (const auto& id : options.sessions) {
    if (draft.keep_seen.contains(ascii_lowered(id))) {
      throw UsageError(
          fmt::format("{} is both in --session and in --keep: take it out of one of them", id));
    }
  }
  options.mode = Mode::named;
}

void settle_verbosity(PartialOptions& draft) {
  if (draft.quiet && draft.quiet == draft.verbose) {
    throw UsageError("--quiet and --verbose exclude each other: leave one of them out");
  }
  // An empty optional is less than any layer.
  if (draft.quiet > draft.verbose) draft.options.verbosity = Verbosity::quiet;
  if (draft.verbose > draft.quiet) draft.options.verbosity = Verbosity::verbose;
}

/// From the root on, so that a message says which one it is, wherever it is read; as it is where
/// the working directory has no name any more.
std::filesystem::path from_the_root(const std::filesystem::path& path) {
  std::error_code error;
  auto result = std::filesystem::current_path(error);
  if (path.is_absolute() || error) return path;
  // There is no link in it, so `..` leads to what stands before; behind a link it may not.
  bool begins = true;
  for (const auto& part : path) {
    if (part == "." || part.empty()) continue;
    begins = begins && part == "..";
    result = begins ? result.parent_path() : result / part;
  }
  return result;
}

/// The same for a file: what ends as only a folder's path may stays so, and is no file.
std::filesystem::path file_from_the_root(const std::filesystem::path& path) {
  auto result = from_the_root(path);
  const auto name = path.filename();
  return name.empty() || name == "." || name == ".." ? result / "" : result;
}

/// Better before the pass than after it.
void require_folder_of(const std::filesystem::path& metrics) {
  const auto folder = metrics.has_parent_path() ? metrics.parent_path() : ".";
  std::error_code error;
  if (std::filesystem::status(folder, error).type() != std::filesystem::file_type::not_found) {
    return;
  }
  throw UsageError(fmt::format("--metrics {}: there is no folder {}; make it, or name another file",
                               metrics.string(), folder.string()));
}

}  // namespace

std::variant<Options, InformationText, SessionIdsRequest> parse_options(
    const std::vector<std::string>& arguments, const Environment& environment) {
  const CommandLine command_line(arguments);
  if (auto information = command_line.information()) return *std::move(information);

  const Settings from_command_line = command_line.settings();
  const EnvironmentSettings from_environment = environment_settings(environment);
  const auto config = from_command_line.find("config");
  const Settings from_file =
      config == from_command_line.end() ? Settings() : file_settings(config->second.front().text);
  PartialOptions draft;
  store({&from_command_line, &from_environment.settings, &from_file}, draft);

  if (config != from_command_line.end()) draft.options.config = config->second.front().text;
  settle_mode(from_command_line, draft);
  settle_verbosity(draft);
  Options& options = draft.options;
  if (options.color == When::automatic && from_environment.no_color) options.color = When::never;
  options.app_dir = from_the_root(options.app_dir);
  options.uploads_named = !options.uploads.empty();
  options.uploads =
      options.uploads_named ? from_the_root(options.uploads) : options.app_dir / "uploads";
  if (options.metrics) {
    options.metrics = file_from_the_root(*options.metrics);
    if (options.dry_run == DryRun::no) require_folder_of(*options.metrics);
  }
  try {
    if (draft.database) {
      options.database =
          parse_database_option(draft.database->text, options.app_dir, draft.database->source);
      if (options.database.kind == DatabaseKind::sqlite) {
        const auto typed =
            std::exchange(options.database.path, file_from_the_root(options.database.path));
        std::error_code error;
        const auto in_app = options.app_dir / typed;
        if (typed.is_relative() && std::filesystem::exists(in_app, error)) {
          options.database.maybe_meant = in_app;
        }
        options.database.display = options.database.path.string();
      }
      if (draft.database->layer == Layer::command_line) {
        options.database.named = Named::on_command_line;
      }
    } else {
      options.database = find_app_database(from_environment.app, options.app_dir);
    }
  } catch (const DatabaseLocationError& error) {
    options.database_error = error.what();
  }
  if (from_command_line.contains("complete-sessions")) {
    if (options.database_error) throw std::runtime_error(*options.database_error);
    return SessionIdsRequest{options.database};
  }
  return std::move(options);
}

}  // namespace calib
