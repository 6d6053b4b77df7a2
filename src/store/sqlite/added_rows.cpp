#include "store/sqlite/added_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/sqlite/closure.hpp"

namespace calib::sqlite {

AddedRows::AddedRows(Connection& connection, Knowledge& knowledge)
    : connection_(connection),
      knowledge_(knowledge),
      added_(knowledge.direct.size()),
      known_up_to_(knowledge.direct.size()) {}

void AddedRows::look_for_anchors() {
  // Once: from here on only this transaction changes anything, and its own deletions add no rows.
  if (std::exchange(anchors_looked_for_, true)) return;
  for (std::size_t i = 0; i < knowledge_.direct.size(); ++i) {
    auto& direct = knowledge_.direct[i];
    known_up_to_[i] = direct.anchors.highest(connection_);
  }
}

bool AddedRows::has_rows_above(const Table& table, std::optional<std::int64_t> rowid) {
  const auto above =
      rowid ? fmt::format(" WHERE {} > {}", quoted_name(table.identity.front()), *rowid) : "";
  return connection_.database()
             .execAndGet(
                 fmt::format("SELECT EXISTS (SELECT 1 FROM {}{})", main_table(table), above))
             .getInt() != 0;
}

void AddedRows::find() {
  look_for_anchors();
  for (std::size_t i = 0; i < knowledge_.direct.size(); ++i) {
    const auto& direct = knowledge_.direct[i];
    const auto& table = knowledge_.schema.tables[direct.table];
    if (!table.has_rowid) continue;
    added_[i].assign(direct.keys.size(), {});
    // A look at one row, where there would be a join for each key.
    if (has_rows_above(table, known_up_to_[i])) find_in(direct, known_up_to_[i], added_[i]);
  }
}

void AddedRows::find_in(const DirectTable& direct, std::optional<std::int64_t> known_up_to,
                        std::vector<std::vector<Run>>& added) {
  const auto& table = knowledge_.schema.tables[direct.table];
  const auto rowid = "c." + quoted_name(table.identity.front());
  const auto above = known_up_to ? fmt::format("{} > {} AND ", rowid, *known_up_to) : "";
  for (std::size_t position = 0; position < direct.keys.size(); ++position) {
    const auto& key = knowledge_.schema.keys[direct.keys[position]];
    const auto column = "c." + quoted_name(key.from.front());
    std::vector<std::string> conditions{fmt::format("o.key = {}", column)};
    if (key.is_session_id) {
      conditions.push_back("o.is_session AND " + stereo_condition(column, "o.key"));
    } else {
      conditions.front() += " AND o.is_session";
    }
    for (const auto& condition : conditions) {
      SQLite::Statement rows(connection_.database(),
                             fmt::format("SELECT {}, o.owner FROM {} c JOIN {} o WHERE {}{}", rowid,
                                         main_table(table), owner_table, above, condition));
      while (rows.executeStep()) {
        const auto row = rows.getColumn(0).getInt64();
        added[position].push_back(
            {row, row, static_cast<OwnerIndex>(rows.getColumn(1).getInt64())});
      }
    }
    std::stable_sort(added[position].begin(), added[position].end(),
                     [](const Run& a, const Run& b) { return a.owner < b.owner; });
  }
}

void AddedRows::for_each_run(std::size_t direct, std::size_t position,
                             std::span<const OwnerIndex> owners,
                             const std::function<void(const Run&)>& visit) const {
  const auto by_owner = [](const Run& run, OwnerIndex owner) { return run.owner < owner; };
  const std::vector<Run>* const scanned = &knowledge_.direct[direct].runs[position];
  for (const auto* runs : {scanned, &added_[direct][position]}) {
    for (const auto owner : owners) {
      auto run = std::lower_bound(runs->begin(), runs->end(), owner, by_owner);
      for (; run != runs->end() && run->owner == owner; ++run) visit(*run);
    }
  }
}

void AddedRows::look_ahead() {
  // Never higher than before: rows of the sessions to come may have been added above.
  next_anchors_.assign(knowledge_.direct.size(), std::nullopt);
  for (std::size_t i = 0; i < knowledge_.direct.size(); ++i) {
    if (!known_up_to_[i]) continue;
    next_anchors_[i] = knowledge_.direct[i].anchors.look_up_to(*known_up_to_[i], connection_);
  }
}

void AddedRows::committed() {
  for (std::size_t i = 0; i < next_anchors_.size(); ++i) {
    knowledge_.direct[i].anchors.moved(std::move(next_anchors_[i]));
  }
}

}  // namespace calib::sqlite
