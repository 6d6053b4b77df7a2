#include "store/postgresql/connection.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "model/pass_error.hpp"

namespace calib::postgresql {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = PassError::Kind;
using std::chrono::milliseconds;

// What an answer may take once the pass is to stop: the rest of the second is for the folder.
constexpr milliseconds grace{600};

// What lock_timeout can hold: 24 days.
constexpr milliseconds max_lock_wait{std::numeric_limits<std::int32_t>::max()};

// Between two statements of a transaction, where directories are moved: some 100 ms on a disk that
// does its work. Whoever is stopped there, or hangs, has locks that others wait for.
constexpr std::chrono::minutes max_pause{1};

// A server that has been stopped never answers, and a COMMIT may wait for a standby that is away.
// What a statement waits for locks comes on top, and reading all tables at a rate that any disk
// has.
constexpr std::chrono::minutes max_silence_of_a_server{1};
constexpr std::uint64_t slowest_bytes_per_second = 10'000'000;

/// What a statement is called in a message.
std::string name_of(const std::string& sql) {
  auto name = sql.substr(0, sql.find_first_of(" ;"));
  return name == "WITH" ? "DELETE" : name;
}

// To connect, where the URL (or PGCONNECT_TIMEOUT) does not say for how long. Whoever waits for a
// shell's completion waits less.
constexpr milliseconds min_connect{2'000};
constexpr milliseconds max_connect{10'000};

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

/// A short one, which may be a part of any word, where it is a word.
void mask(std::string& line, const std::string& secret) {
  constexpr std::size_t short_one = 6;
  constexpr std::string_view stars = "***";
  const auto is_in_word = [&](std::size_t at) {
    const auto c = at < line.size() ? line[at] : ' ';
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (auto at = line.find(secret); at != std::string::npos;) {
    const auto after = at + secret.size();
    const bool is_part = is_in_word(at - 1) || is_in_word(after);
    if (secret.size() < short_one && is_part) {
      at = line.find(secret, at + 1);
    } else {
      line.replace(at, secret.size(), stars);
      at = line.find(secret, at + stars.size());
    }
  }
}

/// Whether a state is about the server and not about anybody's rows: connection, resources,
/// shutdown, system.
bool is_the_servers(std::string_view state) {
  constexpr std::array<std::string_view, 5> prefixes{"08", "53", "57P", "58", "XX"};
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return state.starts_with(prefix); });
}

}  // namespace

Connection::Connection(const DatabaseLocation& location, Access access, milliseconds wait,
                       const StopFlag& stop, Progress* progress)
    : path_(location.display), access_(access), wait_(wait), stop_(stop), progress_(progress) {
  try {
    parameters_ = read_url(location.url);
    static_cast<void>(library());
  } catch (const std::runtime_error& error) {
    throw failure(Kind::unusable, error.what());
  } catch (const std::invalid_argument& error) {
    throw failure(Kind::unusable, error.what());
  }
  secrets_ = secrets_of(parameters_);
  reopen();
}

Connection::~Connection() { close(); }

void Connection::close() noexcept {
  if (connection_ != nullptr) library().finish(connection_);
  connection_ = nullptr;
}

void Connection::reopen() {
  close();
  try {
    connect();
    prepare_session();
  } catch (...) {
    close();
    throw;
  }
}

void Connection::check_stop() const { throw_if_requested(stop_); }

void Connection::pause(milliseconds time) const {
  const auto until = Clock::now() + time;
  for (auto now = Clock::now(); now < until; now = Clock::now()) {
    check_stop();
    std::this_thread::sleep_until(std::min<Clock::time_point>(until, now + look_interval));
  }
}

void Connection::send(const std::string& sql, const std::vector<std::string>& parameters) {
  const auto& pq = library();
  if (connection_ == nullptr) throw lost();
  cancelled_ = false;
  statement_ = name_of(sql);
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters) values.push_back(parameter.c_str());
  const int sent = parameters.empty() ? pq.sendQuery(connection_, sql.c_str())
                                      : pq.sendQueryParams(connection_, sql.c_str(),
                                                           static_cast<int>(values.size()), nullptr,
                                                           values.data(), nullptr, nullptr, 0);
  if (sent == 0) throw lost();
}

/// libpq waits until the server has closed the connection by which it is asked, and one that hangs
/// never does. So a thread does it that nobody waits for; what comes of it shows in the answer.
void Connection::ask_to_cancel() noexcept {
  const auto& pq = library();
  PGcancel* const cancel = pq.getCancel(connection_);
  if (cancel == nullptr) return;
  try {
    std::thread([cancel, &pq] {
      std::array<char, 256> why{};
      pq.cancel(cancel, why.data(), static_cast<int>(why.size()));
      pq.freeCancel(cancel);
    }).detach();
  } catch (const std::exception&) {
    pq.freeCancel(cancel);  // closing the connection will have to do
  }
}

void Connection::expect_to_read(std::uint64_t bytes) {
  reading_time_ = std::chrono::seconds(bytes / slowest_bytes_per_second);
}

/// A COMMIT or ROLLBACK neither reads nor waits for a lock.
milliseconds Connection::max_silence(Stoppable stoppable) const {
  if (stoppable == Stoppable::no) return max_silence_of_a_server;
  return max_silence_of_a_server + lock_wait_ + reading_time_;
}

/// Nobody knows what the server still does: a closed connection does nothing new.
void Connection::give_up(const std::string& why) {
  close();
  given_up_for_ = why;
}

void Connection::wait_for_answer(Stoppable stoppable) {
  const auto& pq = library();
  const auto limit = max_silence(stoppable);
  auto heard = Clock::now();
  std::optional<Clock::time_point> stopped;
  while (true) {
    const int unsent = pq.flush(connection_);
    if (unsent < 0) throw lost();
    if (unsent == 0 && pq.isBusy(connection_) == 0) return;
    if (Clock::now() - heard > limit) {
      give_up(fmt::format("the server has not answered {} for {} s; {}", statement_,
                          std::chrono::duration_cast<std::chrono::seconds>(limit).count(),
                          statement_ == "COMMIT"
                              ? "does it wait for a standby (synchronous_standby_names)?"
                              : "is it stopped, or out of reach?"));
      throw lost();
    }
    if (stop_.requested()) {
      if (!stopped && stoppable == Stoppable::yes && !cancelled_) {
        ask_to_cancel();
        cancelled_ = true;
      }
      stopped = stopped.value_or(Clock::now());
      if (Clock::now() - *stopped > grace) {
        give_up(fmt::format("stopped before the server had answered {}", statement_));
        if (stoppable == Stoppable::yes) throw PassError(Kind::stopped, "stopped");
        throw lost();
      }
    }
    const short events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;
    if (wait_for_socket(pq.socket(connection_), events, look_interval) == 0) continue;
    if (pq.consumeInput(connection_) == 0) throw lost();
    heard = Clock::now();
  }
}

std::optional<Rows> Connection::next(Stoppable stoppable) {
  wait_for_answer(stoppable);
  PGresult* const result = library().getResult(connection_);
  if (result == nullptr) return std::nullopt;
  return Rows(result);
}

void Connection::drain() noexcept {
  try {
    while (connection_ != nullptr && next(Stoppable::no)) {
    }
  } catch (const std::exception&) {
    close();  // whoever uses it next is told that it is lost
  }
}

Rows Connection::checked(Rows rows) {
  const auto status = library().resultStatus(rows.result());
  if (status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE || status == PGRES_COMMAND_OK) {
    return rows;
  }
  const auto error = error_of(rows.result());
  drain();
  throw ServerError(error);
}

Rows Connection::query(const std::string& sql, const std::vector<std::string>& parameters) {
  check_stop();
  send(sql, parameters);
  std::optional<Rows> last;
  while (auto rows = next(Stoppable::yes)) last = checked(std::move(*rows));
  if (!last) throw lost();
  return std::move(*last);
}

void Connection::stream(const std::string& sql, const std::vector<std::string>& parameters,
                        const std::function<void(const Rows&)>& visit) {
  check_stop();
  send(sql, parameters);
  library().setSingleRowMode(connection_);
  std::optional<PassError> refused;
  try {
    while (auto rows = next(Stoppable::yes)) {
      const auto row = checked(std::move(*rows));
      if (row.count() == 0 || refused) continue;
      try {
        visit(row);
      } catch (const PassError& error) {
        // The rest of the answer has to be read before anything else can be said.
        refused = error;
      }
    }
  } catch (const PassError&) {
    throw;
  } catch (...) {
    close();
    throw;
  }
  if (refused) throw PassError(*refused);
}

void Connection::begin(Access access, milliseconds lock_wait, Kind timed_out) {
  timed_out_ = timed_out;
  lock_wait_ = std::min<milliseconds>(lock_wait, max_lock_wait);
  // row_security: a policy that hides sessions would make orphans of their directories; so the
  // server is to refuse what it would have to filter. Keys travel as text, so it has to be exact:
  // floating-point numbers are in full from 1 on since PostgreSQL 12, and with 3 before.
  query(
      fmt::format("BEGIN ISOLATION LEVEL READ COMMITTED {}; {}; SET LOCAL row_security = off; "
                  "SET LOCAL client_encoding = 'UTF8'; SET LOCAL datestyle = 'ISO, YMD'; "
                  "SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC'; "
                  "SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 3; "
                  "SET LOCAL statement_timeout = 0; "
                  "SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL lock_timeout = "
                  "{}",
                  access == Access::read_only ? "READ ONLY" : "READ WRITE", own_search_path,
                  milliseconds(max_pause).count(), lock_wait_.count()));
  if (access == Access::read_only) return;
  // Files go after the commit, so it has to be on the disk; stronger settings stay. Not on a
  // standby's: whoever has switched it off does not wait for one, which may be away.
  query(
      "SELECT pg_catalog.set_config('synchronous_commit', 'local', true) WHERE "
      "pg_catalog.current_setting('synchronous_commit') = 'off'");
}

std::optional<ServerError> Connection::commit() {
  try {
    send("COMMIT", {});
    std::optional<ServerError> error;
    bool holds = false;
    const SetsOff until_the_end(sets_off_triggers_);  // those that were put off
    while (auto rows = next(Stoppable::no)) {
      if (library().resultStatus(rows->result()) != PGRES_COMMAND_OK) {
        error = error_of(rows->result());
      } else {
        // A transaction that has failed answers COMMIT with ROLLBACK.
        holds = std::string_view(library().cmdStatus(rows->result())) == "COMMIT";
      }
    }
    if (error) return error;
    if (holds) return std::nullopt;
    return ServerError(Kind::unusable, path_, "the transaction had failed before its COMMIT",
                       "25P02");
  } catch (const ServerError& error) {
    return error;
  }
}

void Connection::roll_back() noexcept {
  try {
    if (connection_ == nullptr) return;
    send("ROLLBACK", {});
    drain();
  } catch (const std::exception&) {
    close();
  }
}

int wait_for_socket(int socket, short events, milliseconds time) {
  pollfd descriptor{socket, events, 0};
  return ::poll(&descriptor, 1, static_cast<int>(time.count()));
}

milliseconds Connection::connect_time() const {
  const auto& pq = library();
  auto time = std::clamp(wait_, min_connect, max_connect);
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
  const auto& pq = library();
  if (pq.parameterStatus(connection_, "crdb_version") != nullptr) {
    throw failure(Kind::unusable,
                  "this is CockroachDB, whose locks keep nobody out; only PostgreSQL is served");
  }
  if (access_ == Access::read_only) return;
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
  // A server that does not notice that this machine is gone would keep its locks for hours; nor
  // does it notice that the machine is there, and the pass waits for a file server without an end:
  // so long no purge takes between two transactions. Those of them that this server knows; most
  // mean nothing on a Unix socket.
  query(
      "SELECT pg_catalog.set_config(s.name, v.value, false) FROM pg_catalog.pg_settings s JOIN "
      "(VALUES ('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '5'), "
      "('tcp_keepalives_count', '2'), ('tcp_user_timeout', '15000'), "
      "('client_connection_check_interval', '2000'), ('idle_session_timeout', '1h'), "
      "('statement_timeout', '0'), ('transaction_timeout', '0')) "
      "AS v(name, value) ON s.name OPERATOR(pg_catalog.=) v.name");
}

std::string Connection::one_line(std::string_view text) const {
  std::string line;
  for (const char c : text) {
    const bool is_space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!is_space) line += c;
    if (is_space && !line.empty() && line.back() != ' ') line += ' ';
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  for (const auto& secret : secrets_) mask(line, secret);
  return line;
}

ServerError Connection::lost() const {
  if (connection_ == nullptr && !given_up_for_.empty()) {
    return {Kind::unusable, path_, given_up_for_, ""};
  }
  const std::string why =
      connection_ == nullptr ? "it is closed" : one_line(library().errorMessage(connection_));
  return {Kind::unusable, path_,
          "the connection to the server was lost: " + why + "; see that it runs, and run again",
          ""};
}

ServerError Connection::error_of(const PGresult* result) const {
  const auto& pq = library();
  const auto field = [&](int code) {
    const char* text = pq.resultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  const auto state = field(PG_DIAG_SQLSTATE);
  const auto why = one_line(field(PG_DIAG_MESSAGE_PRIMARY));
  const auto says = [&](Kind kind, const std::string& text) {
    return ServerError(kind, path_, text, state);
  };
  const auto in_class = [&](std::string_view prefix) { return state.starts_with(prefix); };
  // https://www.postgresql.org/docs/current/errcodes-appendix.html
  if (state.empty()) return lost();
  if (state == "55P03") {
    const bool is_busy = timed_out_ == Kind::busy;
    return says(timed_out_,
                is_busy ? fmt::format("the database stayed locked for {} s; try again, or wait "
                                      "longer with --lock-wait",
                                      std::chrono::duration<double>(lock_wait_).count())
                        : "another transaction holds a lock on what was to go; try again");
  }
  if (in_class("40")) {
    return says(Kind::disturbed, "another transaction was in the way (" + why +
                                     "); try again, or wait longer with --lock-wait");
  }
  if (state == "57014" && stop_.requested()) return says(Kind::stopped, "stopped");
  if (state == "53100") {
    return says(Kind::full,
                "there is no room on the server's disk (" + why + "); free some and run again");
  }
  // Integrity constraints, what triggers say, and their like.
  if (in_class("23") || in_class("27") || in_class("44") || in_class("P0")) {
    return says(Kind::refused, "the database would not have the change: " + why);
  }
  // Triggers refuse with any state. What ends the connection is none of them, nor is what is wrong
  // with the statement itself, whose tables are others by now.
  const bool in_statement = in_class("42") && !field(PG_DIAG_STATEMENT_POSITION).empty();
  if (sets_off_triggers_ && field(PG_DIAG_SEVERITY_NONLOCALIZED) == "ERROR" &&
      !is_the_servers(state) && !in_statement) {
    // The last line of it is the outermost: the trigger's own function.
    const auto context = field(PG_DIAG_CONTEXT);
    const auto where = one_line(context.substr(context.rfind('\n') + 1));
    return says(Kind::refused,
                fmt::format("the database would not have the change: {} (SQLSTATE {}{}{})", why,
                            state, where.empty() ? "" : ", ", where));
  }
  if (state == "42501") {
    return says(
        Kind::unusable,
        why +
            "; a dry run takes the right to SELECT, a pass also UPDATE "
            "and DELETE, on sessions and all tables that refer to it, and on all of their rows");
  }
  if (state == "25006") {
    return says(Kind::unusable,
                "the database may only be read (" + why + "); name the primary server");
  }
  const auto* const remedy =
      in_class("57") ? "; see that it runs, and run again" : "; see the server's log";
  return says(Kind::unusable,
              fmt::format("the database failed: {} (SQLSTATE {}){}", why, state, remedy));
}

}  // namespace calib::postgresql
