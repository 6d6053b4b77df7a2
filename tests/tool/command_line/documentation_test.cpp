// The manual, --help and the promised options say the same.
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "support/catch.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

using Names = std::set<std::string>;

// What the tool promises; a new option is added here, in the manual and in the table of options.
const Names promised_options{"app-dir",   "color",      "config",  "database",     "dry-run",
                             "help",      "hours",      "jobs",    "json",         "keep",
                             "lock-wait", "max-delete", "metrics", "orphan-grace", "orphans-only",
                             "progress",  "quiet",      "session", "uploads",      "vacuum",
                             "verbose",   "version",    "yes"};
const Names promised_letters{"V", "h", "j", "n", "q", "v", "y"};

std::string text_of(const fs::path& path) {
  std::ifstream stream(path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

Names all_matches(const std::string& text, const std::regex& pattern) {
  Names names;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
    names.insert((*match)[1].str());
  }
  return names;
}

const std::string& manual() {
  static const std::string text = text_of(fs::path(SOURCE_DIR) / "man" / "calib-cleanup.8");
  return text;
}

/// The lines of the manual that begin an entry of an option.
std::string option_entries() {
  std::string entries;
  for (const auto& line : lines_of(manual())) {
    if (line.starts_with(".It Fl ")) entries += line + "\n";
  }
  return entries;
}

}  // namespace

TEST_CASE("option --help names exactly the promised options", "[documentation]") {
  const auto help = run_tool({"--help"});
  CHECK(help.status == 0);
  CHECK(all_matches(help.out, std::regex("\n  (?:-\\w,)?--([a-z-]+)")) == promised_options);
  CHECK(all_matches(help.out, std::regex("\n  -(\\w),")) == promised_letters);
}

TEST_CASE("the manual describes exactly the promised options", "[documentation]") {
  CHECK(all_matches(option_entries(), std::regex(" -([a-z][a-z-]+)")) == promised_options);
  CHECK(all_matches(option_entries(), std::regex("Fl (\\w) ,")) == promised_letters);
}

TEST_CASE("the manual and --help name the same defaults", "[documentation]") {
  const auto help = run_tool({"--help"}).out;
  const auto default_in_manual = [](const std::string& option) {
    const std::regex entry("\\.It Fl (?:\\w , )?-" + option +
                           "[^]*?The default is ?\n?([0-9]+|no limit)\\.");
    std::smatch match;
    const auto& text = manual();
    return std::regex_search(text, match, entry) ? match[1].str() : "nothing";
  };
  const auto default_in_help = [&](const std::string& option) {
    const std::regex entry("--" + option + " [^]*?Default:\\s+([0-9]+|no limit)");
    std::smatch match;
    return std::regex_search(help, match, entry) ? match[1].str() : "nothing";
  };
  for (const auto* option : {"hours", "max-delete", "orphan-grace", "lock-wait"}) {
    CAPTURE(option);
    CHECK(default_in_manual(option) == default_in_help(option));
    CHECK(default_in_manual(option) != "nothing");
  }
}

TEST_CASE("the manual has the sections that people look for", "[documentation]") {
  for (const auto* section :
       {"EXAMPLES", "EXIT STATUS", "FILES", "ENVIRONMENT", "ONE TRANSACTIONAL PASS",
        "WHAT IS NEVER TOUCHED", "WHAT IT SURVIVES"}) {
    CAPTURE(section);
    CHECK(has_line(manual(), std::string(".Sh ").append(section)));
  }
}

TEST_CASE("the manual names every exit status", "[documentation]") {
  const auto section = manual().substr(manual().find(".Sh EXIT STATUS"));
  for (const auto* entry : {".It 0", ".It 1", ".It 2", ".It 3", ".It 4", ".It 128+ Ns Ar n"}) {
    CAPTURE(entry);
    CHECK(has_line(section, entry));
  }
}

TEST_CASE("mandoc has nothing to say of the manual", "[documentation]") {
  const auto command = std::string("command -v mandoc >/dev/null || exit 77; out=$(mandoc -Tlint '")
                           .append(SOURCE_DIR)
                           .append("/man/calib-cleanup.8' 2>&1); test -z \"$out\"");
  const int status = std::system(command.c_str());
  if (WEXITSTATUS(status) == 77) {
    WARN("mandoc is not installed");
    return;
  }
  CHECK(status == 0);
}

TEST_CASE("every option but --session and --config can come from the environment",
          "[documentation]") {
  // An unknown variable is status 2; a known one with a value that fits is taken.
  App app;
  for (auto name : promised_options) {
    if (name == "help" || name == "version") continue;
    CAPTURE(name);
    const std::string value = name == "color" || name == "progress" ? "never"
                              : name == "app-dir"                   ? app.root().string()
                              : name == "uploads"                   ? app.uploads().string()
                              : name == "database"                  ? app.database_option()
                              : name == "metrics" ? app.scratch("metrics.prom").string()
                                                  : "1";
    const bool allowed = name != "session" && name != "config";
    for (auto& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
    const auto ran = run_on(app, {}, {.environment = {{"CALIB_CLEANUP_" + name, value}}});
    CHECK(ran.status == (allowed ? 0 : 2));
  }
}
