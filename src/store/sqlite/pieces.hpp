// Reading a whole table without keeping the app waiting.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/sqlite/connection.hpp"
#include "store/sqlite/schema.hpp"

namespace calib::sqlite {

/// Reads all of `table` in the order of its identity, one read transaction after the other where
/// there is no WAL: a reader keeps the app from committing there. `visit` gets each row: the
/// identity's columns, then `columns` (SQL). `before_next_piece` runs between two transactions,
/// when others may have written.
void read_in_pieces(Connection& connection, const Table& table, const std::string& columns,
                    const std::function<void(SQLite::Statement&)>& visit,
                    const std::function<void()>& before_next_piece);

/// A row's rowid (0 where its table has none), and the text of each column that was asked for, as
/// text_of() has it; valid until the visitor returns.
using TextVisitor =
    std::function<void(std::int64_t rowid, std::span<const std::string_view> texts)>;

/// The same where nothing but the text of some columns is wanted; in half the time where the table
/// has rowids: SQLite calls `visit` where it stands, and no row has to come out.
void visit_in_pieces(Connection& connection, const Table& table,
                     const std::vector<std::string>& columns, const TextVisitor& visit,
                     const std::function<void()>& before_next_piece);

/// Visits ranges of rowids that have all rows of `table`, ascending, each of so many rows that what
/// `visit` does with them in one read transaction is over as soon as a piece would be. For tables
/// with rowids. Returns how many rows there were.
using RangeVisitor = std::function<void(std::int64_t first, std::int64_t last)>;
std::uint64_t visit_ranges(Connection& connection, const Table& table, const RangeVisitor& visit);

/// The text of a column; a number's text, for it compares equal to it where the parent's column is
/// text; empty for NULL and BLOB. Valid until the statement moves on.
std::string_view text_of(SQLite::Statement& row, int column);

/// The identity's columns of `table`, quoted.
std::vector<std::string> quoted_identity(const Table& table);

}  // namespace calib::sqlite
