#include "cli/option_table.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <limits>
#include <ratio>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cli/id_list.hpp"

namespace calib {
namespace {

namespace chr = std::chrono;

using Days = chr::duration<double, std::ratio<86400>>;
using Layers = OptionSpec::Layers;

constexpr Days max_grace{100 * 365};
constexpr Days max_wait{365};
constexpr std::uint64_t max_jobs = 64;
constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

constexpr std::string_view selection = "What goes";
constexpr std::string_view places = "Where it is";
constexpr std::string_view safety = "Safety";
constexpr std::string_view manner = "How it runs";
constexpr std::string_view output = "Output";
constexpr std::string_view information = "Information";

/// Reads a number of `Unit`s (chrono's duration of double) as a `Result`.
template <typename Result, typename Unit>
Result duration(const Setting& setting, Days longest, std::string_view what) {
  const double count = number(setting, chr::duration_cast<Unit>(longest).count(), what,
                              chr::duration_cast<chr::seconds>(Unit{1}));
  return chr::round<Result>(Unit{count});
}

std::optional<Layer> layer_if_yes(const Setting& setting) {
  return yes_or_no(setting) ? std::optional(setting.layer) : std::nullopt;
}

void add_ids(std::vector<std::string> more, std::unordered_set<std::string>& seen,
             std::vector<std::string>& ids) {
  for (auto& id : more) {
    if (seen.insert(id).second) ids.push_back(std::move(id));
  }
}

// Lines of help are broken by hand: CLI11 2.1 does not, and there are 54 columns for them.
constexpr std::array every_option{
    OptionSpec{"hours", 0, Takes::number, "N", selection,
               "Delete sessions created more than N hours ago;\n"
               "may be fractional. 0: all dated before now, uploads\n"
               "in flight included. Default: 24",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.says_what = true;
                 draft.options.hours = number(setting, std::numeric_limits<double>::max(),
                                              "a number of hours, 0 or more", chr::hours{1});
               }},
    OptionSpec{"orphans-only", 0, Takes::nothing, "", selection,
               "No age rule: remove only directories and records\n"
               "that have no session. --hours is then ignored",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.orphans_only = layer_if_yes(setting);
               }},
    OptionSpec{"session", 0, Takes::text, "ID|@FILE", selection,
               "Delete this session now, whatever its age, and no\n"
               "orphans. @FILE holds ids, one a line; @-: standard\n"
               "input. May be repeated. Not together with --hours\n"
               "or --orphans-only",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.is_named = true;
                 add_ids(ids_of(setting), draft.sessions_seen, draft.options.sessions);
               },
               Layers::command_line, OptionSpec::Repeat::yes},
    OptionSpec{"keep", 0, Takes::texts, "ID|@FILE", selection,
               "Never delete this session by age. May be repeated;\n"
               "what environment and file keep is kept as well",
               [](const Setting& setting, PartialOptions& draft) {
                 add_ids(ids_to_keep(setting), draft.keep_seen, draft.options.keep);
               },
               Layers::all, OptionSpec::Repeat::adds_up},

    OptionSpec{"app-dir", 0, Takes::text, "DIR", places, "The app's root folder. Default: .",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.app_dir = setting.text;
               }},
    OptionSpec{"database", 0, Takes::text, "PATH|URL", places,
               "The session database: a path, sqlite:///… or\n"
               "postgresql://… Default: what the app uses, from\n"
               "DATABASE_URL, backend/.env or .env; else\n"
               "backend/calibration.db in the app's folder",
               [](const Setting& setting, PartialOptions& draft) { draft.database = setting; }},
    OptionSpec{"uploads", 0, Takes::text, "DIR", places,
               "The uploads folder. Default: uploads in the app's\n"
               "folder",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.uploads = setting.text;
               }},
    OptionSpec{"config", 0, Takes::text, "FILE", places,
               "Read options from this TOML file: the names here\n"
               "without the dashes, such as dry-run = true",
               nullptr, Layers::command_line},

    OptionSpec{"dry-run", 'n', Takes::nothing, "", safety,
               "Change nothing; list what would go, with sizes",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.dry_run = yes_or_no(setting) ? DryRun::yes : DryRun::no;
               }},
    OptionSpec{"yes", 'y', Takes::nothing, "", safety,
               "Do not ask. Asked is only where nothing says what\n"
               "goes, and input and errors are a terminal's",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.assumes_yes = yes_or_no(setting);
               }},
    OptionSpec{"max-delete", 0, Takes::whole_number_or_none, "N", safety,
               "Delete nothing if more than N sessions and\n"
               "directories would go. Default: none, no limit",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.max_delete = whole_number_or_none(setting, 0, no_limit);
               }},
    OptionSpec{"orphan-grace", 0, Takes::number, "MINUTES", safety,
               "Leave directories without a session alone that\n"
               "changed within this time. Default: 0",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.orphan_grace =
                     duration<chr::microseconds, chr::duration<double, std::ratio<60>>>(
                         setting, max_grace, "a number of minutes from 0 to 100 years");
               }},

    OptionSpec{"lock-wait", 0, Takes::number, "SECONDS", manner,
               "Wait this long for another pass, or for the app's\n"
               "write lock. Default: 30",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.lock_wait = duration<chr::milliseconds, chr::duration<double>>(
                     setting, max_wait, "a number of seconds from 0 to one year");
               }},
    OptionSpec{"jobs", 'j', Takes::whole_number, "N", manner,
               "Threads that delete and measure, 1 to 64. Default:\n"
               "chosen by file system and processors",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.jobs = static_cast<unsigned>(whole_number(setting, 1, max_jobs));
               }},
    OptionSpec{"vacuum", 0, Takes::nothing, "", manner,
               "Afterwards, give the database's free pages back;\n"
               "locks an SQLite database meanwhile",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.vacuum = yes_or_no(setting) ? Vacuum::yes : Vacuum::no;
               }},

    OptionSpec{"json", 0, Takes::nothing, "", output, "One JSON document on stdout instead of text",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.format = yes_or_no(setting) ? Format::json : Format::text;
               }},
    OptionSpec{"metrics", 0, Takes::text, "FILE", output,
               "Write Prometheus metrics of this pass to FILE, for\n"
               "node_exporter's textfile collector; not in a dry run",
               [](const Setting& setting, PartialOptions& draft) {
                 if (setting.text == "-") {
                   refuse(setting, "writes a file: name one, such as /var/lib/…/cleanup.prom");
                 }
                 draft.options.metrics = setting.text;
               }},
    OptionSpec{
        "quiet", 'q', Takes::nothing, "", output, "Print only warnings and errors",
        [](const Setting& setting, PartialOptions& draft) { draft.quiet = layer_if_yes(setting); }},
    OptionSpec{"verbose", 'v', Takes::nothing, "", output, "Name each session and directory",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.verbose = layer_if_yes(setting);
               }},
    OptionSpec{"progress", 0, Takes::text, "WHEN", output,
               "Progress on stderr: auto, always or never; auto is\n"
               "only on a terminal, after 1 s. Default: auto",
               [](const Setting& setting, PartialOptions& draft) {
                 draft.options.progress = when(setting);
               }},
    OptionSpec{
        "color", 0, Takes::text, "WHEN", output,
        "Colors: auto, always or never; NO_COLOR is\n"
        "honoured. Default: auto",
        [](const Setting& setting, PartialOptions& draft) { draft.options.color = when(setting); }},

    OptionSpec{"help", 'h', Takes::nothing, "", information, "Print this text", nullptr,
               Layers::command_line, OptionSpec::Repeat::yes},
    OptionSpec{"version", 'V', Takes::nothing, "", information, "Print name and version", nullptr,
               Layers::command_line, OptionSpec::Repeat::yes},

    // For programs only: CLI11 leaves an option without a group out of the help. The second one is
    // what a pass before told as `proof`, for the app's adapter, which makes one pass of two.
    OptionSpec{"complete-sessions", 0, Takes::nothing, "", "", "", nullptr, Layers::command_line},
    OptionSpec{
        "proof", 0, Takes::text, "TEXT", "", "",
        [](const Setting& setting, PartialOptions& draft) { draft.options.proof = setting.text; },
        Layers::command_line},
};

}  // namespace

std::span<const OptionSpec> option_table() { return every_option; }

const OptionSpec* find_option(std::string_view name) {
  const auto* const found = std::ranges::find(every_option, name, &OptionSpec::name);
  return found == every_option.end() ? nullptr : found;
}

const OptionSpec* similar_option(std::string_view typed, OptionSpec::Layers layers) {
  // One letter of a short word in common is chance.
  std::size_t nearest = std::min<std::size_t>(2, typed.size() / 2);
  const OptionSpec* best = nullptr;
  for (const OptionSpec& option : every_option) {
    const std::size_t to_typed = distance(typed, option.name);
    if (option.group.empty() || option.layers < layers || to_typed > nearest ||
        (best != nullptr && to_typed == nearest)) {
      continue;
    }
    nearest = to_typed;
    best = &option;
  }
  return best;
}

}  // namespace calib
