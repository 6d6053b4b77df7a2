// Finds the rows that hang directly on sessions, before any lock is taken. The columns that refer
// to a session have no index, so one pass over each table serves all sessions at once; it goes in
// short read transactions, and what it finds is checked again by whoever deletes.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/session_keys.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/schema.hpp"

namespace calib::sqlite {

/// Rows first..last of one table that belong to one owner.
struct Run {
  std::int64_t first = 0;
  std::int64_t last = 0;
  OwnerIndex owner = 0;
  /// Whether there may be more rows in it than these.
  [[nodiscard]] bool exceeds(std::uint64_t rows) const {
    return static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) >= rows;
  }
};

/// One table whose rows hang directly on sessions.
struct DirectTable {
  std::size_t table = 0;               ///< index in Schema::tables
  std::vector<std::size_t> keys;       ///< those keys (indexes in Schema::keys)
  bool plain = false;                  ///< nothing else depends on its rows: runs are all it takes
  std::vector<std::vector<Run>> runs;  ///< for each of `keys`, by owner; where it has rowids
};

std::vector<DirectTable> direct_tables(const Schema& schema);

/// The leaked keys that the scan meets, each once. There may be a million of them.
class LeakedKeys {
 public:
  explicit LeakedKeys(std::size_t first_owner) : first_owner_(first_owner) {}
  LeakedKeys(const LeakedKeys&) = delete;
  LeakedKeys& operator=(const LeakedKeys&) = delete;
  LeakedKeys(LeakedKeys&&) = delete;
  LeakedKeys& operator=(LeakedKeys&&) = delete;
  ~LeakedKeys() = default;

  struct Met {
    OwnerIndex owner = 0;
    bool is_new = false;
  };
  Met meet(std::string_view key);

  /// All of them, in the order of their owners. Ends this object's use.
  std::vector<std::string> take() { return std::move(keys_); }

 private:
  /// Tells positions in `keys` by what stands there.
  struct ByKey {
    using is_transparent = void;
    const std::vector<std::string>* keys;
    bool operator()(OwnerIndex a, OwnerIndex b) const { return (*keys)[a] < (*keys)[b]; }
    bool operator()(OwnerIndex a, std::string_view b) const { return (*keys)[a] < b; }
    bool operator()(std::string_view a, OwnerIndex b) const { return a < (*keys)[b]; }
  };
  std::size_t first_owner_;
  std::vector<std::string> keys_;
  std::set<OwnerIndex, ByKey> sorted_{ByKey{&keys_}};
};

/// Reads all of `direct.table`. Fills its runs, adds the rows of plain tables (the
/// others are Closure's to count) to the counts of `survey` at `column`, and the leaked keys it
/// meets to `leaked` (nothing: they are not wanted).
void scan_table(Connection& connection, const Schema& schema, const SessionKeys& keys,
                DirectTable& direct, LeakedKeys* leaked, Survey& survey, std::size_t column);

}  // namespace calib::sqlite
