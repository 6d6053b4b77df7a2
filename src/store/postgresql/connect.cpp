// How a connection is made, and what the server is told about it.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <new>
#include <optional>

#include "store/postgresql/connection.hpp"

namespace calib::postgresql {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = StoreError::Kind;
using std::chrono::milliseconds;

// To connect, where the URL (or PGCONNECT_TIMEOUT) does not say for how long. Whoever waits for a
// shell's completion waits less.
constexpr milliseconds shortest_connect{2'000};
constexpr milliseconds longest_connect{10'000};

// Where nobody says otherwise, a peer that has gone silent is given up after some 15 s.
constexpr std::array<std::pair<const char*, const char*>, 5> network_defaults{{
    {"keepalives_idle", "5"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "2"},
    {"tcp_user_timeout", "15000"},
    {"fallback_application_name", "calib-cleanup"},
}};

/// What to do where no connection could be made; libpq has no codes for why, and its texts are all
/// there is to tell by.
const char* remedy_for(std::string_view why) {
  const auto is_about = [&](std::string_view word) {
    return why.find(word) != std::string_view::npos;
  };
  if (is_about("password")) {
    return "the password comes from the URL, PGPASSWORD, PGPASSFILE or ~/.pgpass";
  }
  if (is_about("SSL") || is_about("sslmode")) return "see sslmode in its URL";
  return "see that it runs and lets this role in, or name another with --database";
}

}  // namespace

int wait_for_socket(int socket, short events, milliseconds time) {
  pollfd descriptor{socket, events, 0};
  return ::poll(&descriptor, 1, static_cast<int>(time.count()));
}

milliseconds Connection::connect_time() const {
  const auto& pq = library();
  auto time = std::clamp(wait_, shortest_connect, longest_connect);
  PQconninfoOption* const options = pq.conninfo(connection_);
  for (const auto* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    if (std::string_view(option->keyword) != "connect_timeout" || option->val == nullptr) continue;
    const std::string_view digits = option->val;
    int seconds = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (seconds > 0) time = std::chrono::seconds{seconds};
  }
  pq.conninfoFree(options);
  return time;
}

/// libpq names an option that it does not know, and this may be a piece of a password that has
/// strayed.
void Connection::refuse_unknown_keywords() const {
  PQconninfoOption* const known = library().conninfoParse("", nullptr);
  if (known == nullptr) throw std::bad_alloc();
  const bool all_known =
      std::all_of(parameters_.begin(), parameters_.end(), [known](const auto& parameter) {
        const auto* option = known;
        while (option->keyword != nullptr && option->keyword != parameter.first) ++option;
        return option->keyword != nullptr;
      });
  library().conninfoFree(known);
  if (all_known) return;
  throw failure(Kind::unusable,
                "the database URL has an argument after the ? whose name is no keyword of libpq");
}

/// Passwords that came from elsewhere: the environment, a service file.
void Connection::learn_secrets() {
  PQconninfoOption* const options = library().conninfo(connection_);
  for (const auto* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    const bool is_secret = std::string_view(option->dispchar) == "*" && option->val != nullptr &&
                           *option->val != '\0' &&
                           std::count(secrets_.begin(), secrets_.end(), option->val) == 0;
    if (is_secret) secrets_.emplace_back(option->val);
  }
  library().conninfoFree(options);
}

/// Of what the server only warns of, this alone matters to a pass.
void Connection::take_notice(void* connection, const PGresult* notice) {
  const char* const state = library().resultErrorField(notice, PG_DIAG_SQLSTATE);
  if (state != nullptr && std::string_view(state) == "55P03") {
    static_cast<Connection*>(connection)->passed_over_ = true;
  }
}

void Connection::connect() {
  const auto& pq = library();
  given_up_for_.clear();
  lock_wait_ = milliseconds{0};
  refuse_unknown_keywords();
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : network_defaults) {
    names.push_back(name);
    values.push_back(value);
  }
  for (const auto& [name, value] : parameters_) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  // Names are looked up in these calls, and a resolver that does not answer keeps them for minutes.
  // Before the first connection nothing has been changed, so that a signal may end all of it.
  const auto call = [this](auto&& function, auto... arguments) {
    std::optional<StopsAtOnce> at_once;
    if (is_first_) at_once.emplace();
    check_stop();
    return function(arguments...);
  };
  connection_ = call(pq.connectStartParams, names.data(), values.data(), 0);
  if (connection_ == nullptr) throw std::bad_alloc();
  learn_secrets();
  pq.setNoticeReceiver(connection_, take_notice, this);
  const auto fail = [&](const std::string& why, std::string_view remedy) {
    return failure(Kind::unusable, fmt::format("the server cannot be used: {}; {}", why, remedy));
  };
  const auto fail_as_told = [&] {
    const auto why = one_line(pq.errorMessage(connection_));
    return fail(why, remedy_for(why));
  };
  if (pq.status(connection_) == CONNECTION_BAD) throw fail_as_told();
  const auto time = connect_time();
  const auto deadline = Clock::now() + time;
  auto wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED) throw fail_as_told();
    check_stop();
    if (Clock::now() > deadline) {
      throw fail(
          fmt::format("it has not answered for {} s", std::chrono::duration<double>(time).count()),
          "see connect_timeout in its URL");
    }
    const short events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (wait_for_socket(pq.socket(connection_), events, look_interval) != 0) {
      wanted = call(pq.connectPoll, connection_);
    }
  }
  is_first_ = false;
  if (pq.setnonblocking(connection_, 1) != 0) throw std::bad_alloc();
}

void Connection::prepare_session() {
  if (access_ == Access::read_only || is_cockroach()) return;
  const auto& pq = library();
  // Behind a pooler the next transaction may be another connection's, and a lock that outlasts a
  // transaction would stay with nobody to release it.
  if (query("SELECT pg_catalog.pg_backend_pid()").number(0, 0) != pq.backendPID(connection_)) {
    throw failure(Kind::unusable,
                  "this is a connection pooler, through which no lock can be held for a whole "
                  "pass; name the PostgreSQL server itself");
  }
  if (query("SELECT pg_catalog.pg_is_in_recovery()").text(0, 0) == "t") {
    throw failure(Kind::unusable,
                  "this server is a standby, which may only be read; name the primary server (a "
                  "dry run is welcome here)");
  }
  // As a default of the role or the database it would pass over what a DELETE is to set off.
  if (query("SELECT pg_catalog.current_setting('session_replication_role')").text(0, 0) ==
      "replica") {
    try {
      query("SET session_replication_role = origin");
    } catch (const ServerError& error) {
      if (error.state() != "42501") throw;
      throw failure(Kind::unusable,
                    "session_replication_role is set to replica for this role or database, so that "
                    "no foreign key would be looked at; set it to origin");
    }
  }
  // A server that does not notice that this machine is gone would keep its locks for hours. Those
  // of them that this server knows; on a Unix socket they mean nothing.
  query(
      "SELECT pg_catalog.set_config(s.name, v.value, false) FROM pg_catalog.pg_settings s JOIN "
      "(VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'), "
      "('tcp_keepalives_count', '2'), ('tcp_user_timeout', '15000'), "
      "('client_connection_check_interval', '2000'), ('idle_session_timeout', '0'), "
      "('statement_timeout', '0'), ('transaction_timeout', '0')) "
      "AS v(name, value) ON s.name OPERATOR(pg_catalog.=) v.name");
}

}  // namespace calib::postgresql
