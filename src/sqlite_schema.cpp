#include "sqlite_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "session_store.hpp"
#include "text.hpp"

namespace calib::sqlite {
namespace {

struct RawKey {
  std::string child;
  std::string parent;
  std::vector<std::string> from;
  std::vector<std::string> to;  ///< empty: the parent's primary key
  std::string on_delete;
};

using Tables = std::map<std::string, Table>;  // by lower-case name: SQLite ignores ASCII case

const Column* find_column(const Table& table, std::string_view name) {
  const auto wanted = ascii_lowered(name);
  const auto found =
      std::find_if(table.columns.begin(), table.columns.end(),
                   [&](const Column& column) { return ascii_lowered(column.name) == wanted; });
  return found == table.columns.end() ? nullptr : &*found;
}

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

[[noreturn]] void not_this_apps(const std::string& why) {
  throw StoreError(StoreError::Kind::unusable,
                   "this is not the calibration app's database: " + why +
                       "; name the right one with --database or --app-dir");
}

void read_columns(SQLite::Database& database, Table& table) {
  SQLite::Statement columns(database,
                            "SELECT name, \"notnull\", pk, dflt_value, type, hidden FROM "
                            "pragma_table_xinfo(?1, 'main') ORDER BY cid");
  columns.bind(1, table.name);
  while (columns.executeStep()) {
    Column column;
    column.name = columns.getColumn(0).getString();
    column.not_null = columns.getColumn(1).getInt() != 0;
    column.primary_key = columns.getColumn(2).getInt();
    column.is_integer = ascii_lowered(columns.getColumn(4).getString()) == "integer";
    // https://www.sqlite.org/pragma.html#pragma_table_xinfo: 2 is VIRTUAL, 3 is STORED.
    column.is_generated = columns.getColumn(5).getInt() >= 2;
    if (!columns.isColumnNull(3)) column.default_value = columns.getColumn(3).getString();
    table.columns.push_back(std::move(column));
  }
}

void choose_identity(Table& table, bool without_rowid) {
  if (!without_rowid) {
    for (const auto* alias : {"rowid", "_rowid_", "oid"}) {
      if (find_column(table, alias) == nullptr) {
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
        return column.primary_key > 0 && !column.not_null && !column.is_integer;
      });
  if (!without_rowid && may_be_null) table.identity.clear();
}

Tables read_tables(SQLite::Database& database) {
  Tables tables;
  SQLite::Statement list(database,
                         "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND "
                         "type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'");
  while (list.executeStep()) {
    Table table;
    table.name = list.getColumn(0).getString();
    read_columns(database, table);
    choose_identity(table, list.getColumn(1).getInt() != 0);
    tables.emplace(ascii_lowered(table.name), std::move(table));
  }
  return tables;
}

std::vector<RawKey> read_keys(SQLite::Database& database, const Tables& tables) {
  std::vector<RawKey> keys;
  for (const auto& [lowered, table] : tables) {
    SQLite::Statement list(database,
                           "SELECT id, \"table\", \"from\", \"to\", on_delete FROM "
                           "pragma_foreign_key_list(?1, 'main') ORDER BY id, seq");
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
  return keys;
}

void check_sessions(const Tables& tables, bool& has_images_dir) {
  const auto sessions = tables.find("sessions");
  if (sessions == tables.end()) not_this_apps("it has no table sessions");
  for (const auto* name : {"id", "created_at"}) {
    if (find_column(sessions->second, name) == nullptr) {
      not_this_apps(fmt::format("its table sessions has no column {}", name));
    }
  }
  has_images_dir = find_column(sessions->second, "images_dir") != nullptr;
  const auto images = tables.find("calibration_images");
  const bool has_images =
      images != tables.end() && find_column(images->second, "session_id") != nullptr;
  if (!has_images_dir && !has_images) {
    not_this_apps(
        "its table sessions has no column images_dir, and it has no table calibration_images "
        "with a session_id");
  }
}

bool any_generated(const Table& table, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto* column = find_column(table, name);
    return column != nullptr && column->is_generated;
  });
}

bool any_not_null(const Table& table, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto* column = find_column(table, name);
    return column != nullptr && column->not_null;
  });
}

bool any_null_default(const Table& table, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto* column = find_column(table, name);
    return column != nullptr && column->not_null && !column->default_value;
  });
}

Role role_of(const RawKey& key, const Table& child) {
  // `sessions` rows never go by cascade: a session that refers to another keeps it.
  const bool may_hang = key.child != "sessions";
  if (key.on_delete == "CASCADE") return may_hang ? Role::hangs : Role::holds;
  // What cannot be set, such as a NULL where none may stand, holds.
  const bool sets = key.on_delete == "SET NULL" || key.on_delete == "SET DEFAULT";
  if (sets && any_generated(child, key.from)) return Role::holds;
  if (key.on_delete == "SET NULL") {
    return any_not_null(child, key.from) ? Role::holds : Role::set_null;
  }
  if (key.on_delete == "SET DEFAULT") {
    return any_null_default(child, key.from) ? Role::holds : Role::set_default;
  }
  const bool named_session_id =
      key.from.size() == 1 && ascii_lowered(key.from.front()) == "session_id";
  return may_hang && named_session_id ? Role::hangs : Role::holds;
}

/// The parent's columns of `key`; empty where SQLite itself would call it a mismatch.
std::vector<std::string> parent_columns(const RawKey& key, const Table& parent) {
  auto columns = key.to.empty() ? primary_key(parent) : key.to;
  if (columns.size() != key.from.size()) columns.clear();
  for (const auto& column : columns) {
    if (find_column(parent, column) == nullptr) return {};
  }
  return columns;
}

void check_key_to_sessions(const RawKey& key, const Table& child, const Table& sessions) {
  const auto to = parent_columns(key, sessions);
  if (to.size() != 1 || ascii_lowered(to.front()) != "id") {
    not_this_apps(
        fmt::format("the foreign key of {} to sessions ({}) does not refer to the one "
                    "column id",
                    child.name, fmt::join(key.from, ", ")));
  }
}

}  // namespace

std::string quoted_name(std::string_view name) {
  std::string result = "\"";
  for (const char c : name) {
    result += c;
    if (c == '"') result += c;
  }
  return result + '"';
}

std::string main_table(const Table& table) { return "main." + quoted_name(table.name); }

Schema read_schema(SQLite::Database& database) {
  const auto tables = read_tables(database);
  Schema schema;
  check_sessions(tables, schema.has_images_dir);
  schema.is_utf16 = database.execAndGet("PRAGMA main.encoding").getString() != "UTF-8";
  const auto raw_keys = read_keys(database, tables);

  std::map<std::string, std::size_t> known;  // lower-case name -> index in schema.tables
  const auto index_of = [&](const std::string& lowered) {
    const auto [position, is_new] = known.try_emplace(lowered, schema.tables.size());
    if (is_new) schema.tables.push_back(tables.at(lowered));
    return position->second;
  };
  schema.sessions = index_of("sessions");

  // Breadth first from `sessions` along the keys that hang; every key to a table met on the way
  // matters, whatever it says.
  std::vector<std::string> queue{"sessions"};
  for (std::size_t next = 0; next < queue.size(); ++next) {
    const std::string parent = queue[next];
    for (const auto& raw : raw_keys) {
      if (raw.parent != parent) continue;
      const auto& child_table = tables.at(raw.child);
      const auto& parent_table = tables.at(parent);
      if (parent == "sessions") check_key_to_sessions(raw, child_table, parent_table);
      ForeignKey key;
      key.from = raw.from;
      key.to = parent_columns(raw, parent_table);
      if (key.to.empty()) continue;
      key.role = role_of(raw, child_table);
      key.child = index_of(raw.child);
      key.parent = index_of(parent);
      key.is_session_id = parent == "sessions" && ascii_lowered(raw.from.front()) == "session_id";
      if (key.role == Role::hangs &&
          std::find(queue.begin(), queue.end(), raw.child) == queue.end()) {
        queue.push_back(raw.child);
      }
      schema.keys.push_back(std::move(key));
    }
  }

  for (const auto& table : schema.tables) {
    if (table.identity.empty()) {
      not_this_apps(fmt::format("the rows of its table {} cannot be told apart", table.name));
    }
    SQLite::Statement triggers(database,
                               "SELECT name FROM main.sqlite_schema WHERE type = 'trigger' AND "
                               "tbl_name = ?1 COLLATE NOCASE");
    triggers.bind(1, table.name);
    while (triggers.executeStep()) schema.triggers.push_back(triggers.getColumn(0).getString());
  }
  return schema;
}

}  // namespace calib::sqlite
