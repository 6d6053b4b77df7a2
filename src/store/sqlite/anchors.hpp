// How the rows of a table that is read are told from what was added to it since.
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

/// A row, and what it said. While it stands, rows added since have higher rowids, for SQLite takes
/// the one after the highest; where it is gone, rowids may have been used again.
struct Anchor {
  std::int64_t rowid = 0;
  std::vector<std::string> values;
};

/// Some of the rows of one table, ascending: where the highest ones are gone, a lower one may still
/// stand. None where the table has no rowids, or rows may stand anywhere.
class Anchors {
 public:
  /// `columns` tell one row from another that took its rowid. The table must outlive this.
  Anchors(const Table& table, std::span<const std::string> columns);

  /// Takes them of the rows that stand now. Whoever reads the table after that knows, of the rows
  /// up to one that still stands, all that there are.
  void take(Connection& connection);

  /// The highest rowid of a row that was taken, or told by moved(), and still stands. Those above
  /// it are dropped. Nothing where none is left.
  std::optional<std::int64_t> highest(Connection& connection);

  /// The highest row up to `rowid`, for moved().
  [[nodiscard]] std::optional<Anchor> look_up_to(std::int64_t rowid, Connection& connection) const;

  /// Rows have gone, and `top`, as look_up_to() saw it, is the highest row that is known by now.
  void moved(std::optional<Anchor> top);

 private:
  [[nodiscard]] std::string select_up_to() const;
  static std::optional<Anchor> look_up_to(std::int64_t rowid, SQLite::Statement& look);

  const Table* table_;
  std::string columns_;
  std::vector<Anchor> anchors_;
};

}  // namespace calib::sqlite
