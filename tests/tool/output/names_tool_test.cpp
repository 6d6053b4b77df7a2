// Names on disk and in the database are bytes: none of them may drive a terminal, end a line, or
// break the document.
#include <fmt/format.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

// An escape sequence, a newline, a byte that is no UTF-8, the C1 form of the escape, and a
// character that makes the rest of the line read backwards.
const std::string hostile = "a\x1b[31mb\nc\xff\xc2\x9bm\xe2\x80\xae!";
const std::string shown = R"(a\x1b[31mb\x0ac\xff\xc2\x9bm\xe2\x80\xae!)";
// JSON has an escape of its own for control characters; what is no UTF-8 it cannot hold.
const std::string in_json = "a\x1b[31mb\nc\\xff\xc2\x9bm\xe2\x80\xae!";

/// The same as far as the database takes it: PostgreSQL refuses what is no UTF-8.
std::string as_stored(std::string text, const std::string& byte = "\xff") {
  if (on_postgresql()) text.erase(text.find(byte), byte.size());
  return text;
}
const std::string hostile_id = as_stored(hostile);
const std::string shown_id = as_stored(shown, R"(\xff)");
const std::string id_in_json = as_stored(in_json, R"(\xff)");

/// Printable ASCII and newlines, nothing else: all names here are of these or escaped.
bool is_plain(const std::string& text) {
  for (const char c : text) {
    if (c != '\n' && (c < ' ' || c > '~')) return false;
  }
  return true;
}

/// No raw control bytes; parse() refuses what is no UTF-8.
bool is_clean_json(const std::string& text) {
  for (const char c : text) {
    if (c != '\n' && static_cast<unsigned char>(c) < ' ') return false;
  }
  return nlohmann::json::accept(text);
}

/// A session, an orphan, a table of leaked rows, and a session that has to stay, all with such
/// names.
struct HostileApp : App {
  HostileApp() {
    add_session_row(hostile_id, sql_text(hours_ago(48)));
    add_directory(hostile_id, 1);
    add_directory("orphan " + hostile, 1);
    execute(
        "CREATE TABLE \"table \x1b[2J\" (id INTEGER PRIMARY KEY, session_id VARCHAR "
        "REFERENCES sessions (id) ON DELETE CASCADE)");
    execute("INSERT INTO \"table \x1b[2J\" VALUES (1, " + sql_text(new_uuid()) + ")");
    add_session_row("kept " + hostile_id, sql_text(hours_ago(48)));
    fs::create_directory_symlink(outside(), uploads() / ("kept " + hostile_id));
  }
};

void check_error(const Ran& ran) {
  CHECK(ran.status == 1);
  CHECK(is_plain(ran.err));
  CHECK(is_one_error(ran, {"kept " + shown_id, "symbolic link"}));
}

}  // namespace

TEST_CASE("hostile names are escaped in text and on stderr", "[tool][names]") {
  HostileApp app;
  const auto dry = run_on(app, {"--dry-run"});
  INFO(dry.out);
  check_error(dry);
  CHECK(is_plain(dry.out));
  CHECK_THAT(dry.out, Catch::Matchers::ContainsSubstring("\n" + shown_id));
  CHECK_THAT(dry.out, Catch::Matchers::ContainsSubstring("\norphan " + shown));
  CHECK_THAT(dry.out, Catch::Matchers::ContainsSubstring("\ntable \\x1b[2J "));

  const auto real = run_on(app, {"--verbose", "--color", "never"});
  INFO(real.out);
  check_error(real);
  CHECK(is_plain(real.out));
  CHECK_THAT(real.out, Catch::Matchers::ContainsSubstring("Deleted session " + shown_id + " ("));
  CHECK_THAT(real.out, Catch::Matchers::ContainsSubstring("Deleted orphaned directory orphan " +
                                                          shown + " ("));
  CHECK(app.entries() == std::set{"kept " + hostile_id});
  CHECK(app.session_ids() == std::set{"kept " + hostile_id});
  CHECK(fs::exists(app.outside() / "sentinel"));
}

TEST_CASE("hostile names leave the JSON document valid, and can be told from it", "[tool][names]") {
  const HostileApp app;
  for (const bool dry : {true, false}) {
    std::vector<std::string> arguments{"--json"};
    if (dry) arguments.emplace_back("--dry-run");
    const auto ran = run_on(app, arguments);
    check_error(ran);
    CHECK(is_clean_json(ran.out));
    const auto json = ran.json();
    REQUIRE(json.at("sessions").size() == 1);
    CHECK(json.at("sessions").front().at("id") == id_in_json);
    CHECK(json.at("sessions").front().at("directory") == id_in_json);
    REQUIRE(json.at("orphans").size() == 1);
    CHECK(json.at("orphans").front().at("name") == "orphan " + in_json);
    CHECK(json.at("orphaned_records") == nlohmann::json{{"table \x1b[2J", 1}});
    CHECK(json.at("errors").front().at("path") ==
          (app.uploads() / ("kept " + id_in_json)).string());
    // It may go to a log as it is.
    CHECK(is_plain(json.at("message").get<std::string>()));
  }
}

TEST_CASE("hostile names deep in what cannot be removed break no line, document or metrics file",
          "[tool][names]") {
  App app;
  app.add_session(1);
  const std::string longest(255, 'n');
  const auto inner = app.uploads() / "orphan" / hostile / longest / ("in " + hostile);
  fs::create_directories(inner);
  std::ofstream(inner / hostile) << "stays";
  app.give_away();
  fs::permissions(inner, fs::perms(0500));
  const auto metrics = app.scratch("metrics");
  fs::create_directory(metrics);
  fs::permissions(metrics, fs::perms(0777));
  const auto place = fmt::format("orphan/{0}/{1}/in {0}/{0}", shown, longest);
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--metrics", (metrics / "calib.prom").string()});
    const auto ran = run_on(app, arguments, {.as = As::nobody});
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_plain(ran.err));
    CHECK(is_one_error(ran, {place + ": it could not be removed: Permission denied"}));
    return ran;
  };

  CHECK(is_plain(run({"--verbose"}).out));
  const auto json = run({"--json"});
  CHECK(is_clean_json(json.out));
  CHECK(json.json().at("errors").front().at("path") ==
        (app.uploads() / fmt::format("orphan/{0}/{1}/in {0}/{0}", in_json, longest)).string());
  CHECK(fs::exists(inner / hostile));
  const auto samples = bytes_in(metrics / "calib.prom");
  CHECK(is_plain(samples));
  for (const auto& line : lines_of(samples)) {
    CHECK((line.starts_with("# ") || line.starts_with("calib_cleanup_")));
  }
  fs::permissions(inner, fs::perms(0700));
}

TEST_CASE("hostile names on a terminal leave nothing but the tool's own colours", "[tool][names]") {
  HostileApp app;
  const auto ran = run_on(app, {"--dry-run", "--color", "always"});
  // What is left without them.
  const auto plain = [](std::string text) {
    for (std::size_t at = 0; (at = text.find("\x1b[", at)) != std::string::npos;) {
      const auto end = text.find_first_not_of("0123456789;", at + 2);
      REQUIRE(end != std::string::npos);
      REQUIRE(text[end] == 'm');
      text.erase(at, end + 1 - at);
    }
    return text;
  };
  CHECK(ran.out != plain(ran.out));
  CHECK(is_plain(plain(ran.out)));
  // But for how full the disk is, which changes at any time.
  const auto without_disk = [](const std::string& text) {
    return text.substr(0, text.find("\nDisk  "));
  };
  const auto never = run_on(app, {"--dry-run", "--color", "never"}).out;
  CHECK(without_disk(plain(ran.out)) == without_disk(never));
}

TEST_CASE("a date that is no text anybody can read does not break the document", "[tool][names]") {
  App app(schemas_with_dates_as_text().front());
  const auto id = new_uuid();
  app.add_session_row(id, sql_text(hostile_id));
  const auto ran = run_on(app, {"--json", "--session", id});
  CHECK(ran.status == 0);
  CHECK(is_clean_json(ran.out));
  CHECK(ran.json().at("sessions").front().at("created_at") == id_in_json);
}

TEST_CASE("hostile words of the command line, the environment and the paths are escaped",
          "[tool][names]") {
  App app;
  const auto check = [](const Ran& ran, int status) {
    CHECK(ran.status == status);
    CHECK(ran.out.empty());
    CHECK(is_plain(ran.err));
    CHECK(is_one_error(ran, {R"(\x1b[31mb\x0ac\xff)"}));
  };
  check(run_on(app, {"--" + hostile}), 2);
  check(run_on(app, {hostile}), 2);
  check(run_on(app, {"--hours", hostile}), 2);
  check(run_on(app, {}, {.environment = {{"CALIB_CLEANUP_" + hostile, "1"}}}), 2);
  check(run_on(app, {}, {.environment = {{"CALIB_CLEANUP_HOURS", hostile}}}), 2);
  check(run_on(app, {"--config", hostile}), 2);
  check(run_on(app, {"--uploads", hostile}), 3);
  check(run_on(app, {"--database", hostile}), 3);
  const auto unknown = run_on(app, {"--session", hostile});
  CHECK(unknown.status == 1);
  CHECK(is_plain(unknown.err));
  CHECK(is_one_error(unknown, {"session " + shown}));
  const auto json = run_on(app, {"--uploads", hostile, "--json"});
  CHECK(json.status == 3);
  CHECK(is_clean_json(json.out));
  CHECK(json.json().at("uploads") == (fs::current_path() / in_json).string());
}

TEST_CASE("names in other scripts stay as they are", "[tool][names]") {
  App app;
  app.add_session(1);
  const std::string name =
      "\xd0\xba\xd0\xb0\xd0\xbb\xd0\xb8\xd0\xb1\xd1\x80 \xe6\xa0\xa1\xe6\xad\xa3";
  app.add_directory(name, 1);
  const auto text = run_on(app, {"--dry-run"});
  CHECK_THAT(text.out, Catch::Matchers::ContainsSubstring("\n" + name + " "));
  CHECK(run_on(app, {"--json"}).json().at("orphans").front().at("name") == name);
  CHECK(app.entries().size() == 1);
}
