#include "store/sqlite/pieces.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <variant>

#include "store/sqlite/row_function.hpp"

namespace calib::sqlite {
namespace {

// The contract promises 200 ms at most; half of it leaves room for a slow disk.
constexpr std::chrono::milliseconds max_read{100};
constexpr unsigned rows_between_looks = 256;
// In a range; how many there are in the next one, the time that the last one took says.
constexpr std::int64_t first_rows = 2048;
constexpr std::int64_t min_rows = 64;

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

/// When a read transaction has been open for long enough.
class PieceClock {
 public:
  explicit PieceClock(const Connection& connection) : connection_(connection) {}
  void start() { began_ = Clock::now(); }
  /// To be asked after each row.
  bool is_over() {
    return ++rows_ % rows_between_looks == 0 && !connection_.is_wal() &&
           Clock::now() - began_ >= max_read;
  }

 private:
  using Clock = std::chrono::steady_clock;
  const Connection& connection_;
  Clock::time_point began_ = Clock::now();
  unsigned rows_ = 0;
};

std::string identity_of(const Table& table) {
  return fmt::format("{}", fmt::join(quoted_identity(table), ", "));
}

/// `select` makes the statement, whose first columns are the identity's, in its order, with the
/// condition that leaves out what was read before (nothing: it is all to be read). A piece ends
/// with the row of which `ends` says so; each begins anew by the clock.
void read_pieces(Connection& connection, const Table& table, PieceClock& clock,
                 const std::function<std::string(const std::string&)>& select,
                 const std::function<bool(SQLite::Statement&)>& ends,
                 const std::function<void()>& before_next_piece) {
  std::vector<std::string> marks;
  for (std::size_t i = 0; i < table.identity.size(); ++i) {
    marks.push_back(fmt::format("?{}", i + 1));
  }
  std::vector<Value> position;
  const auto read_piece = [&](SQLite::Statement& statement) {
    while (statement.executeStep()) {
      if (!ends(statement)) continue;
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

  SQLite::Statement first(connection.database(), select({}));
  bool more = read_piece(first);
  if (!more) return;
  SQLite::Statement next(
      connection.database(),
      select(fmt::format("({}) > ({})", identity_of(table), fmt::join(marks, ", "))));
  while (more) {
    // Not where these pieces are parts of a larger transaction.
    if (sqlite3_get_autocommit(connection.database().getHandle()) != 0) allow_suspension();
    before_next_piece();
    clock.start();
    for (std::size_t i = 0; i < position.size(); ++i) {
      bind_value(next, static_cast<int>(i + 1), position[i]);
    }
    more = read_piece(next);
  }
}

/// visit_in_pieces() for a table with rowids.
void call_in_pieces(Connection& connection, const Table& table,
                    const std::vector<std::string>& columns, const TextVisitor& visit,
                    const std::function<void()>& before_next_piece) {
  PieceClock clock(connection);
  std::vector<std::string_view> texts(columns.size());
  RowFunction function(connection, columns.size() + 1, [&](std::span<sqlite3_value*> values) {
    for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = text_of(values[i + 1]);
    visit(sqlite3_value_int64(values.front()), texts);
    return clock.is_over();
  });
  const auto rowid = quoted_name(table.identity.front());
  std::string call = fmt::format("{}({}", RowFunction::name, rowid);
  for (const auto& column : columns) call += ", " + quoted_name(column);
  call += ")";
  const auto select = [&](const std::string& rest) {
    // No index, whose order is another one; and no call for a row that is left out, whichever
    // condition is looked at first.
    const auto condition =
        rest.empty() ? call : fmt::format("{0} AND CASE WHEN {0} THEN {1} ELSE 0 END", rest, call);
    return fmt::format("SELECT {0} FROM {1} NOT INDEXED WHERE {2} ORDER BY {0}", rowid,
                       main_table(table), condition);
  };
  function.run([&] {
    read_pieces(
        connection, table, clock, select, [](const SQLite::Statement&) { return true; },
        before_next_piece);
  });
}

/// visit_in_pieces() for any table.
void step_in_pieces(Connection& connection, const Table& table,
                    const std::vector<std::string>& columns, const TextVisitor& visit,
                    const std::function<void()>& before_next_piece) {
  const auto first = static_cast<int>(table.identity.size());
  std::vector<std::string> quoted;
  quoted.reserve(columns.size());
  for (const auto& column : columns) quoted.push_back(quoted_name(column));
  std::vector<std::string_view> texts(columns.size());
  read_in_pieces(
      connection, table, fmt::format("{}", fmt::join(quoted, ", ")),
      [&](SQLite::Statement& row) {
        for (std::size_t i = 0; i < texts.size(); ++i) {
          texts[i] = text_of(row, first + static_cast<int>(i));
        }
        visit(table.has_rowid ? row.getColumn(0).getInt64() : 0, texts);
      },
      before_next_piece);
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
  PieceClock clock(connection);
  const auto select = [&](const std::string& rest) {
    return fmt::format("SELECT {0}, {1} FROM {2}{3}{4} ORDER BY {0}", identity_of(table), columns,
                       main_table(table), rest.empty() ? "" : " WHERE ", rest);
  };
  const auto ends = [&](SQLite::Statement& row) {
    visit(row);
    return clock.is_over();
  };
  read_pieces(connection, table, clock, select, ends, before_next_piece);
}

std::uint64_t visit_ranges(Connection& connection, const Table& table, const RangeVisitor& visit) {
  // By rows, for between two rowids there may be anything or nothing.
  SQLite::Statement end(
      connection.database(),
      fmt::format("SELECT max({0}), count(*) FROM (SELECT {0} FROM {1} NOT INDEXED WHERE {0} >= "
                  "?1 ORDER BY {0} LIMIT ?2)",
                  quoted_name(table.identity.front()), main_table(table)));
  std::uint64_t count = 0;
  auto first = std::numeric_limits<std::int64_t>::min();
  for (auto rows = first_rows;;) {
    const auto began = std::chrono::steady_clock::now();
    end.bind(1, first);
    end.bind(2, rows);
    end.executeStep();
    if (end.isColumnNull(0)) return count;
    const auto last = end.getColumn(0).getInt64();
    count += static_cast<std::uint64_t>(end.getColumn(1).getInt64());
    end.reset();
    visit(first, last);
    if (last == std::numeric_limits<std::int64_t>::max()) return count;
    first = last + 1;
    const auto took = std::chrono::steady_clock::now() - began;
    if (took < max_read / 4) rows *= 2;
    if (took > max_read / 2) rows = std::max(rows / 2, min_rows);
    allow_suspension();
  }
}

void visit_in_pieces(Connection& connection, const Table& table,
                     const std::vector<std::string>& columns, const TextVisitor& visit,
                     const std::function<void()>& before_next_piece) {
  // Only rows that come in the order of their rowids need no sorting, which SQLite does at the end:
  // it would call for all of them first.
  if (table.has_rowid && columns.size() < RowFunction::max_values) {
    call_in_pieces(connection, table, columns, visit, before_next_piece);
  } else {
    step_in_pieces(connection, table, columns, visit, before_next_piece);
  }
}

}  // namespace calib::sqlite
