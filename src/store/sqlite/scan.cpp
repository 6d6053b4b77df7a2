#include "store/sqlite/scan.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "store/sqlite/pieces.hpp"

namespace calib::sqlite {
namespace {

/// The columns that refer to a session.
std::vector<std::string> references_of(const Schema& schema, const DirectTable& direct) {
  std::vector<std::string> columns;
  for (const auto key : direct.keys) columns.push_back(schema.keys[key].from.front());
  return columns;
}

/// One table being read.
class TableScan {
 public:
  TableScan(Connection& connection, const Schema& schema, const SessionKeys& keys,
            DirectTable& direct, LeakedKeys* leaked, Survey& survey, std::size_t column)
      : connection_(connection),
        schema_(schema),
        keys_(keys),
        direct_(direct),
        leaked_(leaked),
        survey_(survey),
        column_(column),
        table_(schema.tables[direct.table]),
        last_owner_(direct.keys.size()),
        known_(direct.keys.size()) {}

  void run() {
    direct_.runs.assign(direct_.keys.size(), {});
    visit_in_pieces(
        connection_, table_, references_of(schema_, direct_),
        [this](std::int64_t rowid, std::span<const std::string_view> texts) {
          visit(rowid, texts);
        },
        [] {});
    for (auto& runs : direct_.runs) {
      std::stable_sort(runs.begin(), runs.end(),
                       [](const Run& a, const Run& b) { return a.owner < b.owner; });
      runs.shrink_to_fit();
    }
  }

 private:
  void visit(std::int64_t rowid, std::span<const std::string_view> texts) {
    std::optional<OwnerIndex> counted;
    for (std::size_t i = 0; i < direct_.keys.size(); ++i) {
      const auto text = texts[i];
      const auto& match = match_of(i, text);
      auto owner = match.first;
      if (match.leaked && leaked_ != nullptr && !counted) owner = leaked_owner(text);
      if (owner && table_.has_rowid) {
        // A run goes on while the row before, in the order of rowids, was the same owner's.
        add_run(direct_.runs[i], rowid, *owner, last_owner_[i] == owner);
        if (match.second) add_run(direct_.runs[i], rowid, *match.second, false);
      }
      last_owner_[i] = match.second ? std::nullopt : owner;
      if (!counted) counted = owner;
      if (owner && match.other_stays) ++survey_.halved_pairs[*owner];
    }
    if (counted && direct_.plain) ++survey_.counts.at(*counted, column_);
  }

  /// Most rows name the session that the row before them named.
  const SessionKeys::Match& match_of(std::size_t i, std::string_view text) {
    auto& known = known_[i];
    if (known.text != text) known = {std::string(text), match(i, text)};
    return known.match;
  }

  [[nodiscard]] SessionKeys::Match match(std::size_t i, std::string_view text) const {
    if (text.empty()) return {};
    if (schema_.keys[direct_.keys[i]].is_session_id) return keys_.match_session_id(text);
    return {keys_.doomed(text), std::nullopt, false};
  }

  OwnerIndex leaked_owner(std::string_view key) {
    const auto met = leaked_->meet(key);
    if (met.is_new) survey_.counts.add_owners(1);
    return met.owner;
  }

  static void add_run(std::vector<Run>& runs, std::int64_t rowid, OwnerIndex owner, bool goes_on) {
    if (goes_on) {
      runs.back().last = rowid;
    } else {
      runs.push_back({rowid, rowid, owner});
    }
  }

  struct Known {
    std::string text;
    SessionKeys::Match match;
  };

  Connection& connection_;
  const Schema& schema_;
  const SessionKeys& keys_;
  DirectTable& direct_;
  LeakedKeys* leaked_;
  Survey& survey_;
  std::size_t column_;
  const Table& table_;
  std::vector<std::optional<OwnerIndex>> last_owner_;
  std::vector<Known> known_;  ///< of the row before, for each key
};

}  // namespace

LeakedKeys::Met LeakedKeys::meet(std::string_view key) {
  const auto place = sorted_.lower_bound(key);
  if (place != sorted_.end() && keys_[*place] == key) {
    return {static_cast<OwnerIndex>(first_owner_ + *place), false};
  }
  const auto position = static_cast<OwnerIndex>(keys_.size());
  keys_.emplace_back(key);
  sorted_.insert(place, position);
  return {static_cast<OwnerIndex>(first_owner_ + position), true};
}

std::vector<DirectTable> direct_tables(const Schema& schema) {
  std::vector<DirectTable> result;
  for (std::size_t table = 0; table < schema.tables.size(); ++table) {
    DirectTable direct;
    direct.table = table;
    direct.keys = direct_keys(schema.keys, table, schema.sessions);
    if (direct.keys.empty()) continue;
    direct.plain = schema.tables[table].has_rowid && depends_on_nothing_else(schema.keys, table);
    result.push_back(std::move(direct));
  }
  return result;
}

void scan_table(Connection& connection, const Schema& schema, const SessionKeys& keys,
                DirectTable& direct, LeakedKeys* leaked, Survey& survey, std::size_t column) {
  TableScan(connection, schema, keys, direct, leaked, survey, column).run();
}

}  // namespace calib::sqlite
