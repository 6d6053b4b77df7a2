#include "store/sqlite/closure.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "store/sqlite/pieces.hpp"

namespace calib::sqlite {
namespace {

// Whose numbers stand in one statement.
constexpr std::size_t owners_at_once = 5000;

std::string join_and(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, " AND "));
}

/// `alias."a", alias."b"`.
std::string columns(const std::vector<std::string>& names, const std::string& alias) {
  std::vector<std::string> parts;
  parts.reserve(names.size());
  for (const auto& name : names) parts.push_back(alias + "." + quoted_name(name));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// `c0, c1`: the columns of a temporary table that name a row.
std::vector<std::string> identity_columns(const Table& table) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < table.identity.size(); ++i) names.push_back(fmt::format("c{}", i));
  return names;
}

/// What a column's default is as an expression. SQLite takes a bare or quoted identifier there for
/// a string (https://www.sqlite.org/lang_createtable.html, "The DEFAULT clause"), which it would
/// not be in an expression.
std::string default_expression(const std::string& text) {
  const auto is_word = [](char c) {
    return c == '_' || c == '$' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
  };
  const bool bare = !text.empty() && std::all_of(text.begin(), text.end(), is_word) &&
                    (text.front() < '0' || text.front() > '9');
  static const std::set<std::string, std::less<>> values{
      "null", "true", "false", "current_time", "current_date", "current_timestamp"};
  if (bare && !values.contains(ascii_lowered(text))) return "'" + text + "'";
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return "(" + text + "\n)";
  std::string literal = "'";
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    literal += text[i];
    if (text[i] == '\'') literal += '\'';
    if (text[i] == '"') ++i;  // it stands twice
  }
  return literal + "'";
}

}  // namespace

std::string stereo_condition(const std::string& key, const std::string& owner) {
  return fmt::format(
      "length({0}) = 80 AND substr({0}, 1, 7) = 'stereo_' AND substr({0}, 44, 1) = '_' AND "
      "({1} = substr({0}, 8, 36) OR {1} = substr({0}, 45, 36)) AND NOT EXISTS (SELECT 1 FROM "
      "main.sessions s WHERE s.id = {0})",
      key, owner);
}

std::string equal_condition(const ForeignKey& key, const std::string& owner) {
  return fmt::format("c.{} = {}", quoted_name(key.from.front()), owner);
}

std::string owned_condition(const ForeignKey& key, const std::string& owner) {
  auto same = equal_condition(key, owner);
  if (!key.is_session_id) return same;
  const auto column = "c." + quoted_name(key.from.front());
  return fmt::format("({} OR ({}))", same, stereo_condition(column, owner));
}

Closure::Closure(Connection& connection, const Schema& schema,
                 const std::vector<DirectTable>& direct_tables)
    : connection_(connection),
      schema_(schema),
      going_(schema.tables.size()),
      rows_met_(schema.tables.size()) {
  for (const auto& key : schema.keys) {
    if (key.role == Role::hangs) {
      going_[key.child] = fmt::format("temp.calib_cleanup_going_{}", key.child);
    }
  }
  for (const auto& direct : direct_tables) {
    if (direct.plain) going_[direct.table].clear();
  }
}

std::int64_t Closure::run(const std::string& sql) { return connection_.database().exec(sql); }

void Closure::make_tables() {
  if (std::exchange(created_, true)) return;
  run(
      fmt::format("CREATE TEMP TABLE {} (key TEXT PRIMARY KEY, owner INTEGER NOT NULL, "
                  "is_session INTEGER NOT NULL) WITHOUT ROWID",
                  owner_table.substr(owner_table.find('.') + 1)));
  for (std::size_t table = 0; table < going_.size(); ++table) {
    if (!covers(table)) continue;
    const auto ids = fmt::format("{}", fmt::join(identity_columns(schema_.tables[table]), ", "));
    run(
        fmt::format("CREATE TEMP TABLE calib_cleanup_going_{0} ({1}, owner INTEGER NOT NULL, "
                    "PRIMARY KEY ({1}, owner)) WITHOUT ROWID",
                    table, ids));
  }
}

Closure::Ranges Closure::all_rows() {
  return [this](std::size_t table, const RangeVisitor& visit) {
    rows_met_[table] = visit_ranges(connection_, schema_.tables[table], visit);
  };
}

void Closure::start(std::span<const Owner> owners, Ranges ranges, Lookup lookup) {
  ranges_ = std::move(ranges);
  lookup_ = lookup;
  run(fmt::format("DELETE FROM {}", owner_table));
  for (const auto& table : going_) {
    if (!table.empty()) run("DELETE FROM " + table);
  }
  SQLite::Statement insert(
      connection_.database(),
      fmt::format("INSERT OR IGNORE INTO {} VALUES (?1, ?2, ?3)", owner_table));
  for (const auto& owner : owners) {
    insert.bind(1, std::string(owner.key));
    insert.bind(2, static_cast<std::int64_t>(owner.index));
    insert.bind(3, owner.is_session ? 1 : 0);
    insert.exec();
    insert.reset();
  }
}

bool Closure::is_seeded(const ForeignKey& key) const {
  return key.parent == schema_.sessions && schema_.tables[key.child].has_rowid;
}

std::string Closure::seed_statement(const DirectTable& direct, std::size_t position) const {
  const auto& table = schema_.tables[direct.table];
  return fmt::format(
      "INSERT OR IGNORE INTO {0} SELECT c.{1}, ?4 FROM {2} AS c WHERE c.{1} BETWEEN "
      "?1 AND ?2 AND {3}",
      going_[direct.table], quoted_name(table.identity.front()), main_table(table),
      owned_condition(schema_.keys[direct.keys[position]], "?3"));
}

void Closure::spread() {
  // A key whose parent's set has grown is followed (again), until nothing grows: cycles end too.
  std::set<std::size_t> grown{schema_.sessions};
  for (const auto& key : schema_.keys) {
    if (key.role == Role::hangs && is_seeded(key)) grown.insert(key.child);
  }
  while (!grown.empty()) {
    const auto parents = std::exchange(grown, {});
    for (const auto& key : schema_.keys) {
      if (key.role != Role::hangs || !parents.contains(key.parent) || !covers(key.child)) continue;
      if (is_seeded(key)) continue;
      auto rows = add_leaked_and_stereo(key);
      in_ranges(key, insert_children(key),
                [&](SQLite::Statement& insert) { rows += insert.exec(); });
      if (rows > 0) grown.insert(key.child);
    }
  }
}

Closure::Search Closure::search_of(const ForeignKey& key) const {
  const bool has_rowid = schema_.tables[key.child].has_rowid;
  const auto position = static_cast<std::size_t>(&key - schema_.keys.data());
  if (schema_.is_indexed[position] && (lookup_ == Lookup::by_index || !has_rowid)) {
    return Search::from_going;
  }
  return has_rowid ? Search::from_ranges : Search::anywhere;
}

std::string Closure::children(const ForeignKey& key, const std::string& join) const {
  const auto& child = schema_.tables[key.child];
  const auto& parent = schema_.tables[key.parent];
  // The parent's column stands on the left: its collation decides, as in a foreign key. So does its
  // type: the plus takes the child's away.
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < key.from.size(); ++i) {
    const auto* to = find_column(parent.columns, key.to[i]);
    const auto* from = find_column(child.columns, key.from[i]);
    const bool alike = to != nullptr && from != nullptr && to->type == from->type;
    parts.push_back(fmt::format("p.{} = {}c.{}", quoted_name(key.to[i]), alike ? "" : "+",
                                quoted_name(key.from[i])));
  }
  const auto references = join_and(parts);
  const auto going = *going_row(key.parent, "g", "p");
  const auto child_table = main_table(child);
  const auto parent_table = main_table(parent);
  switch (search_of(key)) {
    case Search::from_ranges:
      // From the few rows of a range up, of which SQLite does not know that they are few.
      return fmt::format(
          "{} c CROSS JOIN {} p ON {} CROSS JOIN {} g ON {}{} WHERE c.{} BETWEEN ?1 "
          "AND ?2",
          child_table, parent_table, references, going.from, going.same, join,
          quoted_name(child.identity.front()));
    case Search::from_going:
      return fmt::format("{} g CROSS JOIN {} p ON {} CROSS JOIN {} c ON {}{} WHERE 1", going.from,
                         parent_table, going_parents(key), child_table, references, join);
    case Search::anywhere:
      break;
  }
  return fmt::format("{} c JOIN {} p ON {} JOIN {} g ON {}{} WHERE 1", child_table, parent_table,
                     references, going.from, going_parents(key), join);
}

/// As GoingRow::same, for a search that may begin with what goes.
std::string Closure::going_parents(const ForeignKey& key) const {
  if (key.parent == schema_.sessions) return "g.key = p.id AND g.is_session";
  std::vector<std::string> same;
  const auto& identity = schema_.tables[key.parent].identity;
  for (std::size_t i = 0; i < identity.size(); ++i) {
    same.push_back(fmt::format("g.c{} = p.{}", i, quoted_name(identity[i])));
  }
  return join_and(same);
}

void Closure::in_ranges(const ForeignKey& key, const std::string& sql,
                        const std::function<void(SQLite::Statement&)>& run) {
  SQLite::Statement statement(connection_.database(), sql);
  if (search_of(key) != Search::from_ranges) {
    run(statement);
    return;
  }
  ranges_(key.child, [&](std::int64_t first, std::int64_t last) {
    statement.bind(1, first);
    statement.bind(2, last);
    run(statement);
    statement.reset();
  });
}

std::string Closure::insert_children(const ForeignKey& key) const {
  return fmt::format("INSERT OR IGNORE INTO {} SELECT {}, g.owner FROM {}", going_[key.child],
                     columns(schema_.tables[key.child].identity, "c"), children(key));
}

/// Of a table that cannot be seeded.
std::int64_t Closure::add_leaked_and_stereo(const ForeignKey& key) {
  if (!key.is_session_id) return 0;
  const auto& child = schema_.tables[key.child];
  const auto column = "c." + quoted_name(key.from.front());
  const auto insert =
      fmt::format("INSERT OR IGNORE INTO {} SELECT {}, g.owner FROM {} c JOIN {} g ON ",
                  going_[key.child], columns(child.identity, "c"), main_table(child), owner_table);
  return run(fmt::format("{}g.key = {} AND NOT g.is_session", insert, column)) +
         run(fmt::format("{}g.is_session AND {}", insert, stereo_condition(column, "g.key")));
}

std::vector<std::vector<Run>> Closure::rows_concerned() {
  std::vector<std::vector<Run>> concerned(schema_.tables.size());
  const auto add = [](std::vector<Run>& runs, SQLite::Statement& rows) {
    while (rows.executeStep()) {
      const auto row = rows.getColumn(0).getInt64();
      const auto owner = static_cast<OwnerIndex>(rows.getColumn(1).getInt64());
      // Rows of one owner often stand in a row.
      if (!runs.empty() && runs.back().owner == owner && runs.back().last + 1 == row) {
        runs.back().last = row;
      } else {
        runs.push_back({row, row, owner});
      }
    }
  };
  for (std::size_t table = 0; table < going_.size(); ++table) {
    if (!covers(table) || !schema_.tables[table].has_rowid) continue;
    SQLite::Statement rows(connection_.database(),
                           fmt::format("SELECT c0, owner FROM {} ORDER BY c0", going_[table]));
    add(concerned[table], rows);
  }
  for (const auto& key : schema_.keys) {
    const auto& child = schema_.tables[key.child];
    if (key.role == Role::hangs || key.role == Role::unclear || !child.has_rowid) continue;
    in_ranges(key,
              fmt::format("SELECT c.{}, g.owner FROM {}", quoted_name(child.identity.front()),
                          children(key)),
              [&](SQLite::Statement& rows) { add(concerned[key.child], rows); });
  }
  for (auto& runs : concerned) {
    std::stable_sort(runs.begin(), runs.end(),
                     [](const Run& a, const Run& b) { return a.owner < b.owner; });
    runs.shrink_to_fit();
  }
  return concerned;
}

void Closure::withdraw(std::span<const OwnerIndex> owners) {
  std::vector<std::string> tables{std::string(owner_table)};
  for (const auto& table : going_) {
    if (!table.empty()) tables.push_back(table);
  }
  // Many at once: each statement reads the whole table.
  for (std::size_t first = 0; first < owners.size(); first += owners_at_once) {
    const auto some = owners.subspan(first, std::min(owners_at_once, owners.size() - first));
    for (const auto& table : tables) {
      run(fmt::format("DELETE FROM {} WHERE owner IN ({})", table, fmt::join(some, ", ")));
    }
  }
}

void Closure::count(RecordCounts& counts,
                    const std::function<std::size_t(std::size_t)>& column_of) {
  for (std::size_t table = 0; table < going_.size(); ++table) {
    if (!covers(table)) continue;
    const auto ids = fmt::format("{}", fmt::join(identity_columns(schema_.tables[table]), ", "));
    SQLite::Statement rows(
        connection_.database(),
        fmt::format("SELECT owner, count(*) FROM (SELECT min(owner) AS owner FROM {} GROUP BY {}) "
                    "GROUP BY owner",
                    going_[table], ids));
    while (rows.executeStep()) {
      counts.at(static_cast<OwnerIndex>(rows.getColumn(0).getInt64()), column_of(table)) +=
          static_cast<std::uint32_t>(rows.getColumn(1).getInt64());
    }
  }
}

void Closure::set_references(const ForeignKey& key) {
  const auto& child = schema_.tables[key.child];
  std::vector<std::string> assignments;
  for (const auto& name : key.from) {
    std::string value = "NULL";
    if (key.role == Role::set_default) {
      const auto column = std::find_if(child.columns.begin(), child.columns.end(),
                                       [&](const Column& c) { return c.name == name; });
      if (column != child.columns.end() && column->default_value) {
        value = default_expression(*column->default_value);
      }
    }
    assignments.push_back(fmt::format("{} = {}", quoted_name(name), value));
  }
  std::vector<std::string> ids;
  for (const auto& name : child.identity) ids.push_back(quoted_name(name));
  in_ranges(key,
            fmt::format("UPDATE {} SET {} WHERE ({}) IN (SELECT {} FROM {})", main_table(child),
                        fmt::join(assignments, ", "), fmt::join(ids, ", "),
                        columns(child.identity, "c"), children(key)),
            [](SQLite::Statement& update) { update.exec(); });
}

void Closure::execute() {
  for (const auto& key : schema_.keys) {
    if (key.role == Role::set_null || key.role == Role::set_default) set_references(key);
  }
  for (std::size_t table = 0; table < going_.size(); ++table) {
    if (!covers(table)) continue;
    std::vector<std::string> ids;
    for (const auto& name : schema_.tables[table].identity) ids.push_back(quoted_name(name));
    run(fmt::format("DELETE FROM {} WHERE ({}) IN (SELECT {} FROM {})",
                    main_table(schema_.tables[table]), fmt::join(ids, ", "),
                    fmt::join(identity_columns(schema_.tables[table]), ", "), going_[table]));
  }
}

std::optional<Closure::GoingRow> Closure::going_row(std::size_t table, const std::string& row,
                                                    const std::string& alias) const {
  if (table == schema_.sessions) {
    return GoingRow{std::string(owner_table),
                    fmt::format("{0}.key = {1}.id AND {0}.is_session", row, alias)};
  }
  if (!covers(table)) return std::nullopt;
  std::vector<std::string> same;
  const auto& identity = schema_.tables[table].identity;
  for (std::size_t i = 0; i < identity.size(); ++i) {
    // The plus takes the column's affinity away. With it SQLite would convert the values that stand
    // in the temporary table, and could not use its primary key.
    same.push_back(fmt::format("{}.c{} = +{}.{}", row, i, alias, quoted_name(identity[i])));
  }
  return GoingRow{going_[table], fmt::format("{}", fmt::join(same, " AND "))};
}

bool Closure::any_held() {
  bool any = false;
  for (const auto& key : schema_.keys) {
    if (key.role != Role::holds) continue;
    const auto going = going_row(key.child, "r", "c");
    const auto stays = going ? fmt::format(" AND NOT EXISTS (SELECT 1 FROM {} r WHERE {})",
                                           going->from, going->same)
                             : "";
    in_ranges(key, fmt::format("SELECT 1 FROM {}{} LIMIT 1", children(key), stays),
              [&](SQLite::Statement& row) { any = any || row.executeStep(); });
  }
  return any;
}

std::vector<Hold> Closure::holds() {
  std::vector<Hold> result;
  for (const auto& key : schema_.keys) {
    if (key.role != Role::holds) continue;
    const auto& child = schema_.tables[key.child];
    // As literals: no two values look alike.
    std::vector<std::string> name;
    for (const auto& column : child.identity) {
      name.push_back(fmt::format("quote(c.{})", quoted_name(column)));
    }
    std::string owner = "NULL";
    std::string join;
    std::string others;
    if (const auto going = going_row(key.child, "r", "c")) {
      owner = "r.owner";
      join = fmt::format(" LEFT JOIN {} r ON {}", going->from, going->same);
      others = fmt::format(" AND NOT EXISTS (SELECT 1 FROM {} o WHERE {} AND o.owner = g.owner)",
                           going->from, going_row(key.child, "o", "c")->same);
    }
    const auto by = fmt::format("{}.{}", child.name, fmt::join(key.from, ", "));
    in_ranges(key,
              fmt::format("SELECT g.owner, {}, {} FROM {}{}", owner, fmt::join(name, " || ',' || "),
                          children(key, join), others),
              [&](SQLite::Statement& rows) {
                while (rows.executeStep()) {
                  Hold hold;
                  hold.held = static_cast<OwnerIndex>(rows.getColumn(0).getInt64());
                  hold.by = by;
                  hold.row = fmt::format("{} {}", key.child, text_of(rows, 2));
                  if (!rows.isColumnNull(1)) {
                    hold.goes_with = static_cast<OwnerIndex>(rows.getColumn(1).getInt64());
                  }
                  result.push_back(std::move(hold));
                }
              });
  }
  return result;
}

std::vector<Unplaced> Closure::unplaced(std::size_t doomed) {
  std::vector<Unplaced> result;
  for (const auto& key : schema_.keys) {
    if (key.role != Role::unclear) continue;
    const auto& child = schema_.tables[key.child];
    const auto& parent = schema_.tables[key.parent];
    // Each value once: a value of many parents, met by many children, would make as many pairs. And
    // CROSS JOIN has SQLite look the values up, by an index that it makes.
    std::vector<std::string> values;
    std::vector<std::string> grouped;
    std::vector<std::string> references;
    for (std::size_t i = 0; i < key.to.size(); ++i) {
      grouped.push_back("p." + quoted_name(key.to[i]));
      values.push_back(fmt::format("{} AS k{}", grouped.back(), i));
      references.push_back(fmt::format("v.k{} = c.{}", i, quoted_name(key.from[i])));
    }
    const auto parents = going_row(key.parent, "r", "p");
    const auto children = going_row(key.child, "r", "c");
    SQLite::Statement rows(
        connection_.database(),
        fmt::format(
            "SELECT v.owner, v.is_shared, count(*) FROM {} c CROSS JOIN (SELECT {}, min(r.owner) "
            "AS "
            "owner, max(r.owner IS NULL) AS is_shared FROM {} p LEFT JOIN {} r ON {} GROUP BY {} "
            "HAVING min(r.owner) IS NOT NULL) v ON {}{} GROUP BY v.owner, v.is_shared ORDER BY "
            "v.owner",
            main_table(child), fmt::join(values, ", "), main_table(parent), parents->from,
            parents->same, fmt::join(grouped, ", "), fmt::join(references, " AND "),
            children ? fmt::format(" WHERE NOT EXISTS (SELECT 1 FROM {} r WHERE {})",
                                   children->from, children->same)
                     : ""));
    Unplaced unplaced;
    while (rows.executeStep()) {
      const auto owner = static_cast<OwnerIndex>(rows.getColumn(0).getInt64());
      const auto count = static_cast<std::uint64_t>(rows.getColumn(2).getInt64());
      if (rows.getColumn(1).getInt() != 0) {
        unplaced.unclear += count;
      } else if (owner >= doomed) {
        unplaced.gone += count;
      } else {
        unplaced.going.push_back({owner, count});
      }
    }
    if (unplaced.going.empty() && unplaced.gone + unplaced.unclear == 0) continue;
    unplaced.what = fmt::format("{}.{} {}", child.name, fmt::join(key.from, ", "), key.doubt);
    unplaced.remedy = "mend that key";
    result.push_back(std::move(unplaced));
  }
  return result;
}

}  // namespace calib::sqlite
