#include "store/cascade.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "base/text.hpp"
#include "model/pass_error.hpp"
#include "model/session.hpp"

namespace calib {
namespace {

template <typename Property>
bool any_column(const Columns& columns, const std::vector<std::string>& names,
                const Property& property) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const auto* column = find_column(columns, name);
    return column != nullptr && property(*column);
  });
}

Role role_of(const DeclaredKey& key, const Columns& child, bool child_is_sessions) {
  // `sessions` rows never go by cascade: a session that refers to another keeps it.
  const bool may_hang = !child_is_sessions;
  if (key.on_delete == "CASCADE") return may_hang ? Role::hangs : Role::holds;
  // What cannot be set, such as a NULL where none may stand, holds.
  const bool sets = key.on_delete == "SET NULL" || key.on_delete == "SET DEFAULT";
  if (sets && any_column(child, key.from, [](const Column& c) { return c.is_generated; })) {
    return Role::holds;
  }
  if (key.on_delete == "SET NULL") {
    const bool refuses = any_column(child, key.from, [](const Column& c) { return c.not_null; });
    return refuses ? Role::holds : Role::set_null;
  }
  if (key.on_delete == "SET DEFAULT") {
    const bool refuses =
        any_column(child, key.from, [](const Column& c) { return c.not_null && !c.default_value; });
    return refuses ? Role::holds : Role::set_default;
  }
  const bool named_session_id =
      key.from.size() == 1 && ascii_lowered(key.from.front()) == "session_id";
  return may_hang && named_session_id ? Role::hangs : Role::holds;
}

void check_key_to_sessions(const DeclaredKey& key) {
  if (key.to.size() == 1 && ascii_lowered(key.to.front()) == "id") return;
  // It names no column, and the table has no primary key for that.
  if (key.to.empty() && key.from.size() == 1) return;
  not_this_apps(
      fmt::format("the foreign key of {} to sessions ({}) does not refer to the one column id",
                  key.child, fmt::join(key.from, ", ")));
}

/// Whether what a key whose meaning is not certain might refer to can be read: its parents by their
/// values. Columns that have sessions' ids are read by themselves, see unplaced_columns().
bool can_be_followed(const DeclaredKey& key, bool to_sessions) {
  return !to_sessions && key.meaning == Meaning::not_unique && !has_name(key.from, "session_id");
}

}  // namespace

bool has_name(const std::vector<std::string>& names, std::string_view wanted) {
  const auto lowered = ascii_lowered(wanted);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return ascii_lowered(name) == lowered; });
}

const Column* find_column(const Columns& columns, std::string_view name) {
  const auto wanted = ascii_lowered(name);
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& column) {
    return ascii_lowered(column.name) == wanted;
  });
  return found == columns.end() ? nullptr : &*found;
}

void not_this_apps(const std::string& why) {
  throw PassError(PassError::Kind::unusable,
                  "this is not the calibration app's database: " + why +
                      "; name the right one with --database or --app-dir");
}

std::vector<Refusal> all_held(const std::vector<Hold>& holds) {
  struct Row {
    std::set<OwnerIndex> goes_with;
    std::map<OwnerIndex, std::string> held;
  };
  std::unordered_map<std::string, Row> rows;
  std::unordered_multimap<OwnerIndex, Row*> carried;
  for (const auto& hold : holds) {
    auto& row = rows[hold.row];
    row.held.emplace(hold.held, hold.by);
    if (hold.goes_with && row.goes_with.insert(*hold.goes_with).second) {
      carried.emplace(*hold.goes_with, &row);
    }
  }
  std::vector<const Row*> staying;
  for (const auto& [name, row] : rows) {
    if (row.goes_with.empty()) staying.push_back(&row);
  }
  std::map<OwnerIndex, std::string> found;
  while (!staying.empty()) {
    const Row& row = *staying.back();
    staying.pop_back();
    for (const auto& [owner, by] : row.held) {
      if (!found.emplace(owner, by).second) continue;
      const auto [first, last] = carried.equal_range(owner);
      for (auto entry = first; entry != last; ++entry) {
        auto& its = *entry->second;
        its.goes_with.erase(owner);
        if (its.goes_with.empty()) staying.push_back(&its);
      }
    }
  }
  std::vector<Refusal> refusals;
  refusals.reserve(found.size());
  for (auto& [owner, by] : found) refusals.push_back({owner, Refusal::Reason::held, by});
  return refusals;
}

bool check_app_tables(const Columns* sessions, const Columns* calibration_images) {
  if (sessions == nullptr) not_this_apps("it has no table sessions");
  for (const auto* name : {"id", "created_at"}) {
    if (find_column(*sessions, name) == nullptr) {
      not_this_apps(fmt::format("its table sessions has no column {}", name));
    }
  }
  const bool has_images_dir = find_column(*sessions, "images_dir") != nullptr;
  const bool has_images =
      calibration_images != nullptr && find_column(*calibration_images, "session_id") != nullptr;
  if (!has_images_dir && !has_images) {
    not_this_apps(
        "its table sessions has no column images_dir, and it has no table calibration_images "
        "with a session_id");
  }
  return has_images_dir;
}

Cascade cascade_of(const std::string& sessions, const std::vector<DeclaredKey>& keys,
                   const std::function<const Columns&(const std::string& table)>& columns) {
  Cascade cascade;
  std::map<std::string, std::size_t> known;  // index in cascade.tables
  const auto index_of = [&](const std::string& table) {
    const auto [position, is_new] = known.try_emplace(table, cascade.tables.size());
    if (is_new) cascade.tables.push_back(table);
    return position->second;
  };
  index_of(sessions);

  // Breadth first from `sessions` along the keys that hang; every key to a table met on the way
  // matters, whatever it says.
  std::vector<std::string> queue{sessions};
  for (std::size_t next = 0; next < queue.size(); ++next) {
    const std::string parent = queue[next];
    for (const auto& declared : keys) {
      if (declared.parent != parent) continue;
      const bool to_sessions = parent == sessions;
      if (to_sessions) check_key_to_sessions(declared);
      const bool is_unclear = declared.meaning != Meaning::certain;
      if (is_unclear && !can_be_followed(declared, to_sessions)) continue;
      ForeignKey key;
      key.from = declared.from;
      key.to = declared.to;
      key.doubt = declared.doubt;
      key.role = is_unclear
                     ? Role::unclear
                     : role_of(declared, columns(declared.child), declared.child == sessions);
      key.child = index_of(declared.child);
      key.parent = index_of(parent);
      key.is_session_id = to_sessions && ascii_lowered(declared.from.front()) == "session_id";
      if (key.role == Role::hangs &&
          std::find(queue.begin(), queue.end(), declared.child) == queue.end()) {
        queue.push_back(declared.child);
      }
      cascade.keys.push_back(std::move(key));
    }
  }
  return cascade;
}

std::vector<std::size_t> direct_keys(const std::vector<ForeignKey>& keys, std::size_t table,
                                     std::size_t sessions) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& key = keys[i];
    if (key.child == table && key.role == Role::hangs && key.parent == sessions) {
      result.push_back(i);
    }
  }
  return result;
}

bool depends_on_nothing_else(const std::vector<ForeignKey>& keys, std::size_t table) {
  return std::none_of(keys.begin(), keys.end(), [&](const ForeignKey& key) {
    const bool hangs_deeper = key.child == table && key.role == Role::hangs && key.parent != 0;
    const bool is_asked_for = key.role == Role::holds || key.role == Role::unclear;
    return key.parent == table || hangs_deeper || (key.child == table && is_asked_for);
  });
}

std::string quoted_name(std::string_view name) {
  std::string result = "\"";
  for (const char c : name) {
    result += c;
    if (c == '"') result += c;
  }
  return result + '"';
}

}  // namespace calib
