#include "store/sqlite/anchors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "store/sqlite/pieces.hpp"

namespace calib::sqlite {
namespace {

// So many times further below than the one before each is taken.
constexpr std::int64_t farther = 4;

// Beyond this one there is no rowid: SQLite gives out any that is free, below others, too
// (https://www.sqlite.org/autoinc.html).
constexpr auto last_rowid = std::numeric_limits<std::int64_t>::max();
constexpr auto first_rowid = std::numeric_limits<std::int64_t>::min();

}  // namespace

Anchors::Anchors(const Table& table, std::span<const std::string> columns) : table_(&table) {
  for (const auto& column : columns) columns_ += ", " + quoted_name(column);
}

void Anchors::take(Connection& connection) {
  anchors_.clear();
  if (!table_->has_rowid) return;
  SQLite::Statement look(connection.database(), select_up_to());
  // Where the newest rows go while a pass runs, as many below them have to be looked at again as
  // there are up to the next one.
  std::int64_t distance = 1;
  for (auto anchor = look_up_to(last_rowid, look); anchor; distance *= farther) {
    anchors_.push_back(std::move(*anchor));
    const auto rowid = anchors_.back().rowid;
    if (distance > last_rowid / farther || rowid < first_rowid + distance) break;
    anchor = look_up_to(rowid - distance, look);
  }
  std::reverse(anchors_.begin(), anchors_.end());
}

std::optional<std::int64_t> Anchors::highest(Connection& connection) {
  if (anchors_.empty()) return std::nullopt;
  const auto rowid = quoted_name(table_->identity.front());
  SQLite::Statement look(connection.database(),
                         fmt::format("SELECT {}{} FROM {} WHERE {} = ?1", rowid, columns_,
                                     main_table(*table_), rowid));
  const auto stands = [&](const Anchor& anchor) {
    look.reset();
    look.bind(1, anchor.rowid);
    if (!look.executeStep()) return false;
    for (std::size_t i = 0; i < anchor.values.size(); ++i) {
      if (text_of(look, static_cast<int>(i + 1)) != anchor.values[i]) return false;
    }
    return true;
  };
  while (!anchors_.empty() && !stands(anchors_.back())) anchors_.pop_back();
  if (anchors_.empty()) return std::nullopt;
  return anchors_.back().rowid;
}

std::optional<Anchor> Anchors::look_up_to(std::int64_t rowid, Connection& connection) const {
  if (!table_->has_rowid) return std::nullopt;
  SQLite::Statement look(connection.database(), select_up_to());
  return look_up_to(rowid, look);
}

std::string Anchors::select_up_to() const {
  return fmt::format("SELECT {0}{1} FROM {2} WHERE {0} <= ?1 ORDER BY {0} DESC LIMIT 1",
                     quoted_name(table_->identity.front()), columns_, main_table(*table_));
}

std::optional<Anchor> Anchors::look_up_to(std::int64_t rowid, SQLite::Statement& last) {
  last.reset();
  last.bind(1, rowid);
  if (!last.executeStep()) return std::nullopt;
  Anchor anchor{last.getColumn(0).getInt64(), {}};
  if (anchor.rowid == last_rowid) return std::nullopt;
  for (int column = 1; column < last.getColumnCount(); ++column) {
    anchor.values.emplace_back(text_of(last, column));
  }
  return anchor;
}

void Anchors::moved(std::optional<Anchor> top) {
  while (!anchors_.empty() && (!top || anchors_.back().rowid >= top->rowid)) anchors_.pop_back();
  if (top) anchors_.push_back(std::move(*top));
}

}  // namespace calib::sqlite
