// Environment and configuration file, as parse_options reads them.
#include "cli/settings.hpp"

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cli/command_line.hpp"
#include "cli/option_table.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"

using namespace calib;
using calib::test::TempDir;
using Catch::Matchers::ContainsSubstring;
using namespace std::chrono_literals;

namespace {

using Text = std::string;
using Arguments = std::vector<std::string>;

std::filesystem::path here(const Text& name) { return std::filesystem::current_path() / name; }

Options parse(Arguments arguments, const Environment& environment = {}) {
  arguments.emplace_back("--app-dir=/nonexistent/app");
  return std::get<Options>(parse_options(arguments, environment));
}

Options parse_environment(const Text& entry) { return parse({}, {entry}); }

/// The message of the UsageError that this must end in.
Text refused(const Arguments& arguments, const Environment& environment) {
  try {
    parse_options(arguments, environment);
  } catch (const UsageError& error) {
    CHECK(Text(error.what()).find('\n') == Text::npos);
    return error.what();
  }
  FAIL("no UsageError");
  return "";
}

}  // namespace

TEST_CASE("environment: every option but --session and --config") {
  CHECK(parse_environment("CALIB_CLEANUP_HOURS=48").hours == 48);
  CHECK(parse_environment("CALIB_CLEANUP_ORPHANS_ONLY=1").mode == Mode::orphans_only);
  CHECK(parse_environment("CALIB_CLEANUP_DRY_RUN=1").dry_run == DryRun::yes);
  CHECK(parse_environment("CALIB_CLEANUP_DATABASE=x.db").database.path == here("x.db"));
  CHECK(parse_environment("CALIB_CLEANUP_DATABASE=x.db").database.named == Named::by_option);
  CHECK(parse_environment("CALIB_CLEANUP_UPLOADS=a=b").uploads == here("a=b"));
  CHECK(parse_environment("CALIB_CLEANUP_ORPHAN_GRACE=1").orphan_grace == 1min);
  CHECK(parse_environment("CALIB_CLEANUP_MAX_DELETE=5").max_delete == 5U);
  CHECK(parse_environment("CALIB_CLEANUP_LOCK_WAIT=1").lock_wait == 1s);
  CHECK(parse_environment("CALIB_CLEANUP_JOBS=2").jobs == 2);
  CHECK(parse_environment("CALIB_CLEANUP_VACUUM=on").vacuum == Vacuum::yes);
  CHECK(parse_environment("CALIB_CLEANUP_JSON=true").format == Format::json);
  CHECK(parse_environment("CALIB_CLEANUP_METRICS=m").metrics == here("m"));
  CHECK(parse_environment("CALIB_CLEANUP_QUIET=yes").verbosity == Verbosity::quiet);
  CHECK(parse_environment("CALIB_CLEANUP_VERBOSE=1").verbosity == Verbosity::verbose);
  CHECK(parse_environment("CALIB_CLEANUP_PROGRESS=never").progress == When::never);
  CHECK(parse_environment("CALIB_CLEANUP_COLOR=always").color == When::always);
  const auto parsed = parse_options({}, {"CALIB_CLEANUP_APP_DIR=/nonexistent/b"});
  CHECK(std::get<Options>(parsed).app_dir == "/nonexistent/b");
  CHECK(std::get<Options>(parsed).uploads == "/nonexistent/b/uploads");
}

TEST_CASE("environment: flags are read in every spelling") {
  for (const Text yes : {"1", "true", "yes", "on", "TRUE", "Yes", "oN"}) {
    CHECK(parse_environment("CALIB_CLEANUP_DRY_RUN=" + yes).dry_run == DryRun::yes);
  }
  for (const Text no : {"0", "false", "no", "off", "FALSE", "No"}) {
    CHECK(parse_environment("CALIB_CLEANUP_DRY_RUN=" + no).dry_run == DryRun::no);
  }
  for (const Text wrong : {"2", "y", "enabled", " 1", "01", "-1"}) {
    CHECK_THAT(refused({}, {"CALIB_CLEANUP_DRY_RUN=" + wrong}),
               ContainsSubstring("CALIB_CLEANUP_DRY_RUN"));
  }
}

TEST_CASE("environment: values are checked, and the variable is named") {
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_HOURS=x"}), ContainsSubstring("CALIB_CLEANUP_HOURS"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_JOBS=0"}), ContainsSubstring("CALIB_CLEANUP_JOBS"));
  CHECK_THAT(parse_environment("CALIB_CLEANUP_DATABASE=mysql://h").database_error.value_or(""),
             ContainsSubstring("CALIB_CLEANUP_DATABASE"));
}

TEST_CASE("environment: unknown, empty and repeated variables") {
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_DRYRUN=1"}),
             ContainsSubstring("CALIB_CLEANUP_DRYRUN") &&
                 ContainsSubstring("did you mean CALIB_CLEANUP_DRY_RUN?"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_HUORS=1"}), ContainsSubstring("CALIB_CLEANUP_HOURS?"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_hours=1"}), ContainsSubstring("CALIB_CLEANUP_HOURS?"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_FROBNICATE=1"}),
             ContainsSubstring("CALIB_CLEANUP_FROBNICATE") && !ContainsSubstring("mean"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_=1"}), ContainsSubstring("CALIB_CLEANUP_ "));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_DRYRUN="}), ContainsSubstring("CALIB_CLEANUP_DRYRUN"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_DRYRUN"}), ContainsSubstring("CALIB_CLEANUP_DRYRUN"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_SESION=a"}), !ContainsSubstring("mean"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_SESSION=a"}), ContainsSubstring("--session"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_CONFIG=a"}), ContainsSubstring("--config"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_HELP=1"}), ContainsSubstring("CALIB_CLEANUP_HELP"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_HOURS="}),
             ContainsSubstring("CALIB_CLEANUP_HOURS is empty: unset it or give it a value"));
  CHECK_THAT(refused({"--hours=1"}, {"CALIB_CLEANUP_HOURS="}), ContainsSubstring("is empty"));
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_HOURS=1", "CALIB_CLEANUP_HOURS=1"}),
             ContainsSubstring("CALIB_CLEANUP_HOURS") && ContainsSubstring("twice"));
  CHECK_THAT(refused({}, {"DATABASE_URL=a", "DATABASE_URL=b"}),
             ContainsSubstring("DATABASE_URL") && ContainsSubstring("twice"));
}

TEST_CASE("environment: what is none of ours is left alone") {
  const Options options =
      parse({}, {"CALIB_CLEANUP_BIN=/usr/bin/x", "HOURS=1", "CALIB_HOURS=1", "calib_cleanup_x=1",
                 "PATH=", "", "=x", "NO_COLOR=1", "NO_COLOR=1"});
  CHECK(options.hours == 24);
  CHECK(parse({}, {"CALIB_CLEANUP_BIN="}).hours == 24);
}

TEST_CASE("environment: NO_COLOR settles --color auto") {
  CHECK(parse({}, {"NO_COLOR=1"}).color == When::never);
  CHECK(parse({}, {"NO_COLOR="}).color == When::automatic);
  CHECK(parse({}, {"NO_COLORS=1"}).color == When::automatic);
  CHECK(parse({"--color=auto"}, {"NO_COLOR=1"}).color == When::never);
  CHECK(parse({"--color=always"}, {"NO_COLOR=1"}).color == When::always);
}

TEST_CASE("environment: DATABASE_URL is the app's, and weaker than --database") {
  const Options options = parse({}, {"DATABASE_URL=sqlite:///x.db"});
  CHECK(options.database.path == "/nonexistent/app/x.db");
  CHECK(options.database.named == Named::by_app);
  CHECK(parse({"--database=y"}, {"DATABASE_URL=mysql://h"}).database.path == here("y"));
  CHECK(parse({}, {"DATABASE_URL="}).database.named == Named::no);
  CHECK(parse({}, {"DATABASE_URL=mysql://h"}).database_error);
}

TEST_CASE("layers: command line beats environment beats file") {
  const TempDir folder;
  const auto file = folder.put("c.toml", "hours = 1\njobs = 1\nlock-wait = 1\ndry-run = true\n");
  const Text config = "--config=" + file.string();
  const Options options =
      parse({config, "--hours=3"}, {"CALIB_CLEANUP_HOURS=2", "CALIB_CLEANUP_JOBS=2"});
  CHECK(options.hours == 3);
  CHECK(options.jobs == 2);
  CHECK(options.lock_wait == 1s);
  CHECK(options.dry_run == DryRun::yes);
  CHECK(parse({config}, {"CALIB_CLEANUP_DRY_RUN=0"}).dry_run == DryRun::no);
  CHECK(parse({config, "--dry-run=no"}).dry_run == DryRun::no);
  CHECK(parse({"--hours=3"}, {"CALIB_CLEANUP_HOURS=x"}).hours == 3);
}

TEST_CASE("layers: the stronger of quiet and verbose wins") {
  CHECK(parse({"-v"}, {"CALIB_CLEANUP_QUIET=1"}).verbosity == Verbosity::verbose);
  CHECK(parse({"-q"}, {"CALIB_CLEANUP_VERBOSE=1"}).verbosity == Verbosity::quiet);
  CHECK_THAT(refused({}, {"CALIB_CLEANUP_VERBOSE=1", "CALIB_CLEANUP_QUIET=1"}),
             ContainsSubstring("--quiet"));
}

TEST_CASE("file: every option but session and config") {
  const TempDir folder;
  const auto file = folder.put("c.toml",
                               "# a comment\n"
                               "hours = 1.5\norphans-only = false\ndry-run = true\n"
                               "app-dir = '/nonexistent/b'\ndatabase = \"sqlite:///a # b.db\"\n"
                               "uploads = \"up # loads\"\norphan-grace = 2\nmax-delete = 1_000\n"
                               "lock-wait = 0.5\njobs = 4\nvacuum = true\njson = true\n"
                               "metrics = \"m\"\nquiet = true\nverbose = false\n"
                               "progress = \"never\"\ncolor = \"always\"\n");
  const auto parsed = parse_options({"--config", file.string()}, {});
  const Options& options = std::get<Options>(parsed);
  CHECK(options.hours == 1.5);
  CHECK(options.mode == Mode::expired);
  CHECK(options.dry_run == DryRun::yes);
  CHECK(options.app_dir == "/nonexistent/b");
  CHECK(options.database.path == "/nonexistent/b/a # b.db");
  CHECK(options.database.named == Named::by_option);
  CHECK(options.uploads == here("up # loads"));
  CHECK(options.orphan_grace == 2min);
  CHECK(options.max_delete == 1000U);
  CHECK(options.lock_wait == 500ms);
  CHECK(options.jobs == 4);
  CHECK(options.vacuum == Vacuum::yes);
  CHECK(options.format == Format::json);
  CHECK(options.metrics == here("m"));
  CHECK(options.verbosity == Verbosity::quiet);
  CHECK(options.progress == When::never);
  CHECK(options.color == When::always);
}

TEST_CASE("file: an empty one says nothing, decimals keep their value") {
  const TempDir folder;
  CHECK(parse({"--config", folder.put("c.toml", "").string()}).hours == 24);
  CHECK(parse({"--config", folder.put("c.toml", "hours = 1e-7").string()}).hours == 1e-7);
  CHECK(parse({"--config", folder.put("c.toml", "hours = 0.1").string()}).hours == 0.1);
}

TEST_CASE("file: what is refused, with file, line and key") {
  struct Case {
    Text line;
    Text said;
  };
  const auto expected = GENERATE(
      Case{"session = 'a'", "session cannot stand in a file"},
      Case{"config = 'a'", "config cannot stand in a file"},
      Case{"help = true", "help cannot stand"}, Case{"dry_run = true", "did you mean dry-run?"},
      Case{"dryrun = true", "did you mean dry-run?"}, Case{"frobnicate = 1", "frobnicate is not"},
      Case{"n = true", "n is not an option"}, Case{"hours = '3'", "hours must be a number"},
      Case{"hours = true", "hours must be a number"}, Case{"hours = -1", "hours must be"},
      Case{"hours = inf", "hours must be"}, Case{"hours = nan", "hours must be"},
      Case{"hours = [3]", "hours must be one value"}, Case{"hours = []", "hours must be"},
      Case{"dry-run = []", "dry-run must be"}, Case{"dryrun = []", "did you mean dry-run?"},
      Case{"hours = {a = 3}", "hours is a table"},
      Case{"hours = 2025-01-01", "hours is a table, an array or a date"},
      Case{"[cleanup]\nhours = 3", "cleanup is a table"}, Case{"lock.wait = 3", "lock is a table"},
      Case{"[[hours]]", "hours is a table"}, Case{"dry-run = 1", "dry-run must be true or false"},
      Case{"dry-run = 'true'", "dry-run must be true or false"},
      Case{"max-delete = 1.0", "max-delete must be a whole number"},
      Case{"max-delete = -1", "max-delete must be a whole number"},
      Case{"jobs = 0", "jobs must be"}, Case{"uploads = 3", "uploads must be text in quotes"},
      Case{"uploads = ''", "uploads is empty"},
      Case{"uploads = \"a\\u0000\"", "uploads holds a NUL"},
      Case{"color = 'red'", "color must be auto"}, Case{"hours = 07", "write lines such as"},
      Case{"hours", "write lines such as"}, Case{"app-dir = '.'", "redefine"},
      Case{"database = postgresql://u:secret@h", "write lines such as"},
      Case{"uploads = \"\xff\"", "utf-8"});
  const TempDir folder;
  const auto file = folder.put("c.toml", "app-dir = '/nonexistent'\n" + expected.line + "\n");
  CAPTURE(expected.line);
  const Text message = refused({"--config", file.string()}, {});
  CHECK_THAT(message, ContainsSubstring(file.string() + ":2: "));
  CHECK_THAT(message, ContainsSubstring(expected.said));
  CHECK_THAT(message, !ContainsSubstring("secret"));
}

TEST_CASE("file: what cannot be read") {
  const TempDir folder;
  const auto fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_THAT(refused({"--config", fifo.string()}, {}),
             ContainsSubstring(fifo.string()) && ContainsSubstring("regular file"));
  CHECK_THAT(refused({"--config", folder.path().string()}, {}),
             ContainsSubstring(folder.path().string()) && ContainsSubstring("directory"));
  CHECK_THAT(refused({"--config", (folder / "none").string()}, {}),
             ContainsSubstring((folder / "none").string()) && ContainsSubstring("No such file"));
  std::filesystem::create_symlink("loop", folder / "loop");
  CHECK_THAT(refused({"--config", (folder / "loop").string()}, {}), ContainsSubstring("loop"));
}

TEST_CASE("file: a database that cannot be served is named by its line") {
  const TempDir folder;
  const auto file = folder.put("c.toml", "\ndatabase = 'mysql://u:secret@h'\n");
  CHECK_THAT(parse({"--config", file.string()}).database_error.value_or(""),
             ContainsSubstring(file.string() + ":2: database") && !ContainsSubstring("secret"));
}

TEST_CASE("option table: names and letters are unambiguous, each option is stored or acted on") {
  std::string letters;
  std::vector<std::string_view> acted_on;
  for (const OptionSpec& spec : option_table()) {
    CAPTURE(spec.name);
    CHECK(find_option(spec.name) == &spec);
    if (spec.letter != 0) {
      CHECK(letters.find(spec.letter) == Text::npos);
      letters += spec.letter;
    }
    if (spec.store == nullptr) acted_on.push_back(spec.name);
  }
  CHECK(letters == "nyjqvhV");
  CHECK(acted_on ==
        std::vector<std::string_view>{"config", "help", "version", "complete-sessions"});
}
