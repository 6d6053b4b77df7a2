// Which rows refer to owners, who so cannot go before them, or may refer to them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "store/sqlite/closure.hpp"
#include "store/sqlite/pieces.hpp"

namespace calib::sqlite {

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
  return std::any_of(schema_.keys.begin(), schema_.keys.end(), [&](const ForeignKey& key) {
    if (key.role != Role::holds) return false;
    const auto going = going_row(key.child, "r", "c");
    const auto stays = going ? fmt::format(" WHERE NOT EXISTS (SELECT 1 FROM {} r WHERE {})",
                                           going->from, going->same)
                             : "";
    SQLite::Statement row(connection_.database(), fmt::format("SELECT 1 FROM {} c {}{} LIMIT 1",
                                                              main_table(schema_.tables[key.child]),
                                                              parent_join(key), stays));
    return row.executeStep();
  });
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
    if (const auto going = going_row(key.child, "r", "c")) {
      owner = "r.owner";
      join = fmt::format(
          " LEFT JOIN {0} r ON {1} WHERE NOT EXISTS (SELECT 1 FROM {0} o WHERE {2} AND o.owner = "
          "g.owner)",
          going->from, going->same, going_row(key.child, "o", "c")->same);
    }
    SQLite::Statement rows(
        connection_.database(),
        fmt::format("SELECT g.owner, {}, {} FROM {} c {}{}", owner, fmt::join(name, " || ',' || "),
                    main_table(child), parent_join(key), join));
    const auto by = fmt::format("{}.{}", child.name, fmt::join(key.from, ", "));
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
