// The database's own foreign keys, and what they say about which rows belong to a session.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calib::sqlite {

/// What a foreign key means for the row that carries it, when the row it refers to goes.
enum class Role {
  hangs,        ///< the row goes too
  set_null,     ///< its columns become NULL
  set_default,  ///< its columns get their defaults
  holds         ///< what it refers to must stay, unless the row goes for another reason
};

struct Column {
  std::string name;
  bool not_null = false;
  bool is_generated = false;                 ///< computed: nobody can set it
  bool is_integer = false;                   ///< declared so: as a primary key it is never NULL
  int primary_key = 0;                       ///< position in the primary key, from 1; 0: not in it
  std::optional<std::string> default_value;  ///< as SQL
};

struct Table {
  std::string name;
  std::vector<Column> columns;
  /// What names a row: one alias of the rowid that no column hides, or the primary key's columns.
  std::vector<std::string> identity;
  bool has_rowid = false;
};

struct ForeignKey {
  std::size_t child = 0;   ///< index of the table that carries it
  std::size_t parent = 0;  ///< index of the table that it refers to
  std::vector<std::string> from;
  std::vector<std::string> to;
  Role role = Role::holds;
  bool is_session_id = false;  ///< its one column is named session_id and refers to sessions.id
};

struct Schema {
  std::vector<Table> tables;  ///< `sessions`, and those that its rows' fate touches
  std::size_t sessions = 0;
  bool has_images_dir = false;
  bool is_utf16 = false;  ///< the encoding: what a BLOB says as text is not what its bytes say
  /// Those that refer to `sessions` or to a table whose rows hang on it, however deep.
  std::vector<ForeignKey> keys;
  std::vector<std::string> triggers;  ///< on one of the tables
};

/// Reads the schema. Throws StoreError (unusable) where the database is not this app's, as the
/// contract defines it; SQLite::Exception where it cannot be read.
Schema read_schema(SQLite::Database& database);

/// `name` as an SQL identifier.
std::string quoted_name(std::string_view name);

/// `main."table"`: never a temporary table of the same name.
std::string main_table(const Table& table);

}  // namespace calib::sqlite
