// How a table that was read is told from what was added to it since.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/sqlite/connection.hpp"
#include "store/sqlite/schema.hpp"

namespace calib::sqlite {

/// A row that was read, with all rows below it, and what it said. While it stands, rows added since
/// have higher rowids; where it is gone, rowids may have been used again.
struct Anchor {
  std::int64_t rowid = 0;
  std::vector<std::string> values;
};

/// Some of the rows of one table, ascending: where the highest ones are gone, a lower one may still
/// stand. None where the table has no rowids, or rows may stand anywhere.
class Anchors {
 public:
  Anchors() = default;
  /// `columns` tell one row from another that took its rowid. The table must outlive this.
  Anchors(const Table& table, std::span<const std::string> columns);

  /// The table is read anew: start(), every row in the order of its rowids, between_reads() before
  /// a read transaction other than the first, finish().
  void start();
  void row(std::int64_t rowid, std::span<const std::string_view> values);
  void between_reads(Connection& connection);
  void finish();

  /// The highest rowid up to which every row was read, or was told by moved(). Anchors that do not
  /// stand any more are dropped. Nothing where none is left.
  std::optional<std::int64_t> highest(Connection& connection);

  /// The highest row up to `rowid`, for moved().
  [[nodiscard]] std::optional<Anchor> look_up_to(std::int64_t rowid, Connection& connection) const;

  /// Rows have gone, and `top`, as look_up_to() saw it, is the highest row that is known by now.
  void moved(std::optional<Anchor> top);

 private:
  void drop_anchor();

  const Table* table_ = nullptr;
  std::string columns_;
  std::vector<Anchor> anchors_;
  Anchor last_;
  std::uint64_t rows_ = 0;
  bool gapless_ = false;  ///< whether every row up to the last one was read
};

}  // namespace calib::sqlite
