#include "store/postgresql/closure.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

namespace calib::postgresql {

Closure::Closure(Connection& connection, const Schema& schema, const std::vector<bool>& covered,
                 Lock lock)
    : connection_(connection),
      schema_(schema),
      covered_(covered),
      lock_(lock),
      referred_columns_(schema.tables.size()),
      going_(schema.tables.size()) {
  for (const auto& key : schema.keys) {
    referred_columns_[key.parent].insert(key.to.begin(), key.to.end());
  }
}

Closure::Referred Closure::referred_by(const ForeignKey& key, Keys keys) const {
  Referred referred;
  referred.columns.resize(key.to.size());
  if (key.parent == 0) {
    for (const auto& [id, owner] : sessions_) {
      referred.columns.front().push_back(id);
      referred.owners.push_back({owner});
    }
    if (keys == Keys::sessions || !key.is_session_id) return referred;
    for (const auto& [other, named] : other_keys_) {
      referred.columns.front().push_back(other);
      referred.owners.push_back(named.owners);
    }
    return referred;
  }
  for (const auto& [place, row] : going_[key.parent]) {
    const bool any_null = std::any_of(key.to.begin(), key.to.end(),
                                      [&row = row](const auto& to) { return !row.values.at(to); });
    if (any_null) continue;
    for (std::size_t i = 0; i < key.to.size(); ++i) {
      referred.columns[i].push_back(*row.values.at(key.to[i]));
    }
    referred.owners.push_back(row.owners);
  }
  return referred;
}

std::vector<Closure::Child> Closure::children(const ForeignKey& key, const Referred& referred,
                                              Lock lock) {
  std::vector<Child> result;
  if (referred.owners.empty()) return result;
  const auto& child = schema_.tables[key.child];
  const auto& parent = schema_.tables[key.parent];
  std::vector<std::string> arrays;
  std::vector<std::string> names;
  std::vector<std::string> same;
  std::vector<std::string> parameters;
  for (std::size_t i = 0; i < key.from.size(); ++i) {
    arrays.push_back(fmt::format("pg_catalog.unnest(${}::{}[])", i + 1, parent.type_of(key.to[i])));
    names.push_back(fmt::format("k{}", i));
    same.push_back(fmt::format("c.{} = u.k{}", quoted_name(key.from[i]), i));
    parameters.push_back(array_of(referred.columns[i]));
  }
  std::string values;
  for (const auto& column : referred_columns_[key.child]) {
    values += fmt::format(", c.{}::text", quoted_name(column));
  }
  const auto rows = connection_.query(
      fmt::format("SELECT c.tableoid::pg_catalog.regclass::text, c.ctid::text, u.n{} FROM {} c "
                  "JOIN ROWS FROM ({}) WITH ORDINALITY AS u({}, n) ON {}{}",
                  values, child.sql, fmt::join(arrays, ", "), fmt::join(names, ", "),
                  fmt::join(same, " AND "), lock == Lock::rows ? " FOR UPDATE OF c" : ""),
      parameters);
  for (int row = 0; row < rows.count(); ++row) {
    Child found;
    found.place = {rows.text(row, 0), rows.text(row, 1)};
    found.referred = static_cast<std::size_t>(rows.number(row, 2) - 1);
    int column = 3;
    for (const auto& name : referred_columns_[key.child]) {
      const auto value = rows.get(row, column++);
      found.values[name] = value ? std::optional(std::string(*value)) : std::nullopt;
    }
    result.push_back(std::move(found));
  }
  return result;
}

bool Closure::follow(const ForeignKey& key) {
  bool grown = false;
  const auto referred = referred_by(key, Keys::all);
  for (auto& child : children(key, referred, lock_)) {
    auto [position, is_new] = going_[key.child].try_emplace(child.place);
    auto& row = position->second;
    if (is_new) row.values = std::move(child.values);
    const auto before = row.owners.size();
    const auto& owners = referred.owners[child.referred];
    row.owners.insert(owners.begin(), owners.end());
    grown = grown || row.owners.size() > before;
  }
  return grown;
}

void Closure::find(const std::vector<Start>& starts) {
  sessions_.clear();
  other_keys_.clear();
  for (auto& table : going_) table.clear();
  for (const auto& start : starts) {
    if (start.is_session) {
      sessions_.emplace(start.key, start.owner);
    } else {
      other_keys_[start.key].owners.insert(start.owner);
    }
  }
  // A key whose parent's rows have grown is followed (again), until nothing grows: cycles end too.
  std::set<std::size_t> grown{0};
  while (!grown.empty()) {
    const auto parents = std::exchange(grown, {});
    for (const auto& key : schema_.keys) {
      if (key.role != Role::hangs || !parents.contains(key.parent) || !covered_[key.child])
        continue;
      if (follow(key)) grown.insert(key.child);
    }
  }
}

std::set<OwnerIndex> Closure::owners_of_row(std::size_t table, const Child& child) const {
  if (table != 0) {
    const auto row = going_[table].find(child.place);
    return row == going_[table].end() ? std::set<OwnerIndex>{} : row->second.owners;
  }
  const auto id = child.values.find("id");
  if (id == child.values.end() || !id->second) return {};
  const auto session = sessions_.find(*id->second);
  if (session == sessions_.end()) return {};
  return {session->second};
}

bool Closure::any_held() {
  return std::any_of(schema_.keys.begin(), schema_.keys.end(), [&](const ForeignKey& key) {
    if (key.role != Role::holds) return false;
    const auto found = children(key, referred_by(key, Keys::sessions), Lock::nothing);
    return std::any_of(found.begin(), found.end(),
                       [&](const Child& child) { return owners_of_row(key.child, child).empty(); });
  });
}

std::vector<Hold> Closure::holds() {
  std::vector<Hold> result;
  for (const auto& key : schema_.keys) {
    if (key.role != Role::holds) continue;
    const auto by = fmt::format("{}.{}", schema_.tables[key.child].name, fmt::join(key.from, ", "));
    const auto referred = referred_by(key, Keys::sessions);
    for (const auto& child : children(key, referred, Lock::nothing)) {
      const auto owners = owners_of_row(key.child, child);
      const auto row = child.place.relation + " " + child.place.ctid;
      for (const auto held : referred.owners[child.referred]) {
        if (owners.contains(held)) continue;
        if (owners.empty()) result.push_back({held, by, row, std::nullopt});
        for (const auto owner : owners) result.push_back({held, by, row, owner});
      }
    }
  }
  return result;
}

void Closure::withdraw(std::span<const OwnerIndex> owners) {
  const std::set<OwnerIndex> out(owners.begin(), owners.end());
  std::erase_if(sessions_, [&](const auto& session) { return out.contains(session.second); });
  const auto withdraw_from = [&](auto& rows) {
    for (auto row = rows.begin(); row != rows.end();) {
      auto& left = row->second.owners;
      std::erase_if(left, [&](OwnerIndex owner) { return out.contains(owner); });
      row = left.empty() ? rows.erase(row) : std::next(row);
    }
  };
  withdraw_from(other_keys_);
  for (auto& table : going_) withdraw_from(table);
}

void Closure::count(RecordCounts& counts,
                    const std::function<std::size_t(std::size_t)>& column_of) const {
  for (std::size_t table = 0; table < going_.size(); ++table) {
    for (const auto& [place, row] : going_[table]) {
      ++counts.at(*row.owners.begin(), column_of(table));
    }
  }
}

std::size_t Closure::size() const {
  return std::accumulate(going_.begin(), going_.end(), std::size_t{0},
                         [](std::size_t sum, const auto& table) { return sum + table.size(); });
}

std::vector<std::string> Closure::deletions(
    const std::function<std::string(const std::string&)>& parameter) const {
  std::map<std::string, std::vector<std::string>> places;
  for (const auto& table : going_) {
    for (const auto& [place, row] : table) places[place.relation].push_back(place.ctid);
  }
  std::vector<std::string> statements;
  statements.reserve(places.size());
  for (const auto& [relation, ctids] : places) {
    statements.push_back(
        fmt::format("DELETE FROM ONLY {} WHERE ctid OPERATOR(pg_catalog.=) ANY "
                    "({}::pg_catalog.tid[]) RETURNING 1",
                    relation, parameter(array_of(ctids))));
  }
  return statements;
}

}  // namespace calib::postgresql
