#include "store/unplaced.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "base/text.hpp"
#include "webapp/session_id.hpp"

namespace calib {
namespace {

// Ids of sessions that are gone, and are asked for again. Nobody uploads as many during one look.
constexpr std::size_t max_asked_for = 100;
// Sessions that one line names.
constexpr std::size_t max_named = 3;

/// What is known of the tables while their columns are looked at.
class Search {
 public:
  Search(const std::vector<KnownTable>& tables, const std::vector<DeclaredKey>& keys,
         const Cascade& cascade)
      : tables_(tables), keys_(keys), cascade_(cascade) {
    for (const auto& key : cascade.keys) {
      if (key.role == Role::hangs) hanging_.insert(cascade.tables[key.child]);
    }
  }

  std::vector<UnplacedColumn> run() {
    for (const auto& table : tables_) {
      // The rows of sessions are what the pass is about.
      if (table.name == cascade_.tables.front()) continue;
      for (const auto& column : *table.columns) {
        if (ascii_lowered(column.name) == "session_id") add_session_id(table, column.name);
      }
      if (!hanging_.contains(table.name)) add_other_keys(table);
    }
    return std::move(found_);
  }

 private:
  /// The keys that mean something and say what becomes of rows with this column: those that it is a
  /// part of, and those by which the row goes along with another.
  [[nodiscard]] std::vector<UnplacedColumn::Key> placing(const KnownTable& table,
                                                         const std::string& column) const {
    std::vector<UnplacedColumn::Key> result;
    for (const auto& key : cascade_.keys) {
      if (key.role == Role::unclear || cascade_.tables[key.child] != table.name) continue;
      if (key.role != Role::hangs && !has_name(key.from, column)) continue;
      result.push_back({cascade_.tables[key.parent], key.from, key.to});
    }
    return result;
  }

  [[nodiscard]] bool is_known(const std::string& name) const {
    return std::any_of(tables_.begin(), tables_.end(),
                       [&](const KnownTable& table) { return table.name == name; });
  }

  /// Whether a key to this table may be one by which rows hang on a session.
  [[nodiscard]] bool may_take_along(const DeclaredKey& key) const {
    return key.parent == cascade_.tables.front() || hanging_.contains(key.parent) ||
           !is_known(key.parent);
  }

  void add_session_id(const KnownTable& table, const std::string& column) {
    UnplacedColumn result;
    result.placing = placing(table, column);
    // Rows whose own key dangles are looked at with the others that leaked.
    const auto places_all = [&](const UnplacedColumn::Key& key) {
      return key.from.size() == 1 && has_name(key.from, column);
    };
    if (std::any_of(result.placing.begin(), result.placing.end(), places_all)) return;
    result.table = table.name;
    result.column = column;
    result.is_session_id = true;
    const auto name = fmt::format("{}.{}", table.shown, column);
    result.what = name + " has no foreign key to sessions";
    result.remedy = "give it one";
    // The app's own table: without a key something is wrong with the database.
    const bool is_apps = ascii_lowered(table.shown) == "calibration_images";
    result.tells_standing = is_apps;
    for (const auto& key : keys_) {
      if (key.child != table.name || !has_name(key.from, column)) continue;
      if (key.meaning == Meaning::certain) {
        result.what = fmt::format("{} refers to {}, not to sessions", name, shown(key.parent));
        // What is a session there need be none here.
        result.tells_gone = is_apps;
      } else if (may_take_along(key)) {
        result.what = fmt::format("{} {}", name, key.doubt);
        result.remedy = "mend that key";
        result.tells_standing = true;
        result.tells_gone = true;
        break;
      }
    }
    found_.push_back(std::move(result));
  }

  /// Keys of other columns that lead nowhere, or to sessions without saying to which.
  void add_other_keys(const KnownTable& table) {
    for (const auto& key : keys_) {
      if (key.child != table.name || key.meaning == Meaning::certain || !may_take_along(key)) {
        continue;
      }
      const bool to_sessions = key.parent == cascade_.tables.front();
      const bool is_followed = key.meaning == Meaning::not_unique && !to_sessions;
      if (is_followed || has_name(key.from, "session_id")) continue;
      UnplacedColumn result;
      result.table = table.name;
      result.column = key.from.front();
      result.what = fmt::format("{}.{} {}", table.shown, fmt::join(key.from, ", "), key.doubt);
      result.remedy = "mend that key";
      found_.push_back(std::move(result));
    }
  }

  [[nodiscard]] std::string shown(const std::string& name) const {
    const auto table = std::find_if(tables_.begin(), tables_.end(),
                                    [&](const KnownTable& known) { return known.name == name; });
    return table == tables_.end() ? name : table->shown;
  }

  const std::vector<KnownTable>& tables_;
  const std::vector<DeclaredKey>& keys_;
  const Cascade& cascade_;
  std::set<std::string> hanging_;
  std::vector<UnplacedColumn> found_;
};

std::string rows_text(std::uint64_t rows) { return count_text(rows, "row", "rows"); }

/// `3 rows of 1 session that goes (…)`.
std::string going_text(const std::vector<Unplaced::Rows>& going,
                       std::span<const DoomedKey> doomed) {
  std::uint64_t rows = 0;
  std::vector<std::string_view> names;
  for (const auto& of_one : going) {
    rows += of_one.count;
    if (names.size() < max_named) names.push_back(doomed[of_one.owner].id);
  }
  const auto more = going.size() - names.size();
  return fmt::format("{} of {} ({}{})", rows_text(rows),
                     count_text(going.size(), "session that goes", "sessions that go"),
                     fmt::join(names, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace

std::string unplaced_value(const UnplacedColumn& column, const std::string& child) {
  const auto of_child = [&](const std::string& name) { return child + "." + quoted_name(name); };
  auto value = of_child(column.column);
  if (column.placing.empty()) return value;
  std::vector<std::string> conditions;
  for (const auto& key : column.placing) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < key.from.size() && i < key.to.size(); ++i) {
      parts.push_back(fmt::format("p.{} = {}", quoted_name(key.to[i]), of_child(key.from[i])));
    }
    conditions.push_back(fmt::format("NOT EXISTS (SELECT 1 FROM {} p WHERE {})", key.parent,
                                     fmt::join(parts, " AND ")));
  }
  return fmt::format("CASE WHEN {} THEN {} END", fmt::join(conditions, " AND "), value);
}

std::vector<UnplacedColumn> unplaced_columns(const std::vector<KnownTable>& tables,
                                             const std::vector<DeclaredKey>& keys,
                                             const Cascade& cascade) {
  return Search(tables, keys, cascade).run();
}

void UnplacedRows::add(std::string_view value, std::uint64_t rows) {
  if (value.empty()) return;
  if (column_.is_session_id) {
    add_session_id(value, rows);
  } else if (const auto owner = keys_.doomed(value)) {
    going_[*owner] += rows;
  } else {
    unclear_ += rows;
  }
}

void UnplacedRows::add_session_id(std::string_view value, std::uint64_t rows) {
  const auto halves = stereo_halves(value);
  const auto match = keys_.match_session_id(value);
  if (match.first) {
    // Where the ids of another table are no UUIDs, equal ones say nothing.
    if (column_.tells_gone || is_uuid(value) || halves) going_[*match.first] += rows;
  } else if (!match.leaked) {
    if (halves || keys_.stands(value)) standing_ += rows;
  } else if (const auto known = gone_.find(value); known != gone_.end()) {
    known->second += rows;
  } else if (gone_.size() < max_asked_for) {
    gone_.emplace(value, rows);
  } else {
    more_gone_ += rows;
  }
}

std::vector<std::string> UnplacedRows::gone() const {
  std::vector<std::string> ids;
  for (const auto& [id, rows] : gone_) ids.push_back(id);
  return ids;
}

void UnplacedRows::is_not_gone(const std::string& id) {
  const auto known = gone_.find(id);
  standing_ += known->second;
  gone_.erase(known);
}

std::optional<Unplaced> UnplacedRows::result() const {
  Unplaced result;
  result.what = column_.what;
  result.remedy = column_.remedy;
  for (std::size_t i = 0; i < going_.size(); ++i) {
    if (going_[i] > 0) result.going.push_back({static_cast<OwnerIndex>(i), going_[i]});
  }
  if (column_.tells_gone) {
    result.gone = more_gone_;
    for (const auto& [id, rows] : gone_) result.gone += rows;
  }
  if (column_.tells_standing) result.standing = standing_;
  result.unclear = unclear_;
  const auto others = result.gone + result.standing + result.unclear;
  return result.going.empty() && others == 0 ? std::nullopt : std::optional(result);
}

std::optional<UnplacedNote> note_of(const Unplaced& unplaced, std::span<const DoomedKey> doomed,
                                    const std::set<OwnerIndex>& kept) {
  std::vector<Unplaced::Rows> going;
  std::copy_if(unplaced.going.begin(), unplaced.going.end(), std::back_inserter(going),
               [&](const Unplaced::Rows& rows) { return !kept.contains(rows.owner); });
  std::vector<std::string> parts;
  if (!going.empty()) parts.push_back(going_text(going, doomed));
  if (unplaced.gone > 0) parts.push_back(rows_text(unplaced.gone) + " of sessions that are gone");
  if (unplaced.standing > 0) {
    parts.push_back(rows_text(unplaced.standing) + " of sessions that stay");
  }
  if (unplaced.unclear > 0) {
    parts.push_back(rows_text(unplaced.unclear) + " that nobody can place");
  }
  if (!unplaced.unread.empty()) {
    parts.push_back("how many is not known, for " + unplaced.unread);
  }
  if (parts.empty()) return std::nullopt;
  return UnplacedNote{fmt::format("{}; its rows stay: {}; {}, or delete by hand what is not wanted",
                                  unplaced.what, fmt::join(parts, ", "), unplaced.remedy),
                      !going.empty()};
}

}  // namespace calib
