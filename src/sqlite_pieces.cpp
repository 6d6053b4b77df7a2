#include "sqlite_pieces.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include <cstdint>
#include <variant>

namespace calib::sqlite {
namespace {

// The contract promises 200 ms at most; half of it leaves room for a slow disk.
constexpr std::chrono::milliseconds longest_read{100};
constexpr unsigned rows_between_looks = 256;

struct Blob {
  std::string bytes;
};
using Value = std::variant<std::monostate, std::int64_t, double, std::string, Blob>;

Value value_of(SQLite::Statement& row, int index) {
  const auto column = row.getColumn(index);
  switch (column.getType()) {
    case SQLITE_INTEGER:
      return column.getInt64();
    case SQLITE_FLOAT:
      return column.getDouble();
    case SQLITE_TEXT:
      return column.getString();
    case SQLITE_BLOB:
      return Blob{column.getString()};
    default:
      return std::monostate{};
  }
}

void bind_value(SQLite::Statement& statement, int index, const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    statement.bind(index, *integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    statement.bind(index, *real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    statement.bind(index, *text);
  } else if (const auto* blob = std::get_if<Blob>(&value)) {
    statement.bind(index, blob->bytes.data(), static_cast<int>(blob->bytes.size()));
  } else {
    statement.bind(index);
  }
}

}  // namespace

std::string_view text_of(SQLite::Statement& row, int index) {
  const auto column = row.getColumn(index);
  const int type = column.getType();
  if (type == SQLITE_NULL || type == SQLITE_BLOB) return {};
  const char* text = column.getText();
  return {text, static_cast<std::size_t>(column.getBytes())};
}

std::vector<std::string> quoted_identity(const Table& table) {
  std::vector<std::string> columns;
  columns.reserve(table.identity.size());
  for (const auto& name : table.identity) columns.push_back(quoted_name(name));
  return columns;
}

void read_in_pieces(Connection& connection, const Table& table, const std::string& columns,
                    const std::function<void(SQLite::Statement&)>& visit,
                    const std::function<void()>& before_next_piece) {
  const auto identity = fmt::format("{}", fmt::join(quoted_identity(table), ", "));
  const auto select = fmt::format("SELECT {}, {} FROM {}", identity, columns, main_table(table));
  std::vector<std::string> marks;
  for (std::size_t i = 0; i < table.identity.size(); ++i)
    marks.push_back(fmt::format("?{}", i + 1));
  const auto where = fmt::format(" WHERE ({}) > ({})", identity, fmt::join(marks, ", "));
  const auto order = fmt::format(" ORDER BY {}", identity);

  std::vector<Value> position;
  const auto read_piece = [&](SQLite::Statement& statement) {
    const auto began = std::chrono::steady_clock::now();
    unsigned rows = 0;
    while (statement.executeStep()) {
      visit(statement);
      if (++rows % rows_between_looks != 0 || connection.is_wal() ||
          std::chrono::steady_clock::now() - began < longest_read) {
        continue;
      }
      position.clear();
      for (std::size_t i = 0; i < table.identity.size(); ++i) {
        position.push_back(value_of(statement, static_cast<int>(i)));
      }
      statement.reset();
      return true;
    }
    statement.reset();
    return false;
  };

  SQLite::Statement first(connection.database(), select + order);
  bool more = read_piece(first);
  if (!more) return;
  SQLite::Statement next(connection.database(), select + where + order);
  while (more) {
    before_next_piece();
    for (std::size_t i = 0; i < position.size(); ++i) {
      bind_value(next, static_cast<int>(i + 1), position[i]);
    }
    more = read_piece(next);
  }
}

}  // namespace calib::sqlite
