// Rows that were added since the scan: its runs do not know them, and they go with their sessions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "store/sqlite/connection.hpp"
#include "store/sqlite/knowledge.hpp"
#include "store/sqlite/pieces.hpp"
#include "store/sqlite/scan.hpp"

namespace calib::sqlite {

/// For one write transaction.
class AddedRows {
 public:
  AddedRows(Connection& connection, Knowledge& knowledge);

  /// Finds those of the owners that are in the owner table now. May be called again for others.
  void find();

  /// Visits ranges with all rows of `table` that may go, hold or be set with these owners (sorted).
  void for_each_range(std::size_t table, std::span<const OwnerIndex> owners,
                      const RangeVisitor& visit);

  /// Visits the runs of these owners (sorted) in a direct table by one of its keys: what the scan
  /// found, and what was added.
  void for_each_run(std::size_t direct, std::size_t position, std::span<const OwnerIndex> owners,
                    const std::function<void(const Run&)>& visit) const;

  /// After rows were deleted: up to where the next transaction may rely on the scan.
  void look_ahead();

  /// The deletion is committed, and what look_ahead() saw holds.
  void committed();

 private:
  void look_for_anchors();
  bool has_rows_above(const Table& table, std::optional<std::int64_t> rowid);
  void find_in(const DirectTable& direct, std::optional<std::int64_t> known_up_to,
               std::vector<std::vector<Run>>& added);

  Connection& connection_;
  Knowledge& knowledge_;
  std::vector<std::vector<std::vector<Run>>> added_;  ///< for each direct table, for each key
  /// For each table: the survey knows all rows up to here; nothing: it may know none.
  std::vector<std::optional<std::int64_t>> known_up_to_;
  bool anchors_looked_for_ = false;
  bool has_changed_ = false;  ///< others have written since the survey began
  std::vector<std::optional<Anchor>> next_anchors_;
};

}  // namespace calib::sqlite
