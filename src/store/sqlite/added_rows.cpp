#include "store/sqlite/added_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "store/sqlite/closure.hpp"

namespace calib::sqlite {
namespace {

// A row that was there may have changed whom it refers to, which shows in no rowid. So many are
// read again in a part of the time for which the lock may be held; of a larger table without an
// index, only what was found, and what was added, is looked at.
constexpr std::uint64_t max_read_again = 20'000;

/// Visits those of `runs`, which are sorted by owner, that belong to `owners`.
void for_each_of(const std::vector<Run>& runs, std::span<const OwnerIndex> owners,
                 const std::function<void(const Run&)>& visit) {
  const auto by_owner = [](const Run& run, OwnerIndex owner) { return run.owner < owner; };
  for (const auto owner : owners) {
    auto run = std::lower_bound(runs.begin(), runs.end(), owner, by_owner);
    for (; run != runs.end() && run->owner == owner; ++run) visit(*run);
  }
}

}  // namespace

AddedRows::AddedRows(Connection& connection, Knowledge& knowledge)
    : connection_(connection),
      knowledge_(knowledge),
      added_(knowledge.direct.size()),
      known_up_to_(knowledge.schema.tables.size()) {}

void AddedRows::look_for_anchors() {
  // Once: from here on only this transaction changes anything, and its own deletions add no rows.
  if (std::exchange(anchors_looked_for_, true)) return;
  has_changed_ = read_data_version(connection_) != knowledge_.surveyed_version;
  for (std::size_t table = 0; table < known_up_to_.size(); ++table) {
    auto& anchors = knowledge_.anchors[table];
    if (anchors) known_up_to_[table] = anchors->highest(connection_);
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
    const auto known_up_to = known_up_to_[direct.table];
    if (has_rows_above(table, known_up_to)) find_in(direct, known_up_to, added_[i]);
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

void AddedRows::for_each_range(std::size_t table, std::span<const OwnerIndex> owners,
                               const RangeVisitor& visit) {
  if (has_changed_ && knowledge_.rows[table] <= max_read_again) {
    visit(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
    return;
  }
  for_each_of(knowledge_.deeper[table], owners,
              [&](const Run& run) { visit(run.first, run.last); });
  const auto known_up_to = known_up_to_[table];
  if (known_up_to == std::numeric_limits<std::int64_t>::max()) return;
  visit(known_up_to ? *known_up_to + 1 : std::numeric_limits<std::int64_t>::min(),
        std::numeric_limits<std::int64_t>::max());
}

void AddedRows::for_each_run(std::size_t direct, std::size_t position,
                             std::span<const OwnerIndex> owners,
                             const std::function<void(const Run&)>& visit) const {
  for_each_of(knowledge_.direct[direct].runs[position], owners, visit);
  for_each_of(added_[direct][position], owners, visit);
}

void AddedRows::look_ahead() {
  // Never higher than before: rows of the sessions to come may have been added above.
  next_anchors_.assign(known_up_to_.size(), std::nullopt);
  for (std::size_t table = 0; table < known_up_to_.size(); ++table) {
    if (!known_up_to_[table]) continue;
    next_anchors_[table] = knowledge_.anchors[table]->look_up_to(*known_up_to_[table], connection_);
  }
}

void AddedRows::committed() {
  for (std::size_t table = 0; table < next_anchors_.size(); ++table) {
    auto& anchors = knowledge_.anchors[table];
    if (anchors) anchors->moved(std::move(next_anchors_[table]));
  }
}

}  // namespace calib::sqlite
