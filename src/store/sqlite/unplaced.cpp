#include "store/sqlite/unplaced.hpp"

#include <sqlite3.h>

#include <string>
#include <string_view>
#include <utility>

#include "store/sqlite/knowledge.hpp"
#include "store/sqlite/pieces.hpp"
#include "store/unplaced.hpp"

namespace calib::sqlite {

std::optional<Unplaced> look_at_unplaced(Connection& connection, const Schema::Unplaced& unplaced,
                                         const SessionKeys& keys, std::size_t doomed) {
  const auto& table = unplaced.table;
  const auto& column = unplaced.column;
  const auto unread = [&](const std::string& why) {
    return Unplaced{column.what, column.remedy, {}, 0, 0, 0, why};
  };
  if (table.identity.empty()) return unread("they cannot be told apart");
  UnplacedRows rows(column, keys, doomed);
  // Most rows name the session that the row before them named.
  std::string last;
  std::uint64_t count = 0;
  try {
    const auto value = static_cast<int>(table.identity.size());
    read_in_pieces(
        connection, table, unplaced_value(column, quoted_name(table.name)),
        [&](SQLite::Statement& row) {
          const auto text = text_of(row, value);
          if (text != last) {
            rows.add(last, std::exchange(count, 0));
            last = text;
          }
          ++count;
        },
        [] {});
  } catch (const SQLite::Exception& error) {
    // The table may need a function that only the app has, say. Nothing of it goes, so that this is
    // no reason to end the pass.
    const int code = error.getErrorCode();
    if (code != SQLITE_ERROR && code != SQLITE_TOOBIG) throw;
    return unread(error.what());
  }
  rows.add(last, count);
  LeakCheck check(connection);
  for (const auto& id : rows.gone()) {
    if (!check.is_leaked(id)) rows.is_not_gone(id);
  }
  return rows.result();
}

}  // namespace calib::sqlite
