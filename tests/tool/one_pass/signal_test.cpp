// SIGINT, SIGTERM and SIGHUP, sent while the tool stands at a known point of its pass.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;
using Words = std::vector<std::string>;

namespace {

/// The points of a pass over a Backlog, in order.
constexpr auto before_it_looks = "flock:1:stop";
constexpr auto in_the_orphan = "unlinkat/image_:1:stop";
constexpr auto before_the_first_move = "renameat2:1:stop";
constexpr auto before_the_second_move = "renameat2:2:stop";
const std::string in_the_commit = at_commit("stop");
constexpr auto after_the_commit = "unlinkat/image_:3:stop";
constexpr auto in_the_purge = "unlinkat/image_:4:stop";

std::string name_of(int signal) {
  return signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGHUP";
}

void check_next_pass_settles(const Backlog& backlog, const std::string& settled) {
  const auto next = run_pass(backlog);
  CHECK(next.status == 0);
  CHECK(next.err.empty());
  CHECK(difference(state_of(backlog), settled) == none);
}

/// What is done with a signal, here and, where that is nothing, in the processes begun meanwhile.
class Disposition {
 public:
  Disposition(int number, void (*handler)(int)) : number_(number) {
    struct sigaction action {};
    action.sa_handler = handler;
    ::sigaction(number_, &action, &before_);
  }
  ~Disposition() { ::sigaction(number_, &before_, nullptr); }
  Disposition(const Disposition&) = delete;
  Disposition& operator=(const Disposition&) = delete;
  Disposition(Disposition&&) = delete;
  Disposition& operator=(Disposition&&) = delete;

 private:
  int number_;
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE("a signal stops a pass in a consistent state, says what was done, and the next goes on",
          "[tool][signals][threads]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const auto point =
      GENERATE(as<std::string>{}, before_it_looks, in_the_orphan, before_the_first_move,
               before_the_second_move, in_the_commit, in_the_purge);
  CAPTURE(signal, point);
  const Disposition hangup(SIGHUP, SIG_DFL);  // the tests themselves may run under nohup
  Running running(pass_arguments(backlog, {"--json"}), at(point));
  REQUIRE(running.wait_until_stopped());
  running.signal(signal);
  const auto ran = running.finish();

  CHECK(ran.status == 128 + signal);
  CHECK(backlog.faults(backlog) == none);
  const bool committed = !backlog.has_all_records(backlog);
  CHECK(ran.err == fmt::format("calib-cleanup: error: Stopped by {} after {} sessions; the next "
                               "pass goes on\n",
                               name_of(signal), committed ? 2 : 0));
  if (point == in_the_purge) CHECK(committed);
  if (point != in_the_purge && point != in_the_commit) {
    CHECK_FALSE(committed);
    for (const auto& id : backlog.due()) CHECK(backlog.is_whole(id));
  }
  const auto json = ran.json();
  CHECK(json.at("deleted_sessions") == (committed ? 2 : 0));
  CHECK(json.at("sessions").size() == (committed ? 2 : 0));
  CHECK(json.at("orphaned_records").size() == (committed ? 1 : 0));
  CHECK(json.at("deleted_orphaned_directories") == (backlog.entries().contains("orphan") ? 0 : 1));
  CHECK(json.at("message") == fmt::format("Stopped by {} after {} sessions; the next pass goes on",
                                          name_of(signal), committed ? 2 : 0));
  CHECK(json.at("staged").at("directories") == backlog.staged_names().size());
  CHECK(json.at("staged").at("allocated_bytes").is_number());
  check_next_pass_settles(backlog, settled);
}

TEST_CASE("the text of a pass that was stopped counts what was done", "[tool][signals][threads]") {
  const Backlog backlog;
  const auto [point, sessions] = GENERATE(table<std::string, int>(
      {{before_the_second_move, 0}, {after_the_commit, 2}, {in_the_purge, 2}}));
  Running running(pass_arguments(backlog), at(point));
  REQUIRE(running.wait_until_stopped());
  running.signal(SIGTERM);
  const auto ran = running.finish();
  CHECK(ran.status == 128 + SIGTERM);
  CHECK(has_line(ran.out, fmt::format("Cleanup stopped: Deleted {} old sessions", sessions)));
  CHECK(has_line(ran.out, "Orphaned file cleanup stopped: Deleted 1 directory"));
}

TEST_CASE("a pass that is stopped after its commit leaves the purge to the next one",
          "[tool][signals][threads]") {
  const Backlog backlog;
  Running running(pass_arguments(backlog), at(in_the_purge));
  REQUIRE(running.wait_until_stopped());
  running.signal(SIGTERM);
  const auto stopped = running.finish();
  CHECK(stopped.status == 128 + SIGTERM);
  std::size_t staged = 0;
  for (const auto& id : backlog.due()) staged += backlog.staged_names().contains(id);
  CHECK(staged == 2);
  CHECK_THAT(stopped.out,
             Catch::Matchers::ContainsSubstring("\nStill set aside:        2 directories, "));
  const auto report = run_on(backlog, {"--dry-run", "--json"}).json();
  CHECK(report.at("staged").at("directories") == 2);
  CHECK(report.at("staged").at("allocated_bytes") > 0);

  const auto next = run_pass(backlog);
  CHECK(next.status == 0);
  CHECK(has_line(next.out, "Settled an interrupted pass: 0 directories restored, 2 purged"));
}

TEST_CASE("a second signal ends a pass at once, and the next one settles what it left",
          "[tool][signals][threads]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const int second = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const Disposition hangup(SIGHUP, SIG_DFL);
  // The first one makes it move the directory back: it never comes to that.
  Running running(pass_arguments(backlog), at("renameat2:1:stop renameat2:2:stop"));
  REQUIRE(running.wait_until_stopped());
  running.signal(SIGTERM);
  running.signal(SIGCONT);
  REQUIRE(running.wait_until_stopped());
  running.signal(second);
  const auto ran = running.finish();

  CHECK(ran.status == 128 + second);
  CHECK(ran.out.empty());
  CHECK(ran.err.empty());
  CHECK(backlog.faults(backlog) == none);
  CHECK(fs::exists(backlog.staged(backlog.due().front())));
  check_next_pass_settles(backlog, settled);
}

TEST_CASE("a hangup that nohup has had ignored does not stop a pass", "[tool][signals]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const Disposition hangup(SIGHUP, SIG_IGN);  // what nohup does
  Running running(pass_arguments(backlog), at(before_the_second_move));
  REQUIRE(running.wait_until_stopped());
  running.signal(SIGHUP);
  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(has_line(ran.out, "Cleanup completed: Deleted 2 old sessions"));
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a broken pipe does not stop a pass midway", "[tool][signals][streams]") {
  const Backlog backlog;
  const auto settled = backlog.settled();
  const auto pipe = backlog.scratch("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  auto options = at(before_the_second_move);
  options.stdout_file = pipe;
  Running running(pass_arguments(backlog), options);
  REQUIRE(running.wait_until_stopped());
  ::close(reader);
  running.signal(SIGPIPE);
  fs::remove(pipe);  // finish() would wait for a writer

  const auto ran = running.finish();

  CHECK(ran.status == 1);
  CHECK(is_one_error(ran, {"standard output"}));
  CHECK(difference(state_of(backlog), settled) == none);
}

TEST_CASE("a signal ends the wait for a lock, with nothing changed",
          "[tool][signals][locks][threads]") {
  const Backlog backlog;
  const auto before = backlog.fingerprint();
  std::unique_ptr<DatabaseUser> writer;
  std::optional<Running> other;
  SECTION("of the app") { writer = backlog.writer(); }
  // PostgreSQL itself waits for that one.
  if (!on_postgresql()) {
    SECTION("of the app, while it commits") { writer = backlog.sole_user(); }
  }
  SECTION("of another pass") {
    other.emplace(pass_arguments(backlog), at("renameat2:1:stop"));
    REQUIRE(other->wait_until_stopped());
  }
  const auto held = other ? backlog.fingerprint() : before;
  Running running(pass_arguments(backlog, {"--lock-wait", "20"}), at("sleep:3:stop"));
  REQUIRE(running.wait_until_stopped());
  running.signal(SIGTERM);
  const auto ran = running.finish();
  CHECK(ran.status == 128 + SIGTERM);
  CHECK(lines_of(ran.err).size() == 1);
  CHECK_THAT(ran.err, Catch::Matchers::ContainsSubstring("Stopped by "));
  CHECK(has_line(ran.out, "Cleanup stopped: Deleted 0 old sessions"));
  CHECK(backlog.fingerprint() == held);
}

TEST_CASE("a signal ends a dry run, which has changed nothing anyway",
          "[tool][signals][dry-run][threads]") {
  const Backlog backlog;
  const auto before = backlog.fingerprint();
  const auto point = GENERATE(as<std::string>{}, "getdents:1:stop", "statx/image_001:1:stop");
  Running running(pass_arguments(backlog, {"--dry-run", "--json"}), at(point));
  REQUIRE(running.wait_until_stopped());
  running.signal(SIGINT);
  const auto ran = running.finish();
  CHECK(ran.status == 128 + SIGINT);
  CHECK(ran.json().at("message") == "Stopped by SIGINT; nothing was changed");
  CHECK(backlog.fingerprint() == before);
}

TEST_CASE("Ctrl-Z never suspends a pass inside a transaction", "[tool][signals][sqlite]") {
  App app(AppSchema::current, GENERATE(from_range(journals())));
  constexpr int sessions = 400;
  for (int i = 0; i < sessions; ++i) app.add_session(48, 1);
  auto options = at("renameat2:2:stop");
  options.own_group = true;  // nobody is suspended whom no shell could wake
  Running running(pass_arguments(app, {"--json"}), options);
  REQUIRE(running.wait_until_stopped());
  running.signal(SIGCONT);
  running.signal(SIGTSTP);

  int status = 0;
  REQUIRE(::waitpid(running.pid(), &status, WUNTRACED) == running.pid());
  REQUIRE(WIFSTOPPED(status));
  CHECK(WSTOPSIG(status) == SIGTSTP);
  {
    // The app may write meanwhile.
    const auto writer = app.writer();
    CHECK(writer != nullptr);
  }

  const auto ran = running.finish();
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(ran.json().at("deleted_sessions") == sessions);
}
