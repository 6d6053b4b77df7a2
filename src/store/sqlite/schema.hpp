// The schema of a database in SQLite: its tables, and its own foreign keys.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/cascade.hpp"
#include "store/unplaced.hpp"

namespace calib::sqlite {

struct Table {
  std::string name;
  Columns columns;
  /// What names a row: one alias of the rowid that no column hides, or the primary key's columns.
  std::vector<std::string> identity;
  bool has_rowid = false;
};

struct Schema {
  std::vector<Table> tables;  ///< `sessions`, and those that its rows' fate touches
  std::size_t sessions = 0;   ///< its index in `tables`
  bool has_images_dir = false;
  bool is_utf16 = false;  ///< the encoding: what a BLOB says as text is not what its bytes say
  /// Those that refer to `sessions` or to a table whose rows hang on it, however deep.
  std::vector<ForeignKey> keys;
  std::vector<bool> is_indexed;  ///< for each of them: the rows that refer to one are looked up
  std::vector<std::string> triggers;  ///< on one of the tables

  /// A column that no key places, and its table.
  struct Unplaced {
    Table table;
    UnplacedColumn column;
  };
  std::vector<Unplaced> unplaced;
};

/// Reads the schema. Throws PassError (unusable) where the database is not this app's, as the
/// contract defines it; SQLite::Exception where it cannot be read.
Schema read_schema(SQLite::Database& database);

/// `main."table"`: never a temporary table of the same name.
std::string main_table(const Table& table);

}  // namespace calib::sqlite
