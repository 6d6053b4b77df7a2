// --session and --keep: ids in a file, and sessions that do not expire.
#include <sys/stat.h>

#include <cctype>
#include <fstream>
#include <thread>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;
using Catch::Matchers::ContainsSubstring;

namespace {

fs::path list_file(const App& app, const std::string& text) {
  const auto path = app.scratch("ids");
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string at_sign(const fs::path& file) { return "@" + file.string(); }

}  // namespace

TEST_CASE("the sessions go that a file names, one a line", "[tool][session][id-list]") {
  App app;
  const auto first = app.add_session(1);
  const auto second = app.add_session(48);
  const auto third = app.add_session(48);
  app.add_directory("left-behind");
  const auto file =
      list_file(app, "# chosen by hand\n" + first + "\r\n\n  " + second + "\t\n" + first);
  const auto ran = run_on(app, {"--session", at_sign(file)});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(app.is_gone(first));
  CHECK(app.is_gone(second));
  CHECK(app.is_whole(third));
  CHECK(app.entries().contains("left-behind"));
}

TEST_CASE("a file and an id add up", "[tool][session][id-list]") {
  App app;
  const auto first = app.add_session(1);
  const auto second = app.add_session(1);
  const auto file = list_file(app, first + "\n");
  CHECK(run_on(app, {"--session", at_sign(file), "--session", second}).status == 0);
  CHECK(app.session_ids().empty());
}

TEST_CASE("a list without an id deletes nothing at all", "[tool][session][id-list]") {
  App app;
  const auto old_one = app.add_session(48);
  app.add_directory("left-behind");
  const auto before = app.fingerprint();
  const auto file = list_file(app, GENERATE("", "\n\n", "# none\n"));
  const auto ran = run_on(app, {"--session", at_sign(file)});
  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 0 old sessions"));
  CHECK(changes_since(before, app) == none);
  CHECK(app.is_whole(old_one));
}

TEST_CASE("ids come through a pipe, too", "[tool][session][id-list]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto pipe = app.scratch("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const std::jthread writer([&] { std::ofstream(pipe) << old_one << "\n"; });
  CHECK(run_on(app, {"--session", at_sign(pipe)}, {.seconds = 30}).status == 0);
  CHECK(app.is_gone(old_one));
}

TEST_CASE("a list that cannot be used is wrong usage, and deletes nothing",
          "[tool][session][keep][id-list]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto before = app.fingerprint();
  const auto refused = [&](const std::string& value, const std::vector<std::string>& parts) {
    const auto option = GENERATE("--session", "--keep");
    const auto ran = run_on(app, {option, value});
    CAPTURE(option, value);
    CHECK(ran.status == 2);
    CHECK(is_one_error(ran, parts));
    CHECK(changes_since(before, app) == none);
  };
  refused("@" + app.scratch("missing").string(), {"missing", "No such file"});
  refused("@" + app.root().string(), {"Is a directory"});
  refused("@", {"@FILE"});
  refused(at_sign(list_file(app, "\"" + old_one + "\"\n")), {"quotes", "jq"});
  refused(at_sign(list_file(app, std::string("a\0b\n", 4))), {":1", "NUL"});
}

TEST_CASE("standard input is read once", "[tool][session][keep][id-list]") {
  App app;
  const auto old_one = app.add_session(48);
  CHECK(is_one_error(run_on(app, {"--keep", "@-", "--session", "@-"}), {"once"}));
  CHECK(app.is_whole(old_one));
}

TEST_CASE("a session that is to be kept does not expire", "[tool][keep]") {
  App app;
  const auto kept = app.add_session(48);
  const auto in_file = app.add_session(48);
  const auto by_variable = app.add_session(48);
  const auto in_config = app.add_session(48);
  const auto old_one = app.add_session(48);
  app.add_directory("left-behind");
  const auto config = app.scratch("cleanup.toml");
  std::ofstream(config) << "keep = ['" << in_config << "']\nhours = 24\n";
  // All of them hold: who adds one must not lose the others.
  const auto dry = GENERATE(true, false);
  std::vector<std::string> arguments{
      "--keep", kept, "--keep", at_sign(list_file(app, in_file)), "--config", config.string()};
  if (dry) arguments.emplace_back("--dry-run");
  const auto ran = run_on(app, arguments, {.environment = {{"CALIB_CLEANUP_KEEP", by_variable}}});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK_THAT(ran.out, ContainsSubstring("elete 1 old session\n") ||
                          ContainsSubstring("eleted 1 old session\n"));
  CHECK_THAT(ran.out, ContainsSubstring("but for 4 sessions to keep (--keep)"));
  CHECK(app.is_gone(old_one) == !dry);
  for (const auto& id : {kept, in_file, by_variable, in_config}) CHECK(app.is_whole(id));
  CHECK(app.entries().contains("left-behind") == dry);
}

TEST_CASE("who is to be kept and is not there is told of", "[tool][keep]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto other = app.add_session(48);
  const auto missing = new_uuid();
  // Upper or lower case is the same.
  const auto ran = run_on(app, {"--keep", missing, "--keep", upper(other)});
  CHECK(ran.status == 0);
  CHECK(is_one_warning(ran, {"--keep " + missing, "no such session"}));
  CHECK_THAT(ran.out, ContainsSubstring("but for 1 session to keep (--keep)"));
  CHECK(app.is_gone(old_one));
  CHECK(app.is_whole(other));
}

TEST_CASE("whose id begins with what is to be kept stays, and is told of", "[tool][keep]") {
  App app;
  const auto meant = app.add_session(48);
  const auto other = app.add_session(48);
  REQUIRE(meant.substr(0, 6) != other.substr(0, 6));
  const auto ran = run_on(app, {"--keep", meant.substr(0, 6)});
  CHECK(ran.status == 1);
  CHECK_THAT(ran.err, ContainsSubstring("session " + meant + ": --keep " + meant.substr(0, 6) +
                                        " is only the beginning of its id"));
  CHECK(app.is_whole(meant));
  CHECK(app.is_gone(other));
}

TEST_CASE("what is no whole id protects nobody, and is wrong usage", "[tool][keep]") {
  App app;
  const auto first = app.add_session(48);
  const auto second = app.add_session(48);
  const auto before = app.fingerprint();
  const std::vector<std::string> values{
      first + "," + second,  first + " " + second,     "'" + first + "'",
      first.substr(0, 8),    first.substr(0, 35),      first + " # the good one",
      "[" + first,           "uploads/" + first,       first + "/",
      "{" + first + "}",     first.substr(0, 6) + "*", "urn:uuid:" + first,
      "\xe2\x80\x9c" + first};
  for (const auto& value : values) {
    for (const bool in_file : {false, true}) {
      CAPTURE(value, in_file);
      const auto given = in_file ? at_sign(list_file(app, value + "\n")) : value;
      const auto ran = run_on(app, {"--keep", given});
      CHECK(ran.status == 2);
      CHECK(is_one_error(ran, {"--keep", "no whole id"}));
    }
  }
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a list of none to keep is wrong usage: what was to fill it has failed",
          "[tool][keep][id-list]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto ran = run_on(app, {"--keep", at_sign(list_file(app, GENERATE("", "# none\n")))});
  CHECK(ran.status == 2);
  CHECK(is_one_error(ran, {"holds no id"}));
  CHECK(app.is_whole(old_one));
}

TEST_CASE("whatever a list's lines end with, and before its first one", "[tool][keep][id-list]") {
  App app;
  const auto first = app.add_session(48);
  const auto second = app.add_session(48);
  const std::string end = GENERATE("\n", "\r\n", "\r");
  const auto list = list_file(app, "\xef\xbb\xbf" + first + end + second + end);
  const auto ran = run_on(app, {"--keep", at_sign(list)});
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(app.is_whole(first));
  CHECK(app.is_whole(second));
}

TEST_CASE("one id in --session and --keep is wrong usage", "[tool][keep]") {
  App app;
  const auto old_one = app.add_session(48);
  const auto ran = run_on(app, {"--session", old_one},
                          {.environment = {{"CALIB_CLEANUP_KEEP", upper(old_one)}}});
  CHECK(ran.status == 2);
  CHECK(is_one_error(ran, {old_one, "--session", "--keep"}));
  CHECK(app.is_whole(old_one));
  // Of another one it says nothing.
  CHECK(run_on(app, {"--session", old_one, "--keep", new_uuid()}).status == 0);
  CHECK(app.is_gone(old_one));
}
