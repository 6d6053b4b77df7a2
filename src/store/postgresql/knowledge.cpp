#include "store/postgresql/knowledge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/hash.hpp"
#include "webapp/session_id.hpp"

namespace calib::postgresql {
namespace {

std::vector<DirectTable> direct_tables(const Schema& schema) {
  std::vector<DirectTable> result;
  for (std::size_t table = 0; table < schema.tables.size(); ++table) {
    DirectTable direct;
    direct.table = table;
    direct.keys = direct_keys(schema.keys, table, 0);
    if (direct.keys.empty()) continue;
    direct.plain = depends_on_nothing_else(schema.keys, table);
    result.push_back(std::move(direct));
  }
  return result;
}

}  // namespace

void Knowledge::learn(Schema read) {
  schema = std::move(read);
  direct = direct_tables(schema);
  covered.assign(schema.tables.size(), false);
  for (const auto& key : schema.keys) {
    if (key.role == Role::hangs) covered[key.child] = true;
    if (key.role == Role::holds) needs_closure = true;
  }
  for (const auto& table : direct) {
    if (table.plain) covered[table.table] = false;
  }
  for (std::size_t table = 0; table < schema.tables.size(); ++table) {
    needs_closure = needs_closure || covered[table];
    const bool is_direct = std::any_of(direct.begin(), direct.end(),
                                       [&](const auto& known) { return known.table == table; });
    if (is_direct || covered[table]) counted_tables.push_back(table);
  }
}

std::size_t Knowledge::column_of(std::size_t table) const {
  const auto found = std::find(counted_tables.begin(), counted_tables.end(), table);
  return static_cast<std::size_t>(found - counted_tables.begin());
}

std::string too_large(const std::string& value) {
  return fmt::format("coalesce(octet_length({}::text) > {}, false)", value, max_value_bytes);
}

std::string limited(const std::string& value) {
  return fmt::format("CASE WHEN octet_length({0}::text) <= {1} THEN {0}::text END", value,
                     max_value_bytes);
}

void refuse_large_value(const Connection& connection) {
  throw connection.failure(
      PassError::Kind::unusable,
      fmt::format("an id, an images_dir, a created_at or a reference to a session is larger than "
                  "{} MiB; shorten it or delete its row",
                  max_value_bytes >> 20));
}

std::string session_columns(const Schema& schema) {
  std::vector<std::string> values{"s.id", "s.created_at"};
  if (schema.has_images_dir) values.emplace_back("s.images_dir");
  std::string columns;
  std::string large = "false";
  for (const auto& value : values) {
    columns += limited(value) + ", ";
    large += " OR " + too_large(value);
  }
  return columns + large;
}

SessionRow session_row(const Connection& connection, const Schema& schema, const Rows& rows,
                       int row, int first) {
  const int last = first + (schema.has_images_dir ? 3 : 2);
  if (rows.get(row, last) == "t") refuse_large_value(connection);
  SessionRow result;
  for (int column = first; column < last; ++column) {
    const auto value = rows.get(row, column);
    result.fingerprint =
        result.fingerprint * 31 + exact_hash(value.value_or("")) + (value ? 1 + value->size() : 0);
  }
  result.id = rows.get(row, first).value_or("");
  result.id_is_text = schema.id_is_text && !result.id.empty();
  result.created_at = rows.get(row, first + 1);
  result.has_images_dir = schema.has_images_dir;
  if (schema.has_images_dir) {
    const auto directory = rows.get(row, first + 2);
    result.claimed = directory.value_or("");
    if (schema.images_dir_is_text) result.images_dir = directory;
  }
  return result;
}

std::uint32_t oldest_transaction(Connection& connection) {
  const auto rows =
      connection.query("SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot())");
  return static_cast<std::uint32_t>(rows.number(0, 0));
}

std::string tables_of_sessions(Connection& connection, const Schema& schema) {
  const auto& sessions = schema.sessions();
  // To have locked it, as any reading does, keeps its partitions from being detached.
  return connection
      .query(fmt::format("SELECT 1 FROM {0} WHERE false; SELECT ARRAY(SELECT relid::oid FROM "
                         "pg_catalog.pg_partition_tree({1})) || {1}::oid",
                         sessions.sql, sessions.oid))
      .text(0, 0);
}

std::set<std::string> standing(Connection& connection, const Schema& schema,
                               const std::vector<std::string>& ids) {
  std::set<std::string> result;
  if (ids.empty()) return result;
  const auto& sessions = schema.sessions();
  const auto rows = connection.query(
      fmt::format("SELECT u.n FROM pg_catalog.unnest($1::{}[]) WITH ORDINALITY AS u(k, n) WHERE "
                  "EXISTS (SELECT 1 FROM {} s WHERE s.id = u.k)",
                  sessions.type_of("id"), sessions.sql),
      {array_of(ids)});
  for (int row = 0; row < rows.count(); ++row) {
    result.insert(ids[static_cast<std::size_t>(rows.number(row, 0) - 1)]);
  }
  return result;
}

namespace {

/// `stand` gives those of some ids that are sessions.
template <typename Stand>
std::set<std::string> not_leaked(std::span<const std::string> keys, const Stand& stand) {
  std::vector<std::string> ids;
  for (const auto& key : keys) {
    ids.push_back(key);
    if (const auto halves = stereo_halves(key)) {
      ids.emplace_back(halves->first);
      ids.emplace_back(halves->second);
    }
  }
  const std::set<std::string> sessions = stand(ids);
  std::set<std::string> result;
  for (const auto& key : keys) {
    const auto halves = stereo_halves(key);
    const bool both = halves && sessions.contains(std::string(halves->first)) &&
                      sessions.contains(std::string(halves->second));
    if (both || sessions.contains(key)) result.insert(key);
  }
  return result;
}

}  // namespace

std::set<std::string> not_leaked(Connection& connection, const Schema& schema,
                                 std::span<const std::string> keys) {
  return not_leaked(
      keys, [&](const std::vector<std::string>& ids) { return standing(connection, schema, ids); });
}

std::set<std::string> not_leaked_as_text(Connection& connection, const Schema& schema,
                                         std::span<const std::string> keys) {
  return not_leaked(keys, [&](const std::vector<std::string>& ids) {
    std::set<std::string> result;
    if (ids.empty()) return result;
    const auto rows = connection.query(
        fmt::format("SELECT s.id::text FROM {} s WHERE s.id::text = ANY ($1::text[])",
                    schema.sessions().sql),
        {array_of(ids)});
    for (int row = 0; row < rows.count(); ++row) result.insert(rows.text(row, 0));
    return result;
  });
}

}  // namespace calib::postgresql
