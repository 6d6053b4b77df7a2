// One write transaction of a pass over an SQLite database.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "store/sqlite/added_rows.hpp"
#include "store/sqlite/closure.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/knowledge.hpp"

namespace calib::sqlite {

class Transaction : public StoreTransaction {
 public:
  Transaction(Connection& connection, Knowledge& knowledge, Closure& closure,
              std::chrono::milliseconds wait, std::chrono::milliseconds usual_wait);
  ~Transaction() override;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction(Transaction&&) = delete;
  Transaction& operator=(Transaction&&) = delete;

  bool require_writable() override;
  std::vector<Refusal> choose(std::span<const OwnerIndex> owners) override;
  std::vector<Refusal> withdraw(std::span<const OwnerIndex> owners) override;
  void visit_new_sessions(const SessionVisitor& visit) override;
  [[nodiscard]] bool can_look_quickly() override;
  void delete_records(RecordCounts& counts) override;
  Sealed seal() override { return Sealed::before; }
  CommitOutcome commit() override;
  [[nodiscard]] PassError commit_error() const override { return commit_error_; }

 private:
  /// What is refused in `work` is so whoever is chosen: smaller slices would not help.
  template <typename Work>
  void for_every_slice(const Work& work);
  std::vector<Refusal> recheck(std::span<const OwnerIndex> owners);
  std::optional<Refusal> recheck_session(OwnerIndex owner, SQLite::Statement& look);
  std::vector<Refusal> refuse_held();
  void drop_chosen(std::span<const OwnerIndex> owners);
  /// Whether the sessions that were read are as they were.
  bool known_sessions_stand();

  Connection& connection_;
  Knowledge& knowledge_;
  Closure& closure_;
  std::chrono::milliseconds usual_wait_;
  bool open_ = false;
  PassError commit_error_{PassError::Kind::unusable, "no commit was tried"};
  std::vector<OwnerIndex> chosen_;  ///< sorted
  AddedRows added_rows_;
  std::optional<std::int64_t> visited_version_;  ///< the data version of visit_new_sessions()
  std::optional<bool> known_stand_;              ///< once it was asked for
  std::optional<SeenSessions> seen_;             ///< by visit_new_sessions(), where that is news
  std::vector<std::uint64_t> deleted_;           ///< fingerprints of sessions
  std::optional<std::int64_t> highest_left_;     ///< rowid of a session, after delete_records()
};

}  // namespace calib::sqlite
