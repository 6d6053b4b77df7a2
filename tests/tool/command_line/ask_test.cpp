// Who is asked before anything is deleted, and what the answer does.
#include <signal.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/terminal.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string prompt = " for good? [y/N] ";

struct AskedApp : App {
  AskedApp() : old_one(add_session(48)), young(add_session(1)) { add_directory("left-behind"); }
  [[nodiscard]] Words on(Words words) const {
    words.insert(words.begin(), {"--app-dir", root().string()});
    return words;
  }
  std::string old_one;
  std::string young;
};

/// The tool at a terminal, which answers nothing: what it wrote, to its end.
std::string unasked(const AskedApp& app, const Words& words, const Words& variables = {}) {
  return OnTerminal(app.on(words), variables, Input::terminal).read_all();
}

}  // namespace

TEST_CASE("at a terminal, where nothing says what goes, a person is shown it and asked",
          "[tool][ask]") {
  const AskedApp app;
  const auto before = app.fingerprint();
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  const auto shown = tool.read_until(prompt);
  CHECK_THAT(shown, ContainsSubstring("Would delete 1 old session"));
  CHECK_THAT(shown, ContainsSubstring("Would delete 1 directory"));
  CHECK_THAT(shown, ContainsSubstring("(24 hours ago)"));
  CHECK_THAT(shown, ContainsSubstring(app.uploads().string()));
  CHECK(changes_since(before, app) == none);
  // Nobody waits for the answer but the tool.
  CHECK(run_on(app, {"--orphans-only", "--lock-wait", "0"}).status == 0);

  SECTION("yes") {
    tool.type(GENERATE("y\n", "Yes\n", "YES\n"));
    CHECK_THAT(tool.read_rest(), ContainsSubstring("Cleanup completed: Deleted 1 old session"));
    CHECK(tool.status() == 0);
    CHECK(app.is_gone(app.old_one));
    CHECK(app.is_whole(app.young));
  }
  SECTION("anything else") {
    // Ctrl-D ends the line, and twice the input.
    tool.type(GENERATE("\n", "n\n", "yes please\n", "\x04", "y\x04\x04"));
    CHECK_THAT(tool.read_rest(), ContainsSubstring("Nothing was deleted"));
    CHECK(tool.status() == 0);
    CHECK(app.is_whole(app.old_one));
  }
  SECTION("a signal") {
    REQUIRE(::kill(tool.pid(), SIGTERM) == 0);
    CHECK(tool.status() == 128 + SIGTERM);
    CHECK(app.is_whole(app.old_one));
  }
}

TEST_CASE("after the answer it is planned anew", "[tool][ask]") {
  AskedApp app;
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  tool.read_until(prompt);
  app.execute("UPDATE sessions SET created_at = (SELECT created_at FROM sessions WHERE id = '" +
              app.young + "') WHERE id = '" + app.old_one + "'");
  tool.type("y\n");
  tool.read_rest();
  CHECK(tool.status() == 0);
  CHECK(app.is_whole(app.old_one));
  CHECK_FALSE(app.entries().contains("left-behind"));
}

TEST_CASE("as much as was shown, but something else, does not go", "[tool][ask]") {
  AskedApp app;
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  tool.read_until(prompt);
  const auto later = app.add_session(48);
  CHECK(run_on(app, {"--session", app.old_one}).status == 0);
  tool.type("y\n");
  CHECK_THAT(tool.read_rest(), ContainsSubstring("something else would go"));
  CHECK(tool.status() == 1);
  CHECK(app.is_whole(later));
  CHECK(app.entries().contains("left-behind"));
}

TEST_CASE("nor do records that have leaked meanwhile", "[tool][ask]") {
  AskedApp app;
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  tool.read_until(prompt);
  app.add_image_rows(new_uuid(), 5);
  tool.type("y\n");
  tool.read_rest();
  CHECK(tool.status() == 1);
  CHECK(app.is_whole(app.old_one));
}

TEST_CASE("what an interrupted pass has aside is given back without a question", "[tool][ask]") {
  AskedApp app;
  fs::rename(app.uploads() / app.young, app.staged(app.young));
  app.execute("UPDATE sessions SET images_dir = '/elsewhere' WHERE id = '" + app.old_one + "'");
  fs::remove_all(app.uploads() / "left-behind");
  fs::remove_all(app.uploads() / app.old_one);
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  CHECK(tool.read_rest().find(prompt) == std::string::npos);
  CHECK(tool.status() == 1);  // the old one is left whole
  CHECK(app.is_whole(app.young));
}

TEST_CASE("more than was shown does not go", "[tool][ask]") {
  AskedApp app;
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  tool.read_until(prompt);
  const auto later = app.add_session(48);
  tool.type("y\n");
  CHECK_THAT(tool.read_rest(),
             ContainsSubstring("something else would go by now than what was shown"));
  CHECK(tool.status() == 1);
  CHECK(app.is_whole(later));
  CHECK(app.is_whole(app.old_one));
}

TEST_CASE("nor does as much of another app, to which the folder's link leads by then",
          "[tool][ask]") {
  const AskedApp app;
  const AskedApp other;
  const auto link = app.scratch("current");
  fs::create_directory_symlink(app.root(), link);
  const OnTerminal tool({"--app-dir", link.string()}, {}, Input::terminal);
  tool.read_until(prompt);
  fs::remove(link);
  fs::create_directory_symlink(other.root(), link);
  tool.type("y\n");
  tool.read_rest();
  CHECK(tool.status() == 1);
  CHECK(other.is_whole(other.old_one));
  CHECK(app.is_whole(app.old_one));
}

TEST_CASE("what was typed before the question is no answer", "[tool][ask]") {
  const AskedApp app;
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  tool.type("y\n");
  tool.read_until(prompt);
  tool.type("n\n");
  CHECK_THAT(tool.read_rest(), ContainsSubstring("Nothing was deleted"));
  CHECK(tool.status() == 0);
  CHECK(app.is_whole(app.old_one));
}

TEST_CASE("what a plan warns of is said before the question", "[tool][ask]") {
  AskedApp app;
  app.add_session_row(new_uuid(), "NULL");
  const OnTerminal tool(app.on({"--keep", new_uuid()}), {}, Input::terminal);
  const auto shown = tool.read_until(prompt);
  CHECK_THAT(shown, ContainsSubstring("1 session is kept: created_at is missing"));
  CHECK_THAT(shown, ContainsSubstring("there is no such session"));
  tool.type("n\n");
  tool.read_rest();
  CHECK(tool.status() == 0);
}

TEST_CASE("over the limit there is nothing to ask", "[tool][ask]") {
  const AskedApp app;
  const OnTerminal tool(app.on({"--max-delete", "1"}), {}, Input::terminal);
  const auto text = tool.read_rest();
  CHECK(text.find(prompt) == std::string::npos);
  CHECK_THAT(text, ContainsSubstring("a pass would delete none of these"));
  CHECK(tool.status() == 1);
  CHECK(app.is_whole(app.old_one));
}

TEST_CASE("nobody is asked who has said what goes", "[tool][ask]") {
  const AskedApp app;
  const std::vector<Words> ways{
      {"--hours", "24"}, {"--orphans-only"}, {"--session", app.old_one}, {"-y"}, {"--yes"}};
  const auto& words = ways.at(GENERATE(range(0U, 5U)));
  const auto text = unasked(app, words);
  CHECK(text.find(prompt) == std::string::npos);
  CHECK_THAT(text, ContainsSubstring("Cleanup completed"));
}

TEST_CASE("nor where the environment or the file says it", "[tool][ask]") {
  const AskedApp app;
  const auto variable =
      GENERATE("CALIB_CLEANUP_HOURS=24", "CALIB_CLEANUP_ORPHANS_ONLY=1", "CALIB_CLEANUP_YES=1");
  CHECK(unasked(app, {}, {variable}).find(prompt) == std::string::npos);
  const auto file = app.scratch("cleanup.toml");
  std::ofstream(file) << "hours = 24\n";
  CHECK(unasked(app, {"--config", file.string()}).find(prompt) == std::string::npos);
}

TEST_CASE("nobody is asked where no terminal is, or nothing would go", "[tool][ask]") {
  const AskedApp app;
  // Its stdin is none.
  CHECK(on_terminal(app.on({"--dry-run"})).find(prompt) == std::string::npos);
  CHECK(run_on(app, {}).status == 0);
  CHECK(app.is_gone(app.old_one));

  const auto text = unasked(app, {});
  CHECK(text.find(prompt) == std::string::npos);
  CHECK_THAT(text, ContainsSubstring("Cleanup completed: Deleted 0 old sessions"));
  CHECK(app.is_whole(app.young));
}

TEST_CASE("where a plan cannot be made there is nothing to ask", "[tool][ask]") {
  const AskedApp app;
  fs::remove(app.database());
  const OnTerminal tool(app.on({}), {}, Input::terminal);
  const auto text = tool.read_rest();
  CHECK(text.find(prompt) == std::string::npos);
  CHECK_THAT(text, ContainsSubstring("there is no database"));
  CHECK(tool.status() == 3);
}
