#include "postgresql_guard.hpp"

#include <fmt/format.h>

namespace calib::postgresql {

void refuse_heirs(Connection& connection, const Table& sessions) {
  const auto heirs = connection.query(
      "SELECT 1 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
      "WHERE i.inhparent = $1::oid AND NOT c.relispartition",
      {sessions.oid});
  if (heirs.count() > 0) not_this_apps("other tables inherit from its table sessions");
}

void refuse_other_ids(const Table& sessions, const std::vector<DeclaredKey>& keys) {
  for (const auto& key : keys) {
    if (key.parent != sessions.name || key.to == std::vector<std::string>{"id"}) continue;
    not_this_apps(
        fmt::format("the foreign key of {} to sessions does not refer to the one column "
                    "id",
                    key.child));
  }
}

void refuse_loose_keys(const Schema& schema) {
  const auto check = [&](const Table& table, const std::string& column) {
    if (!table.loose.contains(column)) return;
    not_this_apps(
        fmt::format("{}.{} has a type or a collation in which keys that differ may be equal",
                    table.name, column));
  };
  check(schema.sessions(), "id");
  for (const auto& key : schema.keys) {
    for (const auto& column : key.from) check(schema.tables[key.child], column);
    for (const auto& column : key.to) check(schema.tables[key.parent], column);
  }
}

}  // namespace calib::postgresql
