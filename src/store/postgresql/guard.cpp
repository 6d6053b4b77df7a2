#include "store/postgresql/guard.hpp"

#include <fmt/format.h>

namespace calib::postgresql {
namespace {

/// What only inherits from `sessions` shows among its rows, but no foreign key can refer to it.
void refuse_heirs(Connection& connection, const Table& sessions) {
  const auto heirs = connection.query(
      "SELECT 1 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
      "WHERE i.inhparent = $1::oid AND NOT c.relispartition",
      {sessions.oid});
  if (heirs.count() > 0) not_this_apps("other tables inherit from its table sessions");
}

/// Which of two tables is the app's only its own search path says, and that may be another than
/// this role's. The wrong one would say which directories are due, and make orphans of all others.
/// So the URL has to say it.
void refuse_doubles(Connection& connection, const Table& sessions) {
  const auto path = connection.on_roles_path([&] {
    return connection.query(
        "SELECT source FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) "
        "'search_path'");
  });
  // PGOPTIONS and a service file come from the client as well, and may be meant for anybody.
  const bool is_clients = path.count() > 0 && path.text(0, 0) == "client";
  if (is_clients && connection.url_sets_search_path()) return;
  // Also where the role may not look, and where its path does not lead: the app's own role may have
  // another path.
  const auto doubles = connection.query(
      "SELECT mine.nspname, n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON "
      "n.oid = c.relnamespace, pg_catalog.pg_class s JOIN pg_catalog.pg_namespace mine ON mine.oid "
      "= s.relnamespace WHERE s.oid = $1::oid AND c.oid <> s.oid AND c.relname = 'sessions' AND "
      "c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_catalog.left(n.nspname::text, 3) <> 'pg_' AND "
      "n.nspname <> 'information_schema' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i "
      "WHERE i.inhrelid = c.oid AND i.inhparent = s.oid) AND (SELECT pg_catalog.count(*) FROM "
      "pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('id', 'created_at')) = "
      "2 ORDER BY n.nspname",
      {sessions.oid});
  if (doubles.count() == 0) return;
  throw PassError(
      PassError::Kind::unusable,
      fmt::format("the schemas {0} and {1} both have a table sessions that could be the app's; say "
                  "which is meant with --database, by options=-csearch_path%3D{0} after the ? of "
                  "the URL",
                  doubles.text(0, 0), doubles.text(0, 1)));
}

/// A key that only a partition has, or that refers to one alone, says something of a part of the
/// rows: followed as if it were the whole table's, it would take others along.
void refuse_keys_of_partitions(Connection& connection, const Schema& schema) {
  const auto whole = connection.query(
      "SELECT p.relname FROM pg_catalog.pg_class s JOIN pg_catalog.pg_inherits i ON i.inhrelid = "
      "s.oid JOIN pg_catalog.pg_class p ON p.oid = i.inhparent WHERE s.oid = $1::oid AND "
      "s.relispartition",
      {schema.sessions().oid});
  if (whole.count() > 0) {
    not_this_apps(fmt::format("its table sessions is only a partition of {}", whole.text(0, 0)));
  }
  const auto keys = connection.query(
      "SELECT con.conname, c.relname, p.relname FROM pg_catalog.pg_constraint con JOIN "
      "pg_catalog.pg_class c ON c.oid = con.conrelid JOIN pg_catalog.pg_class p ON p.oid = "
      "con.confrelid WHERE con.contype = 'f' AND con.conparentid = 0 AND (c.relispartition OR "
      "p.relispartition) AND coalesce(pg_catalog.pg_partition_root(p.oid)::oid, p.oid) = ANY "
      "($1::oid[]) ORDER BY con.conname",
      {schema.oids()});
  if (keys.count() == 0) return;
  not_this_apps(
      fmt::format("its foreign key {} from {} to {} is a partition's alone, and not its table's",
                  keys.text(0, 0), keys.text(0, 1), keys.text(0, 2)));
}

/// What a rule makes of a DELETE leaves rows of sessions whose directories would be gone.
void refuse_rules(Connection& connection, const Schema& schema) {
  const auto rules = connection.query(
      "SELECT r.rulename, c.relname FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON "
      "c.oid = r.ev_class WHERE c.oid = ANY ($1::oid[]) AND r.ev_type = '4' AND r.ev_enabled <> "
      "'D' ORDER BY r.rulename",
      {schema.oids()});
  if (rules.count() == 0) return;
  not_this_apps(fmt::format("its table {} has a rule ({}) that makes something else of a DELETE",
                            rules.text(0, 1), rules.text(0, 0)));
}

/// A type of somebody's own may call anything equal, and so may a collation: a row that hangs on a
/// live session would then be taken for one that hangs on another, or on none.
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

}  // namespace

void refuse_what_misleads(Connection& connection, const Schema& schema) {
  refuse_doubles(connection, schema.sessions());
  refuse_heirs(connection, schema.sessions());
  refuse_keys_of_partitions(connection, schema);
  refuse_rules(connection, schema);
  refuse_loose_keys(schema);
}

}  // namespace calib::postgresql
