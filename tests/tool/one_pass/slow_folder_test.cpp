// A folder that answers slowly, as one on another machine may: the app does not wait for it.
#include <algorithm>
#include <string>
#include <vector>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;

namespace {

/// Each rename takes as long as a transaction is to take in all.
constexpr auto slow_renames = "renameat2:*:slow";

}  // namespace

TEST_CASE("where moving a directory takes long a transaction waits for no second one",
          "[tool][slices]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  Running running(pass_arguments(backlog), at(std::string(slow_renames) + " renameat2:2:stop"));
  REQUIRE(running.wait_until_stopped());
  const auto& due = backlog.due();
  CHECK(std::count_if(due.begin(), due.end(),
                      [&](const auto& id) { return backlog.has_session(id); }) == 1);
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("whom a row of a session holds that is put off waits for that one", "[tool][slices]") {
  const Backlog backlog;
  const bool is_first_held = GENERATE(true, false);
  const auto& held = backlog.due()[is_first_held ? 0 : 1];
  const auto& other = backlog.due()[is_first_held ? 1 : 0];
  backlog.execute(
      "CREATE TABLE holders (keeper VARCHAR(36) REFERENCES sessions (id), "
      "goes VARCHAR(36) REFERENCES sessions (id) ON DELETE CASCADE)");
  backlog.execute("INSERT INTO holders VALUES ('" + held + "', '" + other + "')");
  const auto ran = run_pass(backlog, {}, slow_renames);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(backlog.is_gone(held));
  CHECK(backlog.is_gone(other));
}

TEST_CASE("sessions whose rows hold each other go together, however slow that is",
          "[tool][slices]") {
  const Backlog backlog;
  const auto& due = backlog.due();
  backlog.execute(
      "CREATE TABLE pairs (session_id VARCHAR(36) REFERENCES sessions (id) ON DELETE CASCADE, "
      "other VARCHAR(36) REFERENCES sessions (id))");
  backlog.execute("INSERT INTO pairs VALUES ('" + due[0] + "', '" + due[1] + "'), ('" + due[1] +
                  "', '" + due[0] + "')");
  const auto ran = run_pass(backlog, {}, slow_renames);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  for (const auto& id : due) CHECK(backlog.is_gone(id));
}

TEST_CASE("who is put off goes all the same where another one beside it is held for good",
          "[tool][slices]") {
  Backlog backlog;
  std::vector<std::string> due = backlog.due();
  due.push_back(backlog.add_session(72, 2));
  const auto& held = due.at(GENERATE(0U, 1U, 2U));
  backlog.execute("CREATE TABLE holders (keeper VARCHAR(36) REFERENCES sessions (id))");
  backlog.execute("INSERT INTO holders VALUES ('" + held + "')");
  const auto ran = run_pass(backlog, {}, slow_renames);
  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {held, "holders.keeper"}));
  CHECK(has_line(ran.out, "Cleanup incomplete: Deleted 2 old sessions"));
  for (const auto& id : due) CHECK(backlog.is_gone(id) == (id != held));
  CHECK(backlog.has_session(held));
  CHECK(fs::exists(backlog.uploads() / held));
}
