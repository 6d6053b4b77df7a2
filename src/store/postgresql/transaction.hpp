// One write transaction on a PostgreSQL server.
//
// Many write at once there, and each sees what the others have committed (READ COMMITTED). So a
// slice holds, from when it chooses a session until it commits, that session's row, FOR UPDATE:
// nobody can change it, and an INSERT of an image for it waits on the row (its foreign key takes
// FOR KEY SHARE of it) and fails when the session is gone. An image that was inserted before is
// there for the DELETE to find, which takes a later snapshot. Who has the row first is not waited
// for while the slice holds others': it comes later, when that transaction is done.
//
// Nobody else is kept waiting by that. Only before the commit, when all else is done, seal() takes
// the lock that keeps everyone from adding or changing sessions (SHARE ROW EXCLUSIVE, which
// conflicts with what writers of the table take, and not with the FOR KEY SHARE of those who write
// images of other sessions), looks what sessions have come meanwhile, and commits: a few
// milliseconds, whatever the deletion took (that look reads `sessions`: 70 ms for a million).
// Without an index on the column that refers to sessions the server reads that table for each
// session that goes, and this can take seconds.
//
// Where the role may (a superuser may), the server is told not to look for references to what goes
// (session_replication_role), for that one statement: it deletes them itself, all at once, and the
// locks above keep new ones out. That passes over everything else that a DELETE sets off, too, so
// it is done only where there is nothing of that: plain tables without a trigger or a rule, whose
// keys lead from one column to sessions.id and compare as this statement does. Each transaction
// asks, holding the lock that the statement takes anyway: nobody can change any of it under that.
//
// A lock that is queued for keeps out all who come later, so it is asked for with a short time-out.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "model/pass_error.hpp"
#include "model/session.hpp"
#include "store/postgresql/closure.hpp"
#include "store/postgresql/connection.hpp"
#include "store/postgresql/knowledge.hpp"
#include "store/session_store.hpp"

namespace calib::postgresql {

class Transaction : public StoreTransaction {
 public:
  /// Waits until sessions could be locked, and the other tables for what a deletion does to them,
  /// `wait` at most, and begins.
  Transaction(Connection& connection, Knowledge& knowledge, std::chrono::milliseconds wait);
  ~Transaction() override;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction(Transaction&&) = delete;
  Transaction& operator=(Transaction&&) = delete;

  bool require_writable() override;
  std::vector<Refusal> choose(std::span<const OwnerIndex> owners) override;
  std::vector<Refusal> withdraw(std::span<const OwnerIndex> owners) override;
  void visit_new_sessions(const SessionVisitor& visit) override;
  void delete_records(RecordCounts& counts) override;
  Sealed seal() override;
  CommitOutcome commit() override;
  [[nodiscard]] PassError commit_error() const override { return *commit_error_; }

 private:
  void begin(std::chrono::milliseconds wait);
  void write_nothing();
  bool tables_are_free();
  void wait_for_tables(std::chrono::milliseconds wait);
  bool try_lock_sessions();
  std::vector<Refusal> recheck_sessions(const std::vector<OwnerIndex>& owners);
  std::set<OwnerIndex> lock_rows(const std::vector<OwnerIndex>& owners,
                                 std::vector<Refusal>& refusals);
  std::vector<Refusal> recheck_leaked(const std::vector<OwnerIndex>& owners);
  void find_stereo_keys();
  std::int64_t delete_chosen(RecordCounts& counts);
  void start_closure();
  std::vector<Refusal> refuse_held();
  void drop_chosen(std::span<const OwnerIndex> owners);
  [[nodiscard]] std::vector<std::string> ids_of(const std::vector<OwnerIndex>& owners) const;

  Connection& connection_;
  Knowledge& knowledge_;
  Closure closure_;
  bool open_ = false;
  bool sealed_ = false;
  /// What is left to wait for rows that others hold: they are writing an image, or sit idle in a
  /// transaction.
  std::chrono::milliseconds patience_{60};
  std::vector<OwnerIndex> chosen_;                      ///< sorted
  OwnersByKey ids_;                                     ///< of the chosen sessions
  std::multimap<OwnerIndex, std::string> stereo_keys_;  ///< of the chosen
  OwnersByKey other_keys_;                              ///< leaked and stereo keys of the chosen
  std::vector<std::string> deleted_sessions_;           ///< their ids
  std::vector<std::string> deleted_leaked_;             ///< keys whose records went
  std::optional<std::uint32_t> begun_at_;               ///< for Knowledge::looked_up_to
  std::string looks_in_;                                ///< for Knowledge::looked_in
  bool has_set_off_triggers_ = false;
  bool has_looked_ = false;  ///< at the new sessions
  std::optional<PassError> commit_error_;
};

}  // namespace calib::postgresql
