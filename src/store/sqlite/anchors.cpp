#include "store/sqlite/anchors.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "store/sqlite/pieces.hpp"

namespace calib::sqlite {
namespace {

// Where the newest rows go while a pass runs, at most so many more have to be looked at again.
constexpr std::uint64_t rows_between_anchors = 4096;

// Beyond this one there is no rowid: SQLite gives out any that is free, below others, too
// (https://www.sqlite.org/autoinc.html).
constexpr auto last_rowid = std::numeric_limits<std::int64_t>::max();

}  // namespace

Anchors::Anchors(const Table& table, std::span<const std::string> columns) : table_(&table) {
  for (const auto& column : columns) columns_ += ", " + quoted_name(column);
}

void Anchors::start() {
  anchors_.clear();
  last_ = {};
  rows_ = 0;
  gapless_ = table_->has_rowid;
}

void Anchors::row(std::int64_t rowid, std::span<const std::string_view> values) {
  last_.rowid = rowid;
  last_.values.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) last_.values[i].assign(values[i]);
  if (++rows_ % rows_between_anchors == 0) drop_anchor();
}

void Anchors::between_reads(Connection& connection) {
  // Where the last row is gone, others may have come in below what is read from here on.
  drop_anchor();
  gapless_ = gapless_ && highest(connection) == last_.rowid;
}

void Anchors::finish() {
  drop_anchor();
  if (rows_ > 0 && last_.rowid == last_rowid) anchors_.clear();
}

void Anchors::drop_anchor() {
  if (!gapless_ || rows_ == 0) return;
  if (!anchors_.empty() && anchors_.back().rowid == last_.rowid) return;
  anchors_.push_back(last_);
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
  SQLite::Statement last(
      connection.database(),
      fmt::format("SELECT {0}{1} FROM {2} WHERE {0} <= ?1 ORDER BY {0} DESC LIMIT 1",
                  quoted_name(table_->identity.front()), columns_, main_table(*table_)));
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
