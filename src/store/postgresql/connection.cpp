#include "store/postgresql/connection.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <thread>

namespace calib::postgresql {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = StoreError::Kind;
using std::chrono::milliseconds;

// What an answer may take once the pass is to stop: the rest of the second is for the folder.
constexpr milliseconds grace{600};

// What lock_timeout can hold: 24 days.
constexpr milliseconds longest_lock_wait{std::numeric_limits<std::int32_t>::max()};

// Between two statements of a transaction, where directories are moved: some 100 ms on a disk that
// does its work. Whoever is stopped there, or hangs, has locks that others wait for.
constexpr std::chrono::minutes longest_pause{1};

// A server that has been stopped never answers, and a COMMIT may wait for a standby that is away.
// What a statement waits for locks comes on top, and reading all tables at a rate that any disk
// has.
constexpr std::chrono::minutes longest_silence_of_a_server{1};
constexpr std::uint64_t slowest_bytes_per_second = 10'000'000;

/// What a statement is called in a message.
std::string name_of(const std::string& sql) {
  auto name = sql.substr(0, sql.find_first_of(" ;"));
  return name == "WITH" ? "DELETE" : name;
}

}  // namespace

Connection::Connection(const DatabaseLocation& location, Access access, milliseconds wait,
                       const StopFlag& stop)
    : path_(location.display), access_(access), wait_(wait), stop_(stop) {
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

bool Connection::is_cockroach() const {
  return library().parameterStatus(connection_, "crdb_version") != nullptr;
}

void Connection::check_stop() const {
  if (stop_.requested()) throw StoreError(Kind::stopped, "stopped");
}

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
milliseconds Connection::longest_silence(Stoppable stoppable) const {
  if (stoppable == Stoppable::no) return longest_silence_of_a_server;
  return longest_silence_of_a_server + lock_wait_ + reading_time_;
}

/// Nobody knows what the server still does: a closed connection does nothing new.
void Connection::give_up(const std::string& why) {
  close();
  given_up_for_ = why;
}

void Connection::wait_for_answer(Stoppable stoppable) {
  const auto& pq = library();
  const auto limit = longest_silence(stoppable);
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
        if (stoppable == Stoppable::yes) throw StoreError(Kind::stopped, "stopped");
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
  std::optional<StoreError> refused;
  try {
    while (auto rows = next(Stoppable::yes)) {
      const auto row = checked(std::move(*rows));
      if (row.count() == 0 || refused) continue;
      try {
        visit(row);
      } catch (const StoreError& error) {
        // The rest of the answer has to be read before anything else can be said.
        refused = error;
      }
    }
  } catch (const StoreError&) {
    throw;
  } catch (...) {
    close();
    throw;
  }
  if (refused) throw StoreError(*refused);
}

void Connection::begin(Access access, milliseconds lock_wait, Kind timed_out) {
  timed_out_ = timed_out;
  lock_wait_ = std::min<milliseconds>(lock_wait, longest_lock_wait);
  // row_security: a policy that hides sessions would make orphans of their directories; so the
  // server is to refuse what it would have to filter. Keys travel as text, so it has to be exact:
  // floating-point numbers are in full from 1 on since PostgreSQL 12, and with 3 before.
  query(
      fmt::format("BEGIN ISOLATION LEVEL {} {}; {}; SET LOCAL row_security = off; "
                  "SET LOCAL client_encoding = 'UTF8'; SET LOCAL datestyle = 'ISO, YMD'; "
                  "SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC'; "
                  "SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 3; "
                  "SET LOCAL statement_timeout = 0; "
                  "SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL lock_timeout = "
                  "{}",
                  // What is no lock there has to be a serialization failure.
                  is_cockroach() ? "SERIALIZABLE" : "READ COMMITTED",
                  access == Access::read_only ? "READ ONLY" : "READ WRITE", own_search_path,
                  milliseconds(longest_pause).count(), lock_wait_.count()));
  if (access == Access::read_only || is_cockroach()) return;
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

}  // namespace calib::postgresql
