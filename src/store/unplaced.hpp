// Rows that may belong to sessions, and that no foreign key places: what is told of them. They are
// never deleted: who goes by a value that looks right is guessing.
//
// - A column session_id without a key to sessions: pandas.to_sql and CREATE TABLE AS make such
//   tables.
// - Keys that lead to a table or column that is not there: ALTER TABLE sessions RENAME takes the
//   references of other tables along.
// - Keys to columns that are not unique, which SQLite calls a mismatch. Where their parents hang on
//   a session, Closure finds them; here are those to `sessions` itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/session.hpp"
#include "store/cascade.hpp"
#include "store/session_keys.hpp"

namespace calib {

/// A column whose values tell, as far as anything does, which sessions its rows belong to.
struct UnplacedColumn {
  std::string table;   ///< as its store knows it
  std::string column;  ///< of several, the first
  std::string what;    ///< see Unplaced
  std::string remedy;
  bool is_session_id = false;  ///< its values are ids, and other values belong to nobody
  bool tells_gone = true;      ///< whether rows of sessions that are gone are told of
  bool tells_standing = false;
  /// A key of the table that says what becomes of a row, where it refers to one that is there.
  struct Key {
    std::string parent;  ///< the table, as the store knows it; then as SQL
    std::vector<std::string> from;
    std::vector<std::string> to;
  };
  std::vector<Key> placing;
};

/// SQL for the value of the column in a row of the table `child` (SQL) that nothing places; NULL in
/// all others.
std::string unplaced_value(const UnplacedColumn& column, const std::string& child);

/// A table as unplaced_columns() needs it.
struct KnownTable {
  std::string name;   ///< as DeclaredKey has it
  std::string shown;  ///< for people
  const Columns* columns = nullptr;
};

/// Those of all `tables`; `keys` are all that the database declares, `cascade` what came of them.
std::vector<UnplacedColumn> unplaced_columns(const std::vector<KnownTable>& tables,
                                             const std::vector<DeclaredKey>& keys,
                                             const Cascade& cascade);

/// Counts the rows of one such column.
class UnplacedRows {
 public:
  /// All of them must outlive this. `doomed`: how many there are.
  UnplacedRows(const UnplacedColumn& column, const SessionKeys& keys, std::size_t doomed)
      : column_(column), keys_(keys), going_(doomed) {}

  /// `value`: empty where it is NULL or no text.
  void add(std::string_view value, std::uint64_t rows);

  /// Some of the ids of sessions that are gone. Sessions are read before the rows, so that what was
  /// uploaded meanwhile is to be asked for. Where there are more than some, a few too many in the
  /// sum make no difference.
  [[nodiscard]] std::vector<std::string> gone() const;
  void is_not_gone(const std::string& id);

  /// Nothing where there is nothing to tell.
  [[nodiscard]] std::optional<Unplaced> result() const;

 private:
  void add_session_id(std::string_view value, std::uint64_t rows);

  const UnplacedColumn& column_;
  const SessionKeys& keys_;
  std::vector<std::uint64_t> going_;
  std::map<std::string, std::uint64_t, std::less<>> gone_;
  std::uint64_t more_gone_ = 0;
  std::uint64_t standing_ = 0;
  std::uint64_t unclear_ = 0;
};

/// One sentence.
struct UnplacedNote {
  std::string text;
  bool is_failure = false;  ///< rows of a session that goes are left behind
};
/// `kept`: those of the doomed that stay after all, with whatever names them. Nothing where there
/// is nothing else to tell.
std::optional<UnplacedNote> note_of(const Unplaced& unplaced, std::span<const DoomedKey> doomed,
                                    const std::set<OwnerIndex>& kept);

}  // namespace calib
