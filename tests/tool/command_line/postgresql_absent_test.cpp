// What a URL of PostgreSQL comes to where there is nothing that could reach a server: one line that
// says what is missing, and nothing else in its place.
#include <fstream>

#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// An app with a session that is due in SQLite's file, where the tool finds it if it falls back.
struct AbsentApp : App {
  AbsentApp() { add_session(48); }

  void check_refused(const RunOptions& options, const std::string& reason) const {
    const auto before = fingerprint();
    for (const auto* url : {"postgresql://app:s3cret@db/calib", "postgres://app:s3cret@db/calib",
                            "postgresql+psycopg2://app:s3cret@db/calib"}) {
      for (const auto* mode : {"--dry-run", "--quiet"}) {
        auto with_variable = options;
        with_variable.environment["DATABASE_URL"] = url;
        for (const auto& ran : {run_on(*this, {mode, "--database", url}, options),
                                run_on(*this, {mode}, with_variable)}) {
          INFO(url << ": " << ran.err);
          CHECK(ran.status == 3);
          CHECK(ran.out.empty());
          CHECK(is_one_error(ran, {"://app@db/calib: ", reason}));
        }
      }
    }
    CHECK(changes_since(before, *this) == std::vector<std::string>{});
  }
};

}  // namespace

#ifdef WITHOUT_POSTGRESQL
TEST_CASE("a tool that was built without libpq's header serves no PostgreSQL, and says so",
          "[tool][database][sqlite]") {
  RunOptions options;
  options.executable = WITHOUT_POSTGRESQL;
  const AbsentApp app;
  app.check_refused(options, "no PostgreSQL in it");
  CHECK(run_on(app, {}, options).status == 0);
  CHECK(app.session_ids().empty());
}
#endif

#ifdef WITH_POSTGRESQL
TEST_CASE("where libpq is not installed, PostgreSQL is refused with what to install",
          "[tool][database][sqlite]") {
  const AbsentApp app;
  // The first file of that name that the loader finds, and no library.
  std::ofstream(app.scratch("libpq.so.5")) << "no library";
  RunOptions options;
  options.environment["LD_LIBRARY_PATH"] = app.scratch("").string();
  app.check_refused(options, "libpq5");
  CHECK(run_on(app, {}, options).status == 0);
  CHECK(app.session_ids().empty());
}
#endif
