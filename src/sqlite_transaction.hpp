// One write transaction of a pass over an SQLite database.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "sqlite_closure.hpp"
#include "sqlite_connection.hpp"
#include "sqlite_knowledge.hpp"
#include "sqlite_scan.hpp"

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

  void require_writable() override;
  std::vector<Refusal> choose(std::span<const OwnerIndex> owners) override;
  std::vector<Refusal> withdraw(std::span<const OwnerIndex> owners) override;
  void visit_new_sessions(const SessionVisitor& visit) override;
  void delete_records(RecordCounts& counts) override;
  CommitOutcome commit() override;
  [[nodiscard]] StoreError commit_error() const override { return commit_error_; }

 private:
  std::vector<Refusal> recheck(std::span<const OwnerIndex> owners);
  std::optional<Refusal> recheck_session(OwnerIndex owner, SQLite::Statement& look);
  std::optional<Refusal> recheck_leaked(OwnerIndex owner);
  std::vector<Refusal> refuse_held();
  void look_for_anchors();
  void add_new_rows(const DirectTable& direct, std::optional<std::int64_t> known_up_to,
                    std::vector<std::vector<Run>>& added);
  void for_each_run(const DirectTable& direct, std::size_t position,
                    const std::vector<std::vector<Run>>& added,
                    const std::function<void(const Run&)>& visit);
  void drop_chosen(std::span<const OwnerIndex> owners);
  void anchor_anew();

  Connection& connection_;
  Knowledge& knowledge_;
  Closure& closure_;
  std::chrono::milliseconds usual_wait_;
  bool open_ = false;
  StoreError commit_error_{StoreError::Kind::unusable, "no commit was tried"};
  std::vector<OwnerIndex> chosen_;  ///< sorted
  /// Rows that were added since the scan: for each direct table, for each of its keys.
  std::vector<std::vector<std::vector<Run>>> added_;
  /// For each direct table: the scan knows all rows up to here; nothing: it may know none.
  std::vector<std::optional<std::int64_t>> known_up_to_;
  bool anchors_looked_for_ = false;
  std::vector<std::optional<Anchor>> next_anchors_;
  SessionAnchor next_newest_;
};

}  // namespace calib::sqlite
