// The command line, and what the options mean together. Environment and file: see settings_test.
#include "cli/command_line.hpp"

#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "model/options.hpp"
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

/// Away from any app that stands in the working directory.
Options parse(Arguments arguments, const Environment& environment = {}) {
  arguments.insert(arguments.begin(), "--app-dir=/nonexistent/app");
  return std::get<Options>(parse_options(arguments, environment));
}

Text information(const Arguments& arguments, const Environment& environment = {}) {
  return std::get<InformationText>(parse_options(arguments, environment)).text;
}

/// The message of the UsageError that `arguments` must end in.
Text refused(const Arguments& arguments) {
  try {
    parse_options(arguments, {});
  } catch (const UsageError& error) {
    CHECK(Text(error.what()).find('\n') == Text::npos);
    return error.what();
  }
  FAIL("no UsageError");
  return "";
}

}  // namespace

TEST_CASE("options: defaults") {
  const TempDir folder;
  const auto parsed = parse_options({"--database", (folder / "x.db").string()}, {});
  const Options& options = std::get<Options>(parsed);
  CHECK(options.mode == Mode::expired);
  CHECK(options.hours == 24);
  CHECK(options.sessions.empty());
  CHECK(options.dry_run == DryRun::no);
  CHECK(options.app_dir == std::filesystem::current_path());
  CHECK(options.uploads == std::filesystem::current_path() / "uploads");
  CHECK(options.orphan_grace == 0us);
  CHECK_FALSE(options.max_delete.has_value());
  CHECK(options.lock_wait == 30s);
  CHECK(options.jobs == 0);
  CHECK(options.vacuum == Vacuum::no);
  CHECK(options.format == Format::text);
  CHECK_FALSE(options.metrics.has_value());
  CHECK(options.verbosity == Verbosity::normal);
  CHECK(options.progress == When::automatic);
  CHECK(options.color == When::automatic);
}

TEST_CASE("options: every option of the command line") {
  CHECK(parse({"--hours", "1.5"}).hours == 1.5);
  CHECK(parse({"--orphans-only"}).mode == Mode::orphans_only);
  CHECK(parse({"--dry-run"}).dry_run == DryRun::yes);
  CHECK(parse({"-n"}).dry_run == DryRun::yes);
  CHECK(parse({"--database=x.db"}).database.path == here("x.db"));
  CHECK(parse({"--database=x.db"}).database.named == Named::on_command_line);
  CHECK(parse({"--uploads", "up"}).uploads == here("up"));
  CHECK(parse({}).uploads == "/nonexistent/app/uploads");
  CHECK(parse({}).database.path == "/nonexistent/app/backend/calibration.db");
  CHECK(parse({}).database.named == Named::no);
  CHECK(parse({"--orphan-grace=0.5"}).orphan_grace == 30s);
  CHECK(parse({"--max-delete=0"}).max_delete == 0U);
  CHECK(parse({"--lock-wait=0.25"}).lock_wait == 250ms);
  CHECK(parse({"--jobs=64"}).jobs == 64);
  CHECK(parse({"-j", "1"}).jobs == 1);
  CHECK(parse({"-j2"}).jobs == 2);
  CHECK(parse({"--vacuum"}).vacuum == Vacuum::yes);
  CHECK(parse({"--json"}).format == Format::json);
  CHECK(parse({"--metrics", "m.prom"}).metrics == here("m.prom"));
  CHECK(parse({"-q"}).verbosity == Verbosity::quiet);
  CHECK(parse({"--quiet"}).verbosity == Verbosity::quiet);
  CHECK(parse({"-v"}).verbosity == Verbosity::verbose);
  CHECK(parse({"--verbose"}).verbosity == Verbosity::verbose);
  CHECK(parse({"--progress=always"}).progress == When::always);
  CHECK(parse({"--progress=never"}).progress == When::never);
  CHECK(parse({"--color=always"}).color == When::always);
  CHECK(parse({"--color", "auto"}).color == When::automatic);

  const Options options = parse({"-nvj3", "--vacuum"});
  CHECK(options.dry_run == DryRun::yes);
  CHECK(options.verbosity == Verbosity::verbose);
  CHECK(options.jobs == 3);
  CHECK(parse({"--"}).mode == Mode::expired);
}

TEST_CASE("options: relative paths start at the working directory") {
  const auto parsed = parse_options({"--app-dir", "nonexistent/app"}, {});
  const Options& options = std::get<Options>(parsed);
  CHECK(options.app_dir == here("nonexistent/app"));
  CHECK(options.uploads == here("nonexistent/app/uploads"));
  CHECK(options.database.path == here("nonexistent/app/backend/calibration.db"));
  CHECK(options.database.display == options.database.path.string());
  // What stands behind a name may be a link, and `..` lead elsewhere.
  CHECK(parse({"--uploads=./a/./b/"}).uploads.native() == here("a/b").native());
  CHECK(parse({"--uploads=../x"}).uploads.native() == here("").parent_path().parent_path() / "x");
  CHECK(parse({"--uploads=a/../b"}).uploads.native() == here("a/../b").native());
}

TEST_CASE("options: flags can be switched off by name") {
  CHECK(parse({"--dry-run=no"}).dry_run == DryRun::no);
  CHECK(parse({"--json=ON"}).format == Format::json);
  CHECK(parse({"--orphans-only=0"}).mode == Mode::expired);
  CHECK_THAT(refused({"--dry-run=maybe"}), ContainsSubstring("--dry-run"));
}

TEST_CASE("options: --session") {
  const Options options = parse({"--session", "a", "--session=b", "--session", "a"});
  CHECK(options.mode == Mode::named);
  CHECK(options.sessions == Arguments{"a", "b"});
  CHECK(parse({"--session=-n"}).sessions == Arguments{"-n"});
  CHECK(parse({"--session=-n"}).dry_run == DryRun::no);
  CHECK(parse({"--session=--dry-run"}).sessions == Arguments{"--dry-run"});
  CHECK(parse({"--session=[a,b]"}).sessions == Arguments{"[a,b]"});
  CHECK(parse({"--session=a=b"}).sessions == Arguments{"a=b"});
  CHECK_THAT(refused({"--session", "a", "--hours", "1"}),
             ContainsSubstring("--session") && ContainsSubstring("--hours"));
  CHECK_THAT(refused({"--orphans-only", "--session", "a"}),
             ContainsSubstring("--session") && ContainsSubstring("--orphans-only"));
}

TEST_CASE("options: a session beats hours and orphans-only of environment and file") {
  const TempDir folder;
  const auto file = folder.put("c.toml", "orphans-only = true\nhours = 2\n");
  CHECK(parse({"--session=a"}, {"CALIB_CLEANUP_HOURS=2"}).mode == Mode::named);
  CHECK(parse({"--session=a"}, {"CALIB_CLEANUP_ORPHANS_ONLY=1"}).mode == Mode::named);
  CHECK(parse({"--session=a", "--config", file.string()}).mode == Mode::named);
  CHECK(parse({"--config", file.string()}).mode == Mode::orphans_only);
}

TEST_CASE("options: --hours is ignored beside --orphans-only") {
  CHECK(parse({"--orphans-only", "--hours=0"}).mode == Mode::orphans_only);
  CHECK(parse({"--orphans-only"}, {"CALIB_CLEANUP_HOURS=1"}).mode == Mode::orphans_only);
}

TEST_CASE("options: what may stand together") {
  CHECK(parse({"-n", "--vacuum"}).vacuum == Vacuum::yes);
  CHECK(parse({"-n", "--metrics=m"}).metrics == here("m"));
  CHECK(parse({"--json", "-q"}).format == Format::json);
  CHECK_THAT(refused({"-q", "-v"}), ContainsSubstring("--quiet") && ContainsSubstring("--verbose"));
  CHECK(parse({"-q", "--verbose=no"}).verbosity == Verbosity::quiet);
}

TEST_CASE("options: numbers") {
  struct Case {
    Text argument;
    bool good;
  };
  const auto expected =
      GENERATE(Case{"--hours=0", true}, Case{"--hours=-0", true}, Case{"--hours=1e3", true},
               Case{"--hours=.5", true}, Case{"--hours=1e300", true}, Case{"--hours=-1", false},
               Case{"--hours=-1e-9", false}, Case{"--hours=nan", false}, Case{"--hours=inf", false},
               Case{"--hours=1e999", false}, Case{"--hours=+1", false}, Case{"--hours= 1", false},
               Case{"--hours=1 ", false}, Case{"--hours=1h", false}, Case{"--hours=1,5", false},
               Case{"--hours=0x10", false}, Case{"--hours=abc", false},
               Case{"--orphan-grace=0", true}, Case{"--orphan-grace=52560000", true},
               Case{"--orphan-grace=52560001", false}, Case{"--orphan-grace=-1", false},
               Case{"--orphan-grace=nan", false}, Case{"--lock-wait=0", true},
               Case{"--lock-wait=31536000", true}, Case{"--lock-wait=31536001", false},
               Case{"--lock-wait=-0.1", false}, Case{"--max-delete=18446744073709551615", true},
               Case{"--max-delete=18446744073709551616", false}, Case{"--max-delete=-1", false},
               Case{"--max-delete=1.0", false}, Case{"--max-delete=1e3", false},
               Case{"--max-delete=ten", false}, Case{"--jobs=0", false}, Case{"--jobs=65", false},
               Case{"--jobs=-1", false}, Case{"-j=4", false}, Case{"--progress=sometimes", false},
               Case{"--progress=ALWAYS", false}, Case{"--color=yes", false});
  CAPTURE(expected.argument);
  if (expected.good) {
    CHECK_NOTHROW(parse({expected.argument}));
  } else {
    const Text name = expected.argument.substr(0, expected.argument.find('='));
    CHECK_THAT(refused({expected.argument}), ContainsSubstring(name == "-j" ? "--jobs" : name));
  }
}

TEST_CASE("options: bounds keep their values") {
  CHECK(parse({"--hours=1e300"}).hours == 1e300);
  CHECK(parse({"--orphan-grace=52560000"}).orphan_grace == 24h * 36500);
  CHECK(parse({"--lock-wait=31536000"}).lock_wait == 24h * 365);
  CHECK(parse({"--max-delete=18446744073709551615"}).max_delete == 18446744073709551615U);
}

TEST_CASE("options: given twice") {
  for (const Text option : {"--hours=1", "--dry-run", "--jobs=2", "--database=x", "--config=x"}) {
    CAPTURE(option);
    CHECK_THAT(refused({option, option}),
               ContainsSubstring(option.substr(0, option.find('='))) && ContainsSubstring("twice"));
  }
  CHECK_THAT(refused({"-n", "--dry-run"}), ContainsSubstring("--dry-run"));
  CHECK_THAT(refused({"-j1", "--jobs", "1"}), ContainsSubstring("--jobs"));
}

TEST_CASE("options: who may be asked has said neither what goes nor that he is not to be") {
  CHECK(parse({}).may_ask);
  CHECK(parse({"--keep", "x", "-v"}).may_ask);
  CHECK_FALSE(parse({"--hours", "24"}).may_ask);
  CHECK_FALSE(parse({"--orphans-only"}).may_ask);
  CHECK_FALSE(parse({"--session", "x"}).may_ask);
  CHECK_FALSE(parse({"-y"}).may_ask);
}

TEST_CASE("options: --max-delete none takes a limit back") {
  CHECK_FALSE(parse({"--max-delete", "none"}).max_delete);
  CHECK_THAT(refused({"--max-delete", "nothing"}), ContainsSubstring("or none, not 'nothing'"));
}

TEST_CASE("options: a value that is missing never eats the next option") {
  for (const Text option : {"--hours", "--session", "--keep", "--app-dir", "--database",
                            "--uploads", "--orphan-grace", "--max-delete", "--lock-wait", "--jobs",
                            "--metrics", "--progress", "--color", "--config"}) {
    CAPTURE(option);
    CHECK_THAT(refused({option}), ContainsSubstring(option + " needs a value"));
    CHECK_THAT(refused({option, "--dry-run"}), ContainsSubstring(option + " needs a value"));
    CHECK_THAT(refused({option, "-n"}), ContainsSubstring(option + " needs a value"));
    CHECK_THAT(refused({option, ""}), ContainsSubstring(option + " needs a value"));
    CHECK_THAT(refused({option, "--", "x"}), ContainsSubstring("'x'"));
    CHECK_THAT(refused({option + "="}), ContainsSubstring(option + "="));
    CHECK_THAT(refused({option + "=", "x"}), ContainsSubstring(option + "="));
    CHECK_THAT(refused({option, "---dry-run"}), ContainsSubstring("---dry-run"));
  }
  CHECK_THAT(refused({"--dry-run="}), ContainsSubstring("--dry-run="));
}

TEST_CASE("options: NUL bytes are refused") {
  CHECK_THAT(refused({Text("--uploads=a\0b", 13)}),
             ContainsSubstring("--uploads") && ContainsSubstring("NUL"));
  CHECK_THAT(refused({Text("--session=a\0b", 13)}), ContainsSubstring("NUL"));
}

TEST_CASE("options: unknown ones, prefixes and stray words") {
  CHECK_THAT(refused({"--dryrun"}), ContainsSubstring("--dryrun: did you mean --dry-run?"));
  CHECK_THAT(refused({"--hour", "1"}), ContainsSubstring("did you mean --hours?"));
  CHECK_THAT(refused({"--Hours", "1"}), ContainsSubstring("did you mean --hours?"));
  CHECK_THAT(refused({"--sesion=a"}), ContainsSubstring("did you mean --session?"));
  CHECK_THAT(refused({"--dry"}), ContainsSubstring("--dry:") && !ContainsSubstring("mean"));
  CHECK_THAT(refused({"--xyz"}), ContainsSubstring("--xyz:") && !ContainsSubstring("mean"));
  CHECK_THAT(refused({"-x"}), ContainsSubstring("-x:"));
  CHECK_THAT(refused({"-nx"}), ContainsSubstring("-x:"));
  CHECK_THAT(refused({"a"}), ContainsSubstring("'a'"));
  CHECK_THAT(refused({""}), ContainsSubstring("unexpected"));
  CHECK_THAT(refused({"-"}), ContainsSubstring("'-'"));
  CHECK_THAT(refused({"-n", "yes"}), ContainsSubstring("'yes'"));
  CHECK_THAT(refused({"--", "--dry-run"}), ContainsSubstring("--dry-run"));
}

TEST_CASE("options: a password on the command line is not repeated") {
  for (const Text stray :
       {"postgresql://u:secret@h", "--postgresql://u:secret@h", "-postgresql://u:secret@h",
        "--databse=postgresql://u:secret@h", "---x=postgresql://u:secret@h", "--p://u:secret@h="}) {
    CAPTURE(stray);
    CHECK_THAT(refused({stray}), !ContainsSubstring("secret"));
  }
  CHECK_THAT(parse({"--database=mysql://u:secret@h"}).database_error.value_or(""),
             ContainsSubstring("--database") && !ContainsSubstring("secret"));
}

TEST_CASE("options: help and version win over everything") {
  CHECK(information({"--version"}) == "calib-cleanup " CALIB_CLEANUP_VERSION "\n");
  CHECK(information({"-V"}) == information({"--version"}));
  CHECK(information({"-h"}) == information({"--help"}));
  CHECK(information({"-nh"}) == information({"--help"}));
  CHECK(information({"--version", "--help"}) == information({"--help"}));
  CHECK(information({"--help", "--help"}) == information({"--help"}));
  for (const Arguments& wrong : {Arguments{"--bogus"}, Arguments{"--hours"}, Arguments{"--hours="},
                                 Arguments{"x"}, Arguments{"--jobs=0"}, Arguments{"-q", "-v"},
                                 Arguments{"--config=/nonexistent"}, Arguments{"---x"}}) {
    Arguments arguments = wrong;
    arguments.emplace_back("--help");
    CHECK(information(arguments) == information({"--help"}));
  }
  CHECK(information({"--help"}, {"CALIB_CLEANUP_X=1", "DATABASE_URL=x"}) == information({"-h"}));
  CHECK(information({"-V"}, {"CALIB_CLEANUP_HOURS="}) == information({"-V"}));
  CHECK(parse({"--session=--help"}).sessions == Arguments{"--help"});
}

TEST_CASE("options: the help text names every option and fits a terminal") {
  std::istringstream help(information({"--help"}));
  Text line;
  Text all;
  while (std::getline(help, line)) {
    CAPTURE(line);
    CHECK(line.size() < 80);
    CHECK((line.empty() || line.back() != ' '));
    all += line + '\n';
  }
  for (const Text option : {"--hours N ",
                            "--orphans-only ",
                            "--session ID|@FILE ",
                            "--keep ID|@FILE ",
                            "-y,--yes ",
                            "-n,--dry-run ",
                            "--app-dir DIR ",
                            "--database PATH|URL ",
                            "--uploads DIR ",
                            "--orphan-grace MINUTES ",
                            "--max-delete N ",
                            "--lock-wait SECONDS ",
                            "-j,--jobs N ",
                            "--vacuum ",
                            "--json ",
                            "--metrics FILE ",
                            "-q,--quiet ",
                            "-v,--verbose ",
                            "--progress WHEN ",
                            "--color WHEN ",
                            "--config FILE ",
                            "-h,--help ",
                            "-V,--version "}) {
    CHECK_THAT(all, ContainsSubstring("  " + option));
  }
  CHECK_THAT(all, ContainsSubstring("Usage: calib-cleanup [OPTIONS]\n"));
  CHECK_THAT(all, !ContainsSubstring("\n\n\n"));
}
