#include "store/postgresql/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace calib::postgresql {
namespace {

// A smaller table is read in a few milliseconds, and needs no index.
constexpr std::int64_t large_table = 16 << 20;

using Tables = std::map<std::string, Table>;  // by oid

/// Tables and views of this name, as the role's search path finds them: the oid, or empty.
std::string find_table(Connection& connection, const std::string& name) {
  return connection.on_roles_path([&] {
    return connection.query("SELECT pg_catalog.to_regclass($1)::pg_catalog.oid", {name}).text(0, 0);
  });
}

/// Those that the role's search path finds by their names alone.
std::set<std::string> visible_tables(Connection& connection, const std::string& oids) {
  const auto rows = connection.on_roles_path([&] {
    return connection.query(
        "SELECT o FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS o WHERE "
        "pg_catalog.pg_table_is_visible(o)",
        {oids});
  });
  std::set<std::string> visible;
  for (int row = 0; row < rows.count(); ++row) visible.insert(rows.text(row, 0));
  return visible;
}

std::vector<DeclaredKey> read_keys(Connection& connection) {
  // Those of partitions stand for their parent's, which is there itself; what a partition has alone
  // is for refuse_keys_of_partitions().
  const auto rows = connection.query(
      "SELECT con.oid, con.conrelid, con.confrelid, CASE con.confdeltype WHEN 'c' THEN 'CASCADE' "
      "WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' WHEN 'r' THEN 'RESTRICT' ELSE "
      "'NO ACTION' END, a.attname, b.attname FROM pg_catalog.pg_constraint con CROSS JOIN LATERAL "
      "ROWS FROM (pg_catalog.unnest(con.conkey), pg_catalog.unnest(con.confkey)) WITH ORDINALITY "
      "AS k(child, parent, position) JOIN pg_catalog.pg_attribute a ON a.attrelid = con.conrelid "
      "AND a.attnum = k.child JOIN pg_catalog.pg_attribute b ON b.attrelid = con.confrelid AND "
      "b.attnum = k.parent WHERE con.contype = 'f' AND con.conparentid = 0 AND NOT EXISTS (SELECT "
      "1 "
      "FROM pg_catalog.pg_class c WHERE c.oid IN (con.conrelid, con.confrelid) AND "
      "c.relispartition) ORDER BY con.conname, con.oid, k.position");
  std::vector<DeclaredKey> keys;
  std::string last;
  for (int row = 0; row < rows.count(); ++row) {
    if (auto oid = rows.text(row, 0); oid != last) {
      keys.push_back({rows.text(row, 1), rows.text(row, 2), {}, {}, rows.text(row, 3)});
      last = std::move(oid);
    }
    keys.back().from.push_back(rows.text(row, 4));
    keys.back().to.push_back(rows.text(row, 5));
  }
  return keys;
}

/// A part of a table's name. Names are what tables are told apart by from here on, so that a dot in
/// one must not look like the one between two.
std::string shown(const std::string& name) {
  return name.find_first_of(".\"") == std::string::npos ? name : quoted_name(name);
}

Tables read_tables(Connection& connection, const std::set<std::string>& oids) {
  Tables tables;
  const std::string wanted = array_of(std::vector<std::string>(oids.begin(), oids.end()));
  const auto visible = visible_tables(connection, wanted);
  const auto rows = connection.query(
      "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c JOIN "
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])",
      {wanted});
  for (int row = 0; row < rows.count(); ++row) {
    const auto kind = rows.text(row, 3);
    if (kind != "r" && kind != "p") continue;  // a view, say
    Table table;
    table.oid = rows.text(row, 0);
    const auto schema = rows.text(row, 1);
    const auto name = rows.text(row, 2);
    table.name = shown(name);
    if (!visible.contains(table.oid)) table.name = fmt::format("{}.{}", shown(schema), table.name);
    table.locked = fmt::format("{}.{}", quoted_name(schema), quoted_name(name));
    table.sql = fmt::format("{}{}", kind == "r" ? "ONLY " : "", table.locked);
    tables.emplace(table.oid, std::move(table));
  }
  const auto columns = connection.query(
      // A domain is compared as what it is made of.
      "SELECT a.attrelid, a.attname, pg_catalog.format('%I.%I', n.nspname, t.typname), "
      "a.attnotnull, a.attgenerated <> '' OR a.attidentity = 'a', "
      "pg_catalog.pg_get_expr(d.adbin, d.adrelid), n.nspname <> 'pg_catalog' AND t.typtype <> 'e' "
      "OR NOT coalesce(l.collisdeterministic, true) FROM pg_catalog.pg_attribute a JOIN "
      "pg_catalog.pg_type o ON o.oid = a.atttypid JOIN pg_catalog.pg_type t ON t.oid = CASE WHEN "
      "o.typtype = 'd' THEN o.typbasetype ELSE o.oid END JOIN pg_catalog.pg_namespace n ON n.oid = "
      "t.typnamespace LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation LEFT JOIN "
      "pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = "
      "ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
      {wanted});
  for (int row = 0; row < columns.count(); ++row) {
    const auto table = tables.find(columns.text(row, 0));
    if (table == tables.end()) continue;
    Column column;
    column.name = columns.text(row, 1);
    column.type = columns.text(row, 2);
    column.not_null = columns.text(row, 3) == "t";
    column.is_generated = columns.text(row, 4) == "t";
    if (const auto value = columns.get(row, 5)) column.default_value = *value;
    if (columns.text(row, 6) == "t") table->second.loose.insert(column.name);
    table->second.columns.push_back(std::move(column));
  }
  return tables;
}

/// Whether values of the column are texts that the app could have made.
bool is_text(Connection& connection, const Table& table, const char* column) {
  return connection
             .query(
                 "SELECT t.typcategory = 'S' OR t.oid = 'pg_catalog.uuid'::pg_catalog.regtype FROM "
                 "pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE "
                 "a.attrelid = $1::oid AND a.attname = $2",
                 {table.oid, column})
             .text(0, 0) == "t";
}

/// Tables with a column session_id in the schema of `sessions`: other schemas are other apps'.
std::vector<std::string> tables_with_session_id(Connection& connection,
                                                const std::string& sessions) {
  const auto rows = connection.query(
      "SELECT DISTINCT c.oid FROM pg_catalog.pg_class s JOIN pg_catalog.pg_class c ON "
      "c.relnamespace = s.relnamespace JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE "
      "s.oid = $1::oid AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND "
      "pg_catalog.lower(a.attname::text) = 'session_id' AND a.attnum > 0 AND NOT a.attisdropped",
      {sessions});
  std::vector<std::string> oids;
  oids.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) oids.push_back(rows.text(row, 0));
  return oids;
}

/// Why this role cannot read all values of a column; empty where it can.
std::string why_unread(Connection& connection, const Table& table, const std::string& column) {
  const auto rights = connection.query(
      "SELECT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND "
      "pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') FROM pg_catalog.pg_class c JOIN "
      "pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE c.oid = $1::oid AND a.attname = $2",
      {table.oid, column});
  if (rights.count() > 0 && rights.text(0, 0) != "t") return "this role may not read it";
  const auto policies =
      connection.query("SELECT pg_catalog.row_security_active($1::oid)", {table.oid});
  return policies.text(0, 0) == "t" ? "a policy hides rows of it from this role" : "";
}

std::vector<Schema::Unplaced> find_unplaced(Connection& connection, const Tables& tables,
                                            const std::vector<DeclaredKey>& keys,
                                            const Cascade& cascade) {
  std::vector<KnownTable> known;
  std::map<std::string, const Table*> by_name;
  for (const auto& [oid, table] : tables) {
    known.push_back({table.name, table.name, &table.columns});
    by_name.emplace(table.name, &table);
  }
  std::vector<Schema::Unplaced> result;
  for (auto& column : unplaced_columns(known, keys, cascade)) {
    const auto& table = *by_name.at(column.table);
    for (auto& key : column.placing) key.parent = by_name.at(key.parent)->sql;
    auto unread = why_unread(connection, table, column.column);
    result.push_back({table.sql, std::move(column), std::move(unread)});
  }
  return result;
}

std::vector<std::string> read_triggers(Connection& connection, const Schema& schema) {
  const auto rows = connection.query(
      "SELECT tgname FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') "
      "AND tgrelid = ANY ($1::oid[]) ORDER BY tgname",
      {schema.oids()});
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row) names.push_back(rows.text(row, 0));
  return names;
}

/// Where the role's search path leads to no table `sessions`, but a schema has one: the role lacks
/// the right to look into it, or its path.
void refuse_unseen_sessions(Connection& connection) {
  const auto unseen = connection.query(
      "SELECT n.nspname, pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_class "
      "c "
      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'sessions' AND "
      "c.relkind IN ('r', 'p') AND pg_catalog.left(n.nspname::text, 3) <> 'pg_' AND n.nspname <> "
      "'information_schema' AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE "
      "a.attrelid = c.oid AND a.attname IN ('id', 'created_at')) = 2 ORDER BY n.nspname");
  if (unseen.count() == 0) return;
  const auto schema = unseen.text(0, 0);
  throw PassError(
      PassError::Kind::unusable,
      unseen.text(0, 1) == "t"
          ? fmt::format("its table sessions is in the schema {0}, to which this role's search path "
                        "does not lead; say that it is meant with --database, by "
                        "options=-csearch_path%3D{0} after the ? of the URL",
                        schema)
          : fmt::format("this role may not look into the schema {}, which has the table sessions; "
                        "grant it USAGE",
                        schema));
}

/// What refers to a column that the app has not, such as "ID", says nothing about sessions.
void refuse_other_ids(const Table& sessions, const std::vector<DeclaredKey>& keys) {
  for (const auto& key : keys) {
    if (key.parent != sessions.name || key.to == std::vector<std::string>{"id"}) continue;
    not_this_apps(
        fmt::format("the foreign key of {} to sessions does not refer to the one column "
                    "id",
                    key.child));
  }
}

}  // namespace

const std::string& Table::type_of(const std::string& column) const {
  // Where two names differ in case only, they are two here.
  return std::find_if(columns.begin(), columns.end(),
                      [&](const Column& known) { return known.name == column; })
      ->type;
}

std::string Schema::oids() const {
  std::vector<std::string> oids;
  oids.reserve(tables.size());
  for (const auto& table : tables) oids.push_back(table.oid);
  return array_of(oids);
}

Schema read_schema(Connection& connection) {
  const auto sessions = find_table(connection, "sessions");
  if (sessions.empty()) refuse_unseen_sessions(connection);
  const auto images = find_table(connection, "calibration_images");
  auto keys = read_keys(connection);
  std::set<std::string> oids;
  for (const auto& oid : {sessions, images}) {
    if (!oid.empty()) oids.insert(oid);
  }
  for (const auto& key : keys) {
    oids.insert(key.child);
    oids.insert(key.parent);
  }
  if (!sessions.empty()) {
    for (const auto& oid : tables_with_session_id(connection, sessions)) oids.insert(oid);
  }
  const auto tables = read_tables(connection, oids);
  const auto columns_of = [&](const std::string& oid) {
    const auto table = tables.find(oid);
    return table == tables.end() ? nullptr : &table->second.columns;
  };
  Schema schema;
  schema.has_images_dir = check_app_tables(columns_of(sessions), columns_of(images));
  std::map<std::string, const Table*> by_name;
  for (const auto& [oid, table] : tables) by_name.emplace(table.name, &table);
  std::erase_if(keys, [&](DeclaredKey& key) {
    if (!tables.contains(key.child) || !tables.contains(key.parent)) return true;
    key.child = tables.at(key.child).name;
    key.parent = tables.at(key.parent).name;
    return false;
  });
  refuse_other_ids(tables.at(sessions), keys);
  auto cascade = cascade_of(
      tables.at(sessions).name, keys,
      [&](const std::string& name) -> const Columns& { return by_name.at(name)->columns; });
  schema.unplaced = find_unplaced(connection, tables, keys, cascade);
  for (const auto& name : cascade.tables) schema.tables.push_back(*by_name.at(name));
  schema.keys = std::move(cascade.keys);
  schema.id_is_text = is_text(connection, schema.sessions(), "id");
  schema.images_dir_is_text =
      schema.has_images_dir && is_text(connection, schema.sessions(), "images_dir");
  schema.triggers = read_triggers(connection, schema);
  return schema;
}

std::uint64_t size_of_tables(Connection& connection, const Schema& schema) {
  const auto rows = connection.query(
      // A table that is neither partitioned nor a partition is in no tree.
      "SELECT pg_catalog.sum(pg_catalog.pg_table_size(o)) FROM (SELECT p.relid FROM "
      "pg_catalog.unnest($1::oid[]) AS t(o), pg_catalog.pg_partition_tree(t.o) AS p UNION SELECT "
      "pg_catalog.unnest($1::oid[])) AS p(o)",
      {schema.oids()});
  return static_cast<std::uint64_t>(rows.number(0, 0));
}

std::vector<Unindexed> read_unindexed(Connection& connection, const Schema& schema) {
  std::vector<Unindexed> result;
  for (const auto& key : schema.keys) {
    const auto& child = schema.tables[key.child];
    const auto& column = find_column(child.columns, key.from.front())->name;
    const auto rows = connection.query(
        "SELECT pg_catalog.pg_table_size(a.attrelid), EXISTS (SELECT 1 FROM pg_catalog.pg_index i "
        "WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = "
        "a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::oid AND a.attname = $2",
        {child.oid, column});
    if (rows.count() == 0 || rows.number(0, 0) < large_table || rows.text(0, 1) == "t") continue;
    Unindexed unindexed;
    unindexed.table = child.name;
    unindexed.create =
        fmt::format("CREATE INDEX CONCURRENTLY ON {} ({})", child.locked, quoted_name(column));
    unindexed.bytes = static_cast<std::uint64_t>(rows.number(0, 0));
    result.push_back(std::move(unindexed));
  }
  return result;
}

}  // namespace calib::postgresql
