// Who may do what on the server, how the tool is let in, and what it must never tell.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "postgresql/postgresql_roles.hpp"
#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/changes.hpp"
#include "support/diagnostics.hpp"

using namespace calib::test;
using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

namespace {

const std::string password = "s3cret/of:the@app";
const std::string password_in_url = "s3cret%2Fof%3Athe%40app";

std::string host_of(const App& app) {
  const auto url = app.database_option();
  return url.substr(url.find("host=") + 5);
}

/// Makes the role that has to give its password. It belongs to the whole server, so another test
/// may make it at the same moment; advisory locks belong to one database and would not part the
/// two.
void make_locked_role(const App& app) {
  app.execute(
      fmt::format("DO $$ BEGIN CREATE ROLE locked SUPERUSER LOGIN PASSWORD '{}'; EXCEPTION WHEN "
                  "duplicate_object OR unique_violation THEN NULL; END $$",
                  password));
}

/// Not a part of it that anybody could use.
void check_secret(const Ran& ran) {
  for (const auto& secret : {password, password_in_url, std::string("s3cret")}) {
    CHECK(ran.out.find(secret) == std::string::npos);
    CHECK(ran.err.find(secret) == std::string::npos);
  }
}

/// Listens where a server's socket would be.
int listen_at(const fs::path& place) {
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, place.c_str(), sizeof address.sun_path - 1);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(listener, reinterpret_cast<struct sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener, 8) == 0);
  return listener;
}

}  // namespace

TEST_CASE("a role that may only read sees in a dry run what the owner sees", "[roles]") {
  const Backlog app;
  const auto role = make_role(app, "SELECT");
  auto expected = without_times(run_on(app, {"--dry-run", "--json"}).json());
  expected.erase("database");  // another role is in its URL
  const auto before = app.fingerprint();

  const auto dry = run_on(app, {"--dry-run", "--json", "--database", url_for(app, role)});

  INFO(dry.err);
  CHECK(dry.status == 0);
  CHECK(dry.err.empty());
  auto document = without_times(dry.json());
  document.erase("database");
  CHECK(document == expected);
  const auto real = run_on(app, {"--database", url_for(app, role)});
  INFO(real.err);
  CHECK(real.status == 3);
  CHECK(real.out.empty());
  CHECK(diagnostics_of(real).errors.size() == 1);
  CHECK(changes_since(before, app) == none);
  drop_role(app, role);
}

TEST_CASE("a role with the app's own rights, who is no owner, does the whole of a pass",
          "[roles]") {
  const Backlog app;
  const auto settled = app.settled();
  const auto role = make_role(app, "SELECT, INSERT, UPDATE, DELETE");
  const auto ran = run_on(app, {"--database", url_for(app, role)});
  INFO(ran.err);
  CHECK(ran.status == 0);
  CHECK(ran.err.empty());
  CHECK(difference(state_of(app), settled) == none);
  drop_role(app, role);
}

TEST_CASE("a role that may not read one of the tables is refused before anything goes", "[roles]") {
  const Backlog app;
  const auto role = make_role(app, "SELECT, INSERT, UPDATE, DELETE");
  app.execute("REVOKE ALL ON calibration_images FROM " + role);
  const auto before = app.fingerprint();
  for (const auto& mode : {Words{"--dry-run"}, Words{}}) {
    auto arguments = mode;
    arguments.insert(arguments.end(), {"--database", url_for(app, role)});
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {"calibration_images"}));
    CHECK(changes_since(before, app) == none);
  }
  drop_role(app, role);
}

TEST_CASE("a database that is set to be read alone takes a dry run, and no pass", "[roles]") {
  const Backlog app;
  app.execute(
      fmt::format("ALTER DATABASE {} SET default_transaction_read_only = on", name_of(app)));
  const auto before = state_of(app);
  CHECK(run_on(app, {"--dry-run"}).status == 0);
  const auto real = run_on(app, {});
  INFO(real.err);
  // Whoever may switch it off for himself may as well go on.
  CHECK((real.status == 3 || real.status == 0));
  if (real.status == 3) CHECK(difference(state_of(app), before) == none);
}

TEST_CASE("a database that is not there is named, never made, and nothing is touched",
          "[untouched]") {
  const Backlog app;
  const auto before = app.fingerprint();
  auto url = app.database_option();
  url.insert(url.find('?'), "_of_nobody");
  for (const auto& mode : {Words{"--dry-run"}, Words{}}) {
    auto arguments = mode;
    arguments.insert(arguments.end(), {"--database", url});
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(ran.out.empty());
    CHECK(is_one_error(ran, {app.database_shown() + "_of_nobody"}));
    CHECK(changes_since(before, app) == none);
  }
  CHECK(app.number("SELECT count(*) FROM pg_database WHERE datname LIKE '%_of_nobody'") == 0);
}

TEST_CASE("the URL is read as SQLAlchemy reads it, from wherever the app has it", "[urls]") {
  const Backlog app;
  const auto scheme = GENERATE(as<std::string>{}, "postgres", "postgresql", "postgresql+psycopg2");
  const auto url = url_for(app, "tester", scheme);
  CAPTURE(url);
  CHECK(run_on(app, {"--dry-run", "--database", url}).status == 0);
  CHECK(run_on(app, {"--dry-run"}, {.environment = {{"DATABASE_URL", url}}}).status == 0);
  std::ofstream(app.root() / "backend" / ".env") << "DATABASE_URL=" << url << '\n';
  CHECK(run_on(app, {"--dry-run"}).status == 0);
}

TEST_CASE("a password lets in from everywhere that libpq takes it, and is told nowhere",
          "[passwords]") {
  const Backlog app;
  make_locked_role(app);
  const auto file = app.scratch("passwords");
  std::ofstream(file) << "*:*:*:locked:s3cret/of\\:the@app\n";
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  const auto services = app.scratch("services");
  std::ofstream(services) << fmt::format("[calib]\nhost={}\ndbname={}\nuser=locked\npassword={}\n",
                                         host_of(app), name_of(app), password);
  Variables environment;
  auto url = url_for(app, "locked");
  SECTION("the URL") { url = url_for(app, "locked:" + password_in_url); }
  SECTION("its query") { url += "&password=" + password_in_url; }
  SECTION("PGPASSWORD") { environment["PGPASSWORD"] = password; }
  SECTION("PGPASSFILE") { environment["PGPASSFILE"] = file.string(); }
  SECTION("a file that the query names") { url += "&passfile=" + file.string(); }
  SECTION("PGSERVICE") {
    environment = {{"PGSERVICE", "calib"}, {"PGSERVICEFILE", services.string()}};
    url = "postgresql://";
  }
  const auto metrics = app.scratch("calib.prom");
  const auto ran =
      run_on(app, {"--json", "--verbose", "--database", url, "--metrics", metrics.string()},
             {.environment = environment});
  INFO(ran.err);
  CHECK(ran.status == 0);
  check_secret(ran);
  std::ifstream samples(metrics);
  const std::string text{std::istreambuf_iterator<char>(samples), {}};
  CHECK(text.find("s3cret") == std::string::npos);
}

TEST_CASE("whatever is wrong with a connection, no password is told", "[passwords]") {
  const Backlog app;
  make_locked_role(app);
  const auto before = app.fingerprint();
  const auto wrong = "s3cret-" + password_in_url;
  const auto name = name_of(app);
  const auto host = host_of(app);
  const auto url = GENERATE_COPY(
      fmt::format("postgresql://locked:{}@/{}?host={}", wrong, name, host),
      fmt::format("postgresql://locked@/{}?host={}&password={}", name, host, wrong),
      fmt::format("postgresql://locked:{}@/nowhere?host={}", password_in_url, host),
      fmt::format("postgresql://locked:{}@/{}?host=/nowhere", wrong, name),
      fmt::format("postgresql://locked:{}@localhost:1/{}", wrong, name),
      fmt::format("postgresql://locked:{}@/{}?host={}&no_such_option=s3cret", wrong, name, host),
      fmt::format("postgresql://locked:more?s3cret=x@/{}?host={}", name, host),
      fmt::format("postgresql://locked:more?x&s3cret=x&@/{}?host={}", name, host),
      fmt::format("postgresql://locked@/{}?host={}&s3cret=x", name, host),
      fmt::format("postgresql://locked:{}@/{}?host={}&password=s3cret%ZZ", wrong, name, host),
      fmt::format("postgresql://locked:s3cret@more@/{}?host={}", name, host),
      fmt::format("postgresql://locked:s3cret/more@/{}?host={}", name, host),
      fmt::format("postgresql://locked:{}@localhost:s3cret/{}", wrong, name),
      fmt::format("postgresql://locked@/{}?host={}", name, host));
  CAPTURE(url);
  const auto metrics = app.scratch("calib.prom");
  for (const auto& mode : {Words{"--dry-run"}, Words{"--json"}, Words{"--verbose"}}) {
    auto arguments = mode;
    arguments.insert(arguments.end(), {"--database", url, "--metrics", metrics.string()});
    const auto ran = run_on(app, arguments, {.seconds = 60});
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(diagnostics_of(ran).errors.size() == 1);
    CHECK(diagnostics_of(ran).strays.empty());
    check_secret(ran);
  }
  CHECK(changes_since(before, app) == none);
}

TEST_CASE(
    "a password from elsewhere is not told either, where it strays into what libpq complains of",
    "[passwords]") {
  const Backlog app;
  const auto services = app.scratch("services");
  std::ofstream(services) << "[calib]\npassword=s3cret\nsslmode=s3cret\n";
  Variables environment{{"PGPASSWORD", "s3cret"}, {"PGSSLMODE", "s3cret"}};
  if (GENERATE(false, true)) {
    environment = {{"PGSERVICE", "calib"}, {"PGSERVICEFILE", services.string()}};
  }
  const auto ran =
      run_on(app, {"--database", "postgresql://locked@/calib"}, {.environment = environment});
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {"sslmode"}));
  check_secret(ran);
}

TEST_CASE("what keeps a pass from its database is told in one line, with what to do",
          "[connection][advice]") {
  const Backlog app;
  make_locked_role(app);
  const auto before = app.fingerprint();
  const auto name = name_of(app);
  const auto host = host_of(app);
  const auto own = app.database_option();
  const std::string of_the_password = "the password comes from the URL, PGPASSWORD, PGPASSFILE";
  const std::string of_the_server = "see that it runs and lets this role in, or name another with";
  const std::vector<std::pair<std::string, std::string>> troubles{
      {fmt::format("postgresql://locked:wrong@/{}?host={}", name, host), of_the_password},
      {fmt::format("postgresql://locked@/{}?host={}", name, host), of_the_password},
      {fmt::format("postgresql://nobody_at_all@/{}?host={}", name, host), of_the_server},
      {fmt::format("postgresql://tester@/not_there?host={}", host), of_the_server},
      {fmt::format("postgresql://tester@/{}?host=/nowhere", name), of_the_server},
      {fmt::format("postgresql://tester@localhost:1/{}", name), of_the_server},
      {own + "&sslmode=nonsense", "see sslmode in its URL"},
      {own + "&options=-csearch_path%3Dnowhere", "options=-csearch_path%3Dpublic after the ?"}};
  for (const auto& [url, remedy] : troubles) {
    CAPTURE(url);
    for (const auto& mode : {Words{"--dry-run"}, Words{}}) {
      auto arguments = mode;
      arguments.insert(arguments.end(), {"--database", url});
      const auto ran = run_on(app, arguments);
      INFO(ran.err);
      CHECK(ran.status == 3);
      CHECK(is_one_error(ran, {remedy}));
    }
  }
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("a role that may not look into the app's schema is told so, not that nothing is there",
          "[roles][advice]") {
  const Backlog app;
  const auto role = make_role(app, "SELECT, UPDATE, DELETE");
  app.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC");
  const auto ran = run_on(app, {"--database", url_for(app, role)});
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {"schema public", "grant it USAGE"}));
  for (const auto& id : app.due()) CHECK(app.is_whole(id));
  drop_role(app, role);
}

TEST_CASE("rows that a policy would hide from the role are a reason not to begin", "[roles]") {
  const Backlog app;
  const auto table = GENERATE(as<std::string>{}, "sessions", "calibration_images");
  const bool is_owner = GENERATE(false, true);
  CAPTURE(table, is_owner);
  const auto role = make_role(app, "SELECT, UPDATE, DELETE");
  // It shows all of them for now, but nobody can tell.
  app.execute(
      fmt::format("CREATE POLICY shown ON {0} USING (true); ALTER TABLE {0} ENABLE ROW LEVEL "
                  "SECURITY",
                  table));
  if (is_owner) {
    app.execute(fmt::format(
        "ALTER TABLE {0} FORCE ROW LEVEL SECURITY; ALTER TABLE {0} OWNER TO {1}", table, role));
  }
  const auto before = app.fingerprint();
  for (const auto& mode : {Words{"--dry-run"}, Words{"--orphans-only"}, Words{}}) {
    auto arguments = mode;
    arguments.insert(arguments.end(), {"--database", url_for(app, role)});
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(
        ran, {"row-level security policy for table \"" + table + '"', "on all of their rows"}));
  }
  CHECK(changes_since(before, app) == none);
  app.execute(fmt::format("ALTER TABLE {} OWNER TO tester", table));
  drop_role(app, role);
}

TEST_CASE("a server that lets in and never answers keeps nobody for longer than --lock-wait",
          "[connection]") {
  const Backlog app;
  const auto before = app.fingerprint();
  const auto place = app.outside() / ".s.PGSQL.5432";
  const int listener = listen_at(place);
  const auto url = fmt::format("postgresql://tester@/calib?host={}", app.outside().string());
  for (const auto& mode : {Words{"--dry-run"}, Words{}}) {
    auto arguments = mode;
    arguments.insert(arguments.end(), {"--database", url, "--lock-wait", "1"});
    const auto ran = run_on(app, arguments, {.seconds = 60});
    INFO(ran.err);
    CHECK((ran.status == 3 || ran.status == 4));
    CHECK(diagnostics_of(ran).errors.size() == 1);
    ::close(::accept(listener, nullptr, nullptr));  // it has gone
  }
  Running running(pass_arguments(app, {"--database", url, "--lock-wait", "50"}), {.seconds = 60});
  // It is connected when there is somebody to accept.
  const int caller = ::accept(listener, nullptr, nullptr);
  running.signal(SIGTERM);
  CHECK(running.finish().status == 128 + SIGTERM);
  ::close(caller);
  ::close(listener);
  fs::remove(place);
  CHECK(changes_since(before, app) == none);
}

TEST_CASE("CockroachDB is refused: what is no lock there looks like one", "[connection]") {
  const Backlog app;
  const auto before = app.fingerprint();
  const auto place = app.outside() / ".s.PGSQL.5432";
  const int listener = listen_at(place);
  const auto url = fmt::format("postgresql://tester@/calib?host={}", app.outside().string());
  Running running(pass_arguments(app, {"--database", url, GENERATE("--dry-run", "--orphans-only")}),
                  {.seconds = 60});
  const int caller = ::accept(listener, nullptr, nullptr);
  std::array<char, 1024> startup{};
  REQUIRE(::read(caller, startup.data(), startup.size()) > 0);
  // Its answer in the protocol of PostgreSQL, version 3: let in, a parameter of its own, ready.
  std::string answer("R\0\0\0\x08\0\0\0\0", 9);
  answer += std::string(
      "S\0\0\0\x17"
      "crdb_version\0v23.1\0",
      24);
  answer += std::string("Z\0\0\0\x05I", 6);
  REQUIRE(::write(caller, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size()));
  const auto ran = running.finish();
  INFO(ran.err);
  CHECK(ran.status == 3);
  CHECK(is_one_error(ran, {"CockroachDB", "only PostgreSQL is served"}));
  ::close(caller);
  ::close(listener);
  fs::remove(place);
  CHECK(changes_since(before, app) == none);
}
