#include "store/postgresql/references.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace calib::postgresql {

std::string read_references(Connection& connection, const Schema& schema) {
  return connection
      .query(
          "SELECT pg_catalog.string_agg(oid::text, ' ' ORDER BY oid) FROM pg_catalog.pg_constraint "
          "WHERE contype = 'f' AND confrelid = ANY ($1::oid[])",
          {schema.oids()})
      .text(0, 0);
}

bool may_skip_checks(Connection& connection, const Schema& schema) {
  const bool all_hang_directly =
      std::all_of(schema.keys.begin(), schema.keys.end(),
                  [](const ForeignKey& key) { return key.role == Role::hangs && key.parent == 0; });
  if (!all_hang_directly) return false;
  connection.query("SAVEPOINT calib_cleanup");
  try {
    connection.query("SET LOCAL session_replication_role = replica");
  } catch (const ServerError& error) {
    if (error.state() != "42501") throw;
    connection.query("ROLLBACK TO SAVEPOINT calib_cleanup");
    return false;
  }
  connection.query("ROLLBACK TO SAVEPOINT calib_cleanup");
  return true;
}

bool checks_say_nothing_new(Connection& connection, const Schema& schema) {
  std::vector<std::string> names;
  names.reserve(schema.tables.size());
  for (const auto& table : schema.tables) names.push_back(table.locked);
  connection.query(fmt::format("LOCK TABLE {} IN ROW EXCLUSIVE MODE", fmt::join(names, ", ")));
  // Rules and triggers are passed over, or run just then, by what their own settings say.
  const auto plain = connection.query(
      "SELECT pg_catalog.count(*) FROM ROWS FROM (pg_catalog.unnest($1::oid[]), "
      "pg_catalog.unnest($2::text[])) AS u(oid, name) JOIN pg_catalog.pg_class c ON c.oid = u.oid "
      "WHERE pg_catalog.to_regclass(u.name) = u.oid AND c.relkind = 'r' AND NOT c.relispartition "
      "AND NOT c.relhassubclass AND NOT c.relhasrules AND NOT EXISTS (SELECT 1 FROM "
      "pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) AND NOT EXISTS (SELECT 1 FROM "
      "pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND CASE WHEN t.tgisinternal THEN "
      "t.tgenabled <> 'O' ELSE t.tgenabled <> 'D' END)",
      {schema.oids(), array_of(names)});
  const auto differing = connection.query(
      "SELECT 1 FROM pg_catalog.pg_constraint con JOIN pg_catalog.pg_attribute f ON f.attrelid = "
      "con.conrelid AND f.attnum = con.conkey[1] JOIN pg_catalog.pg_attribute t ON t.attrelid = "
      "con.confrelid AND t.attnum = con.confkey[1] WHERE con.contype = 'f' AND con.confrelid = ANY "
      "($1::oid[]) AND (f.atttypid <> t.atttypid OR f.attcollation <> t.attcollation)",
      {schema.oids()});
  return plain.number(0, 0) == static_cast<std::int64_t>(names.size()) && differing.count() == 0;
}

std::string locks_beside(Connection& connection, const Schema& schema,
                         const std::vector<std::size_t>& counted) {
  std::string statements;
  for (std::size_t table = 1; table < schema.tables.size(); ++table) {
    if (std::find(counted.begin(), counted.end(), table) != counted.end()) continue;
    const auto& beside = schema.tables[table];
    // Before PostgreSQL 13 LOCK takes the same rights to each partition.
    const auto refused = connection.query(
        "SELECT 1 FROM pg_catalog.pg_class c WHERE (c.oid = $1::oid OR c.oid IN (SELECT relid FROM "
        "pg_catalog.pg_partition_tree($1::oid)) AND "
        "pg_catalog.current_setting('server_version_num')::int4 < 130000) AND NOT "
        "(pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND "
        "pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'))",
        {beside.oid});
    if (refused.count() > 0) continue;
    const bool changes =
        std::any_of(schema.keys.begin(), schema.keys.end(), [&](const ForeignKey& key) {
          return key.child == table && key.role != Role::hangs && key.role != Role::holds;
        });
    statements +=
        fmt::format("LOCK TABLE {} IN ROW {} MODE; ", beside.sql, changes ? "EXCLUSIVE" : "SHARE");
  }
  return statements;
}

}  // namespace calib::postgresql
