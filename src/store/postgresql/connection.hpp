// A connection to the session database on a PostgreSQL server: how it connects, waits and stops,
// and what the server's errors mean to a pass.
//
// Nothing here blocks in libpq, but for names that a resolver does not answer. Each wait is a
// poll() of some milliseconds, so that the stop flag ends a statement (the server is asked to
// cancel it), and a server that says nothing any more, or a network that swallows everything, ends
// in an error. What the server itself is told about waiting stands in Transaction settings, which
// are SET LOCAL: whatever role and database are configured to, and nothing is left behind.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/stop.hpp"
#include "model/pass_error.hpp"
#include "store/postgresql/rows.hpp"
#include "store/postgresql/url.hpp"
#include "store/session_store.hpp"

namespace calib::postgresql {

/// An error that the server reported, or that the connection is lost.
class ServerError : public PassError {
 public:
  ServerError(Kind kind, const std::string& path, const std::string& text, std::string state)
      : PassError(kind, path, text), state_(std::move(state)) {}
  /// The SQLSTATE; empty where the connection itself failed.
  [[nodiscard]] const std::string& state() const { return state_; }

 private:
  std::string state_;
};

/// How often whoever waits looks at the stop flag.
inline constexpr std::chrono::milliseconds look_interval{20};

/// Waits until the socket is ready for one of `events` (as poll() has them); 0: the time is over.
int wait_for_socket(int socket, short events, std::chrono::milliseconds time);

class Connection {
 public:
  /// Connects. Throws PassError: unusable, or stopped.
  Connection(const DatabaseLocation& location, Access access, std::chrono::milliseconds wait,
             const StopFlag& stop, Progress* progress = nullptr);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  /// Gives the connection up, and makes a new one. The server ends what was open on the old one.
  void reopen();

  /// One statement; parameters are $1, $2 … Throws PassError.
  Rows query(const std::string& sql, const std::vector<std::string>& parameters = {});

  /// The same for an answer of any size: each row is visited (index 0) and forgotten.
  void stream(const std::string& sql, const std::vector<std::string>& parameters,
              const std::function<void(const Rows&)>& visit);

  /// BEGIN. A lock is waited for as long as `lock_wait`, in each statement; then PassError of kind
  /// `timed_out`.
  void begin(Access access, std::chrono::milliseconds lock_wait, PassError::Kind timed_out);

  /// What all tables take on the server's disk: reading them takes its time.
  void expect_to_read(std::uint64_t bytes);

  /// How long a statement waits for a lock, as the last begin() has it.
  [[nodiscard]] std::chrono::milliseconds lock_wait() const { return lock_wait_; }

  /// Whether the server has warned, since this was last asked, that it passed over what is locked.
  [[nodiscard]] bool has_passed_over() { return std::exchange(passed_over_, false); }

  /// COMMIT, whatever the stop flag says. Nothing where it holds.
  std::optional<ServerError> commit();

  /// Never throws. Where it fails the connection is closed, which rolls back, too.
  void roll_back() noexcept;

  /// Runs `work` in a transaction that only reads.
  template <typename Work>
  auto reading(Work&& work) -> decltype(work()) {
    const DefersSuspension until_the_end;
    begin(Access::read_only, std::max(wait_, std::chrono::milliseconds{1}), PassError::Kind::busy);
    const RollBack at_end(*this);
    return work();
  }

  /// Runs `work` with names looked for where the role has them looked for: what triggers expect.
  /// Everywhere else in a transaction a name without its schema is the server's own, whatever
  /// somebody has put in its way.
  template <typename Work>
  auto on_roles_path(Work&& work) -> decltype(work()) {
    query("SET LOCAL search_path TO DEFAULT");
    auto result = work();
    query(own_search_path);
    return result;
  }

  /// Runs `work`, whose statements set off triggers, constraints and the like: whatever those
  /// refuse it with, is of kind refused.
  template <typename Work>
  auto setting_off_triggers(Work&& work) -> decltype(work()) {
    const SetsOff until_the_end(sets_off_triggers_);
    return work();
  }

  /// Sleeps, in steps that see the stop flag. Throws PassError (stopped).
  void pause(std::chrono::milliseconds time) const;
  void check_stop() const;

  /// Whether the URL says in which schemas to look.
  [[nodiscard]] bool url_sets_search_path() const { return sets_search_path(parameters_); }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Whom to tell of waiting; null where nobody wants to know.
  [[nodiscard]] Progress* progress() const { return progress_; }
  [[nodiscard]] std::chrono::milliseconds wait() const { return wait_; }

  [[nodiscard]] PassError failure(PassError::Kind kind, const std::string& text) const {
    return {kind, path_, text};
  }

 private:
  class RollBack {
   public:
    explicit RollBack(Connection& connection) : connection_(connection) {}
    ~RollBack() { connection_.roll_back(); }
    RollBack(const RollBack&) = delete;
    RollBack& operator=(const RollBack&) = delete;
    RollBack(RollBack&&) = delete;
    RollBack& operator=(RollBack&&) = delete;

   private:
    Connection& connection_;
  };
  class SetsOff {
   public:
    explicit SetsOff(bool& flag) : flag_(flag) { flag_ = true; }
    ~SetsOff() { flag_ = false; }
    SetsOff(const SetsOff&) = delete;
    SetsOff& operator=(const SetsOff&) = delete;
    SetsOff(SetsOff&&) = delete;
    SetsOff& operator=(SetsOff&&) = delete;

   private:
    bool& flag_;
  };
  enum class Stoppable { yes, no };
  static constexpr const char* own_search_path = "SET LOCAL search_path = pg_catalog, pg_temp";

  static void take_notice(void* connection, const PGresult* notice);
  void connect();
  void refuse_unknown_keywords() const;
  void learn_secrets();
  void close() noexcept;
  [[nodiscard]] std::chrono::milliseconds connect_time() const;
  void prepare_session();
  void send(const std::string& sql, const std::vector<std::string>& parameters);
  /// The next part of the answer; nothing after the last one.
  std::optional<Rows> next(Stoppable stoppable);
  [[nodiscard]] std::chrono::milliseconds max_silence(Stoppable stoppable) const;
  void give_up(const std::string& why);
  void ask_to_cancel() noexcept;
  void wait_for_answer(Stoppable stoppable);
  void drain() noexcept;
  Rows checked(Rows rows);
  [[nodiscard]] ServerError lost() const;
  [[nodiscard]] ServerError error_of(const PGresult* result) const;
  [[nodiscard]] std::string one_line(std::string_view text) const;

  std::string path_;
  Parameters parameters_;
  std::vector<std::string> secrets_;
  Access access_;
  std::chrono::milliseconds wait_;
  const StopFlag& stop_;
  Progress* progress_;
  PGconn* connection_ = nullptr;
  bool is_first_ = true;  ///< no connection has been made yet
  PassError::Kind timed_out_ = PassError::Kind::busy;
  std::chrono::milliseconds lock_wait_{0};
  std::chrono::milliseconds reading_time_{0};
  std::string statement_;     ///< the one that was sent last, by its name
  std::string given_up_for_;  ///< why the connection was closed from this side
  bool cancelled_ = false;
  bool passed_over_ = false;
  bool sets_off_triggers_ = false;
};

}  // namespace calib::postgresql
