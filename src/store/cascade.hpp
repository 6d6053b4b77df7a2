// What a database's own foreign keys say about which rows belong to a session, whatever database it
// is. Names are compared ignoring ASCII case; a table is known by a name that its store chose.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/session.hpp"

namespace calib {

/// What a foreign key means for the row that carries it, when the row it refers to goes.
enum class Role {
  hangs,        ///< the row goes too
  set_null,     ///< its columns become NULL
  set_default,  ///< its columns get their defaults
  holds,        ///< what it refers to must stay, unless the row goes for another reason
  unclear       ///< nothing: nobody can say which row it refers to
};

struct Column {
  std::string name;
  std::string type;  ///< as it was declared
  bool not_null = false;
  bool is_generated = false;                 ///< computed: nobody can set it
  int primary_key = 0;                       ///< position in the primary key, from 1; 0: not in it
  std::optional<std::string> default_value;  ///< as SQL
};
using Columns = std::vector<Column>;

/// Nothing where there is no such column.
const Column* find_column(const Columns& columns, std::string_view name);

/// Whether a foreign key says which row it refers to.
enum class Meaning {
  certain,
  not_unique,    ///< several rows may have what it refers to
  leads_nowhere  ///< there is no such table or column
};

/// Whether `wanted` is among `names`.
bool has_name(const std::vector<std::string>& names, std::string_view wanted);

/// A foreign key as the database declares it.
struct DeclaredKey {
  std::string child;   ///< the table that carries it
  std::string parent;  ///< the table that it refers to
  std::vector<std::string> from;
  std::vector<std::string> to;  ///< empty: the primary key of a table that has none like it
  std::string on_delete;        ///< as in SQL: `SET NULL`
  Meaning meaning = Meaning::certain;
  std::string doubt =
      {};  ///< where it is not certain: why, as in `refers to no table that is there`
};

struct ForeignKey {
  std::size_t child = 0;   ///< index of the table that carries it
  std::size_t parent = 0;  ///< index of the table that it refers to
  std::vector<std::string> from;
  std::vector<std::string> to;
  Role role = Role::holds;
  bool is_session_id = false;  ///< its one column is named session_id and refers to sessions.id
  std::string doubt;           ///< where its role is unclear: why
};

/// The keys that refer to `sessions` or to a table whose rows hang on it, however deep.
struct Cascade {
  std::vector<std::string> tables;  ///< those that a session's fate touches; `sessions` is first
  std::vector<ForeignKey> keys;
};

/// `columns` gives a table's. A key whose meaning is not certain takes nothing along, holds nobody
/// and sets nothing: its role is unclear, or unplaced_columns() has it. Throws PassError
/// (unusable) for a key to `sessions` that is not one to the one column id.
Cascade cascade_of(const std::string& sessions, const std::vector<DeclaredKey>& keys,
                   const std::function<const Columns&(const std::string& table)>& columns);

/// Whether rows of `table` go, or are held, by nothing but their own keys to `sessions` (index 0),
/// and nobody has to know of each whether it goes.
bool depends_on_nothing_else(const std::vector<ForeignKey>& keys, std::size_t table);

/// The keys (positions) by which rows of `table` hang on a session themselves.
std::vector<std::size_t> direct_keys(const std::vector<ForeignKey>& keys, std::size_t table,
                                     std::size_t sessions);

/// A row that refers to an owner, who so cannot go before it.
struct Hold {
  OwnerIndex held = 0;
  std::string by;                       ///< the table and column, as `table.column`
  std::string row;                      ///< a name for it, which no other row has
  std::optional<OwnerIndex> goes_with;  ///< one who takes the row along; nothing: it stays
};

/// Whom rows that stay refer to, and why. Whoever stays for that keeps the rows that would have
/// gone with nobody else, and those may hold somebody in turn. `holds` has each row once for each
/// owner that it holds and each that it goes with.
std::vector<Refusal> all_held(const std::vector<Hold>& holds);

/// Takes out of a closure whom all_held() names, and says why.
template <typename Closure>
std::vector<Refusal> take_held_out(Closure& closure) {
  // Nearly always there is nobody, and then the rows that go need not be read.
  if (!closure.any_held()) return {};
  auto held = all_held(closure.holds());
  closure.withdraw(owners_of(held));
  return held;
}

/// Throws PassError (unusable) unless these are the columns of this app's tables (nothing: there
/// is no such table). Returns whether sessions have an images_dir.
bool check_app_tables(const Columns* sessions, const Columns* calibration_images);

/// Throws PassError (unusable): a database that is not this app's.
[[noreturn]] void not_this_apps(const std::string& why);

/// `name` as an SQL identifier.
std::string quoted_name(std::string_view name);

}  // namespace calib
