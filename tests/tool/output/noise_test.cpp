// One cause, one line: what is told of many files that have the same trouble, and where the pass
// ends for it.
#include <fmt/format.h>

#include <fstream>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// The tool on `app` with one thread, so that its calls come in the same order every time.
Ran run_with_fault(const App& app, const std::string& fault,
                   std::vector<std::string> arguments = {}) {
  RunOptions options;
  options.interpose = fault;
  arguments.insert(arguments.end(), {"--jobs", "1"});
  return run_on(app, arguments, options);
}

}  // namespace

TEST_CASE("what lies on a read-only file system is named once, and the rest goes",
          "[tool][files][noise]") {
  App app;
  app.add_session(2);
  const auto snapshot = app.add_directory("snapshot", 0);
  app.add_directory("snapshot/inner", 0);
  for (const auto& directory : {snapshot, snapshot / "inner"}) {
    for (int i = 0; i < 50; ++i) std::ofstream(directory / fmt::format("snap_{}", i)).flush();
  }
  app.add_directory("plain");
  // Of a snapshot within a Btrfs file system it is the files that tell.
  const auto fault = GENERATE(as<std::string>{}, "unlinkat/snap_:*:30", "rmdirat/inner:*:30");
  CAPTURE(fault);

  const auto ran = run_with_fault(app, fault);

  INFO(ran.err);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {snapshot.string() + ": it could not be removed", "Read-only"}));
  CHECK_FALSE(app.entries().contains("plain"));
}

TEST_CASE("where the whole folder has become read-only the pass ends, with one line",
          "[tool][files][noise]") {
  App app;
  app.add_session(2);
  for (int i = 0; i < 30; ++i) app.add_directory(fmt::format("orphan-{}", i));
  SECTION("among the orphans") {
    const auto ran = run_with_fault(app, "unlinkat:*:30 rmdirat:*:30 faccessat:2+:30");
    INFO(ran.err);
    CHECK(ran.status == 1);
    CHECK(is_one_error(ran, {app.uploads().string() + ": ", "Read-only", "mount it writable"}));
  }
  SECTION("among the sessions") {
    for (int i = 0; i < 30; ++i) app.add_session(48);
    for (int i = 0; i < 30; ++i) fs::remove_all(app.uploads() / fmt::format("orphan-{}", i));
    const auto before = app.entries();
    const auto ran = run_with_fault(app, "faccessat:2+:30");
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {app.uploads().string() + ": ", "Read-only", "mount it writable"}));
    CHECK(app.entries() == before);
    CHECK(app.session_ids().size() == 31);
  }
}

TEST_CASE("of many with one trouble ten are named, and the others counted",
          "[tool][files][noise]") {
  App app;
  app.add_session(2);
  SECTION("files") {
    const auto orphan = app.add_directory("orphan", 30);
    const auto ran = run_with_fault(app, "unlinkat/image_:*:1", {"--json"});
    CHECK(ran.status == 1);
    const auto said = diagnostics_of(ran);
    CHECK(said.errors.size() == 11);
    CHECK(lines_with(said.errors, orphan.string()) == 10);
    CHECK(said.errors.back() == "… and 20 more of that kind");
    CHECK(ran.json().at("message").get<std::string>().starts_with("Cleanup incomplete: 30 errors"));
  }
  SECTION("sessions, of which the document names each") {
    for (int i = 0; i < 30; ++i) app.add_session(48);
    const auto metrics = app.scratch("metrics.prom");
    const auto ran =
        run_with_fault(app, "renameat2:*:1", {"--json", "--metrics", metrics.string()});
    CHECK(ran.status == 1);
    const auto said = diagnostics_of(ran);
    CHECK(said.errors.size() == 11);
    CHECK(said.errors.back() == "… and 20 more of that kind");
    CHECK(ran.json().at("errors").size() == 30);
    CHECK(has_line(bytes_in(metrics), "calib_cleanup_errors{kind=\"directory\",uploads=\"" +
                                          app.uploads().string() + "\"} 30"));
  }
}

TEST_CASE("directories that cannot be measured are warned of ten times",
          "[tool][files][noise][threads]") {
  App app;
  for (int i = 0; i < 30; ++i) app.add_session(2);
  const auto ran = run_with_fault(app, "statx/image_000:*:5", {"--json"});
  CHECK(ran.status == 0);
  const auto said = diagnostics_of(ran);
  CHECK(said.warnings.size() == 11);
  CHECK(said.warnings.back() == "… and 20 more of that kind");
}
