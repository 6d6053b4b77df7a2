// The schema of a database on a PostgreSQL server: its tables, and its own foreign keys, from the
// catalogue.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "store/cascade.hpp"
#include "store/postgresql/connection.hpp"
#include "store/unplaced.hpp"

namespace calib::postgresql {

struct Table {
  std::string oid;
  /// For people, and like no other's: with its schema where that is not on the search path.
  std::string name;
  /// As SQL, for FROM: tables that only inherit from it are no part of it, partitions are.
  std::string sql;
  std::string locked;  ///< as SQL, for LOCK TABLE and VACUUM
  Columns columns;
  std::set<std::string> loose;  ///< columns in which values that differ may be equal

  /// The type of a column, as SQL, by its own name: `character` alone would be one of a single
  /// character. Its array is `…[]`.
  [[nodiscard]] const std::string& type_of(const std::string& column) const;
};

struct Schema {
  std::vector<Table> tables;  ///< `sessions` first, then those that its rows' fate touches
  bool has_images_dir = false;
  bool id_is_text = false;
  bool images_dir_is_text = false;
  /// Those that refer to `sessions` or to a table whose rows hang on it, however deep.
  std::vector<ForeignKey> keys;
  std::vector<std::string> triggers;  ///< on one of the tables

  /// A column that no key places, and its table.
  struct Unplaced {
    std::string sql;  ///< of the table, as Table::sql
    UnplacedColumn column;
    std::string unread;  ///< why this role cannot read all of it; empty: it can
  };
  std::vector<Unplaced> unplaced;

  /// Of the tables, as a parameter.
  [[nodiscard]] std::string oids() const;
  [[nodiscard]] const Table& sessions() const { return tables.front(); }
};

/// A key that the server has to read a large table for, once for each row that goes.
struct Unindexed {
  std::string table;   ///< for people
  std::string create;  ///< the statement that mends it
  std::uint64_t bytes = 0;
};

/// Reads the schema, in a transaction. Throws PassError: unusable where the database is not this
/// app's, as the contract defines it.
Schema read_schema(Connection& connection);

/// Bytes on the server's disk, without indexes; 0 where this server does not tell.
std::uint64_t size_of_tables(Connection& connection, const Schema& schema);

/// The keys of large tables that no index helps with.
std::vector<Unindexed> read_unindexed(Connection& connection, const Schema& schema);

}  // namespace calib::postgresql
