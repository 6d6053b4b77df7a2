#include "store/sqlite/schema.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/text.hpp"
#include "model/session.hpp"

namespace calib::sqlite {
namespace {

using Tables = std::map<std::string, Table>;  // by lower-case name: SQLite ignores ASCII case

std::vector<std::string> primary_key(const Table& table) {
  std::vector<const Column*> columns;
  for (const auto& column : table.columns) {
    if (column.primary_key > 0) columns.push_back(&column);
  }
  std::sort(columns.begin(), columns.end(),
            [](const Column* a, const Column* b) { return a->primary_key < b->primary_key; });
  std::vector<std::string> names;
  names.reserve(columns.size());
  for (const auto* column : columns) names.push_back(column->name);
  return names;
}

void read_columns(SQLite::Statement& columns, Table& table) {
  columns.reset();
  columns.bind(1, table.name);
  while (columns.executeStep()) {
    Column column;
    column.name = columns.getColumn(0).getString();
    column.not_null = columns.getColumn(1).getInt() != 0;
    column.primary_key = columns.getColumn(2).getInt();
    column.type = ascii_lowered(columns.getColumn(4).getString());
    // https://www.sqlite.org/pragma.html#pragma_table_xinfo: 2 is VIRTUAL, 3 is STORED.
    column.is_generated = columns.getColumn(5).getInt() >= 2;
    if (!columns.isColumnNull(3)) column.default_value = columns.getColumn(3).getString();
    table.columns.push_back(std::move(column));
  }
}

void choose_identity(Table& table, bool without_rowid) {
  if (!without_rowid) {
    for (const auto* alias : {"rowid", "_rowid_", "oid"}) {
      if (find_column(table.columns, alias) == nullptr) {
        table.identity = {alias};
        table.has_rowid = true;
        return;
      }
    }
  }
  table.identity = primary_key(table);
  // With rowids, SQLite lets NULL into any other primary key, and NULL tells no rows apart.
  const bool may_be_null =
      std::any_of(table.columns.begin(), table.columns.end(), [](const Column& column) {
        return column.primary_key > 0 && !column.not_null && column.type != "integer";
      });
  if (!without_rowid && may_be_null) table.identity.clear();
}

Tables read_tables(SQLite::Database& database) {
  Tables tables;
  SQLite::Statement list(database,
                         "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND "
                         "type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'");
  SQLite::Statement columns(database,
                            "SELECT name, \"notnull\", pk, dflt_value, type, hidden FROM "
                            "pragma_table_xinfo(?1, 'main') ORDER BY cid");
  while (list.executeStep()) {
    Table table;
    table.name = list.getColumn(0).getString();
    read_columns(columns, table);
    choose_identity(table, list.getColumn(1).getInt() != 0);
    tables.emplace(ascii_lowered(table.name), std::move(table));
  }
  return tables;
}

class Indexes {
 public:
  explicit Indexes(SQLite::Database& database)
      : database_(database),
        indexes_(database,
                 "SELECT name, origin, \"unique\" AND NOT partial, partial FROM "
                 "pragma_index_list(?1, 'main')"),
        columns_(database,
                 "SELECT name, coll FROM pragma_index_xinfo(?1, 'main') WHERE \"key\" ORDER BY "
                 "seqno") {}

  /// Whether SQLite finds the rows of `child` whose `column` equals `parent`'s `to` by an index.
  bool leads_one(const Table& child, const std::string& column, const Table& parent,
                 const std::string& to) {
    const auto* from = find_column(child.columns, column);
    const auto* referred = find_column(parent.columns, to);
    // Values of another type are turned into the index's, and so not by it.
    if (from == nullptr || referred == nullptr || from->type != referred->type) return false;
    const auto primary = primary_key(child);
    if (child.has_rowid && from->type == "integer" && primary.size() == 1 &&
        ascii_lowered(primary.front()) == ascii_lowered(column)) {
      return true;  // the rowid itself
    }
    const auto collation = ascii_lowered(collation_of(parent, to));
    indexes_.reset();
    indexes_.bind(1, child.name);
    while (indexes_.executeStep()) {
      if (indexes_.getColumn(3).getInt() != 0) continue;
      columns_.reset();
      columns_.bind(1, indexes_.getColumn(0).getString());
      if (!columns_.executeStep() || columns_.isColumnNull(0)) continue;
      if (ascii_lowered(columns_.getColumn(0).getString()) == ascii_lowered(column) &&
          ascii_lowered(columns_.getColumn(1).getString()) == collation) {
        return true;
      }
    }
    return false;
  }

  /// Whether a parent's columns are a key of it, as
  /// https://www.sqlite.org/foreignkeys.html#fk_indexes defines it; sqlite3FkLocateIndex() in
  /// SQLite's fkey.c is what it comes to.
  bool are_unique(const Table& parent, const std::vector<std::string>& columns) {
    bool has_index_of_primary_key = false;
    bool found = false;
    indexes_.reset();
    indexes_.bind(1, parent.name);
    while (indexes_.executeStep()) {
      has_index_of_primary_key |= indexes_.getColumn(1).getString() == "pk";
      const bool whole = indexes_.getColumn(2).getInt() != 0;
      if (whole && covers(parent, indexes_.getColumn(0).getString(), columns)) found = true;
    }
    if (found || columns.size() != 1 || has_index_of_primary_key) return found;
    // Only the one column that is the rowid itself is a primary key without an index.
    const auto primary = primary_key(parent);
    return primary.size() == 1 && ascii_lowered(primary.front()) == ascii_lowered(columns.front());
  }

 private:
  bool covers(const Table& parent, const std::string& index,
              const std::vector<std::string>& columns) {
    std::size_t count = 0;
    columns_.reset();
    columns_.bind(1, index);
    while (columns_.executeStep()) {
      ++count;
      if (columns_.isColumnNull(0)) return false;  // an expression
      const auto name = columns_.getColumn(0).getString();
      if (!has_name(columns, name)) return false;
      if (ascii_lowered(columns_.getColumn(1).getString()) !=
          ascii_lowered(collation_of(parent, name))) {
        return false;
      }
    }
    return count == columns.size();
  }

  /// The one by which values of a column are compared, unless somebody says otherwise.
  std::string collation_of(const Table& table, const std::string& column) {
    const char* collation = nullptr;
    const int result = sqlite3_table_column_metadata(database_.getHandle(), "main",
                                                     table.name.c_str(), column.c_str(), nullptr,
                                                     &collation, nullptr, nullptr, nullptr);
    if (result != SQLITE_OK) throw SQLite::Exception(database_.getHandle(), result);
    return collation;
  }

  SQLite::Database& database_;
  SQLite::Statement indexes_;
  SQLite::Statement columns_;
};

void doubt(DeclaredKey& key, Meaning meaning, std::string why) {
  key.meaning = meaning;
  key.doubt = std::move(why);
}

/// Finds the columns of the parent that `key` refers to, and whether it means them for certain.
void find_meaning(DeclaredKey& key, const Table& parent, Indexes& indexes) {
  if (key.to.empty()) {
    key.to = primary_key(parent);
    if (key.to.size() == key.from.size()) return;
    key.to.clear();
    doubt(key, Meaning::leads_nowhere,
          fmt::format("refers to the primary key of {}, which has none of {}", parent.name,
                      count_text(key.from.size(), "column", "columns")));
    return;
  }
  for (const auto& column : key.to) {
    if (find_column(parent.columns, column) != nullptr) continue;
    doubt(key, Meaning::leads_nowhere,
          fmt::format("refers to no column that is there ({}.{})", parent.name, column));
    return;
  }
  if (indexes.are_unique(parent, key.to)) return;
  doubt(
      key, Meaning::not_unique,
      fmt::format("refers to {} ({}), which is not unique", parent.name, fmt::join(key.to, ", ")));
}

/// Whether a view or a virtual table has this name.
bool is_other_object(SQLite::Database& database, const std::string& name) {
  SQLite::Statement look(database,
                         "SELECT 1 FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type "
                         "IN ('table', 'view')");
  look.bind(1, name);
  return look.executeStep();
}

std::vector<DeclaredKey> read_keys(SQLite::Database& database, const Tables& tables) {
  std::vector<DeclaredKey> keys;
  SQLite::Statement list(database,
                         "SELECT id, \"table\", \"from\", \"to\", on_delete FROM "
                         "pragma_foreign_key_list(?1, 'main') ORDER BY id, seq");
  for (const auto& [lowered, table] : tables) {
    list.reset();
    list.bind(1, table.name);
    std::optional<int> last;
    while (list.executeStep()) {
      const int id = list.getColumn(0).getInt();
      if (last != id) {
        keys.push_back(
            {lowered, list.getColumn(1).getString(), {}, {}, list.getColumn(4).getString()});
      }
      last = id;
      keys.back().from.push_back(list.getColumn(2).getString());
      if (!list.isColumnNull(3)) keys.back().to.push_back(list.getColumn(3).getString());
    }
  }
  Indexes indexes(database);
  for (auto& key : keys) {
    const auto parent = tables.find(ascii_lowered(key.parent));
    if (parent != tables.end()) {
      find_meaning(key, parent->second, indexes);
    } else if (is_other_object(database, key.parent)) {
      doubt(key, Meaning::leads_nowhere,
            fmt::format("refers to {}, which is no table", key.parent));
    } else {
      doubt(key, Meaning::leads_nowhere,
            fmt::format("refers to no table that is there ({})", key.parent));
    }
    key.parent = ascii_lowered(key.parent);
  }
  return keys;
}

std::vector<Schema::Unplaced> find_unplaced(const Tables& tables,
                                            const std::vector<DeclaredKey>& keys,
                                            const Cascade& cascade) {
  std::vector<KnownTable> known;
  known.reserve(tables.size());
  for (const auto& [lowered, table] : tables)
    known.push_back({lowered, table.name, &table.columns});
  std::vector<Schema::Unplaced> result;
  for (auto& column : unplaced_columns(known, keys, cascade)) {
    const auto& table = tables.at(column.table);
    for (auto& key : column.placing) key.parent = main_table(tables.at(key.parent));
    result.push_back({table, std::move(column)});
  }
  return result;
}

}  // namespace

std::string main_table(const Table& table) { return "main." + quoted_name(table.name); }

Schema read_schema(SQLite::Database& database) {
  const auto tables = read_tables(database);
  const auto columns_of = [&](const std::string& lowered) {
    const auto table = tables.find(lowered);
    return table == tables.end() ? nullptr : &table->second.columns;
  };
  Schema schema;
  schema.has_images_dir =
      check_app_tables(columns_of("sessions"), columns_of("calibration_images"));
  schema.is_utf16 = database.execAndGet("PRAGMA main.encoding").getString() != "UTF-8";
  const auto keys = read_keys(database, tables);
  auto cascade = cascade_of("sessions", keys, [&](const std::string& lowered) -> const Columns& {
    return *columns_of(lowered);
  });
  schema.unplaced = find_unplaced(tables, keys, cascade);
  for (const auto& lowered : cascade.tables) schema.tables.push_back(tables.at(lowered));
  schema.keys = std::move(cascade.keys);
  Indexes indexes(database);
  for (const auto& key : schema.keys) {
    schema.is_indexed.push_back(!key.to.empty() &&
                                indexes.leads_one(schema.tables[key.child], key.from.front(),
                                                  schema.tables[key.parent], key.to.front()));
  }

  SQLite::Statement triggers(database,
                             "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND "
                             "tbl_name = ?1 COLLATE NOCASE");
  for (const auto& table : schema.tables) {
    if (table.identity.empty()) {
      not_this_apps(fmt::format("the rows of its table {} cannot be told apart", table.name));
    }
    triggers.reset();
    triggers.bind(1, table.name);
    while (triggers.executeStep()) schema.triggers.push_back(triggers.getColumn(0).getString());
  }
  return schema;
}

}  // namespace calib::sqlite
