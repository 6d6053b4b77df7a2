// What a pass needs of a session database. One implementation for each kind of database; nothing
// of SQLite or PostgreSQL shows here.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.hpp"
#include "base/stop.hpp"
#include "model/database.hpp"
#include "model/pass_error.hpp"
#include "model/session.hpp"

namespace calib {

enum class CommitOutcome {
  committed,
  busy,    ///< others kept it from committing; it is rolled back; try again
  unknown  ///< an error: whether it holds must be asked (SessionStore::present)
};

/// Since when nobody else can add or change a session, until the transaction ends.
enum class Sealed {
  before,  ///< from its begin, or an earlier seal()
  now      ///< till now they could: visit_new_sessions() again
};

/// One write transaction. Nothing holds before commit(); the destructor rolls back.
class StoreTransaction {
 public:
  virtual ~StoreTransaction() = default;

  /// Makes sure that the database takes a change, by one that changes nothing: holding the write
  /// lock does not mean that a journal can be made. True where others could write meanwhile: what
  /// this transaction had looked at by then has to be looked at again. Throws PassError.
  [[nodiscard]] virtual bool require_writable() = 0;

  /// Chooses these owners, checking each again: its row unchanged, no row that stays referring to
  /// it. The refused ones are not chosen. Again after delete_records(), for more owners. Throws
  /// PassError: disturbed where others hold rows of some of them.
  virtual std::vector<Refusal> choose(std::span<const OwnerIndex> owners) = 0;

  /// Takes owners back out; whoever cannot go without them is refused in turn.
  virtual std::vector<Refusal> withdraw(std::span<const OwnerIndex> owners) = 0;

  /// Visits the sessions that may have been added since the last look at all of them (some that
  /// were there may be among them).
  virtual void visit_new_sessions(const SessionVisitor& visit) = 0;

  /// Whether that takes no longer than the app may be kept waiting for. If not, others have written
  /// since SessionStore::reread_sessions(), which then does it without keeping anybody waiting.
  [[nodiscard]] virtual bool can_look_quickly() { return true; }

  /// Deletes the rows of the chosen owners, sessions last, and adds to `counts` what went.
  virtual void delete_records(RecordCounts& counts) = 0;

  /// Keeps everybody from adding or changing sessions until the end. Throws PassError (busy where
  /// others are at it).
  virtual Sealed seal() = 0;

  /// After seal().
  virtual CommitOutcome commit() = 0;

  /// What the database said where commit() did not answer `committed`.
  [[nodiscard]] virtual PassError commit_error() const = 0;

 protected:
  StoreTransaction() = default;
  StoreTransaction(const StoreTransaction&) = delete;
  StoreTransaction(StoreTransaction&&) = delete;
  StoreTransaction& operator=(const StoreTransaction&) = delete;
  StoreTransaction& operator=(StoreTransaction&&) = delete;

 private:
  DefersSuspension until_the_end_;
};

/// The session database of one app. Every call may throw PassError.
class SessionStore {
 public:
  virtual ~SessionStore() = default;

  /// Visits every session that was committed before the call, once or, where it is rewritten
  /// meanwhile, twice.
  virtual void visit_sessions(const SessionVisitor& visit) = 0;

  /// How many sessions there are now.
  virtual std::uint64_t count_sessions() = 0;

  /// Visits what a transaction could not look at in the time for which it may keep the app waiting,
  /// or said so of (can_look_quickly()): every session, some that are as they were among them; none
  /// where nobody else has written since the last look. Before begin(), where claims count.
  virtual void reread_sessions(const SessionVisitor& visit) { static_cast<void>(visit); }

  /// Looks at every row that may hang on a session: what goes with `doomed`, and what leaked.
  /// Once after each visit_sessions. Transactions know the owners from here: what it returns must
  /// outlive them (it may be moved).
  virtual Survey survey(std::span<const DoomedKey> doomed, Leaked leaked) = 0;

  /// Whether a single session may take longer than a transaction should.
  [[nodiscard]] virtual bool is_slow() const { return false; }

  /// Stands for this database in the names of directories that are moved aside (see
  /// base/staged_name.hpp); empty where nothing tells it from others for good.
  [[nodiscard]] virtual std::string mark() = 0;

  /// Waits until the database can be written, `wait` at most (busy after that).
  virtual std::unique_ptr<StoreTransaction> begin(std::chrono::milliseconds wait) = 0;

  /// Asks, on a connection of its own, which of these sessions are there. After a commit whose
  /// outcome is unknown: what the database still does about it is waited for.
  virtual std::vector<bool> present(std::span<const OwnerIndex> owners) = 0;

  /// Sees to it that what was read until now would be read again after a power loss: who committed
  /// it need not have synced all of it. Throws PassError, unusable.
  virtual void make_durable() = 0;

  /// Bytes of the whole database; nothing where it does not tell.
  virtual std::optional<std::uint64_t> size_bytes() = 0;

  /// Bytes in pages that hold nothing; nothing where the database does not tell.
  virtual std::optional<std::uint64_t> free_bytes() = 0;

  /// Gives free pages back to the disk; how many bytes. Throws PassError: full where there is no
  /// room for it, refused where the database cannot be vacuumed here, disturbed where it is done,
  /// but the file shrinks later.
  virtual std::uint64_t vacuum() = 0;

  /// Things about this database that its owner should know, a sentence each.
  [[nodiscard]] virtual std::vector<std::string> remarks() const = 0;

 protected:
  SessionStore() = default;
  SessionStore(const SessionStore&) = default;
  SessionStore(SessionStore&&) = default;
  SessionStore& operator=(const SessionStore&) = default;
  SessionStore& operator=(SessionStore&&) = default;
};

enum class Access { read_only, read_write };

/// Opens the database and makes sure that it is this app's. Never creates one. Throws PassError:
/// unusable, or busy where it stays locked for longer than `wait`. `progress`, where there is one,
/// is told of who is waited for; it must outlive the store.
std::unique_ptr<SessionStore> open_store(const DatabaseLocation& location, Access access,
                                         std::chrono::milliseconds wait, const StopFlag& stop,
                                         Progress* progress = nullptr);

/// The makers that open_store chooses from.
std::unique_ptr<SessionStore> open_sqlite_store(const DatabaseLocation& location, Access access,
                                                std::chrono::milliseconds wait,
                                                const StopFlag& stop, Progress* progress);
std::unique_ptr<SessionStore> open_postgresql_store(const DatabaseLocation& location, Access access,
                                                    std::chrono::milliseconds wait,
                                                    const StopFlag& stop, Progress* progress);

}  // namespace calib
