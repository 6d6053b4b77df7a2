#include "sqlite_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "session_store.hpp"
#include "text.hpp"

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

/// The parent's columns of `key`; empty where SQLite itself would call it a mismatch.
std::vector<std::string> parent_columns(const DeclaredKey& key, const Table& parent) {
  auto columns = key.to.empty() ? primary_key(parent) : key.to;
  if (columns.size() != key.from.size()) columns.clear();
  for (const auto& column : columns) {
    if (find_column(parent.columns, column) == nullptr) return {};
  }
  return columns;
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
        keys.push_back({lowered,
                        ascii_lowered(list.getColumn(1).getString()),
                        {},
                        {},
                        list.getColumn(4).getString()});
      }
      last = id;
      keys.back().from.push_back(list.getColumn(2).getString());
      if (!list.isColumnNull(3)) keys.back().to.push_back(list.getColumn(3).getString());
    }
  }
  for (auto& key : keys) {
    if (const auto parent = tables.find(key.parent); parent != tables.end()) {
      key.to = parent_columns(key, parent->second);
    }
  }
  return keys;
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
  auto cascade = cascade_of(
      "sessions", read_keys(database, tables),
      [&](const std::string& lowered) -> const Columns& { return *columns_of(lowered); });
  for (const auto& lowered : cascade.tables) schema.tables.push_back(tables.at(lowered));
  schema.keys = std::move(cascade.keys);

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
