// What the store has read, and how runs of rows are read and written with it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/session.hpp"
#include "store/sqlite/anchors.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/scan.hpp"
#include "store/sqlite/schema.hpp"
#include "store/sqlite/sessions.hpp"

namespace calib::sqlite {

/// So many sessions are read in a part of the time for which the write lock can be held, and of so
/// many it is told in such a time whether they have changed.
inline constexpr std::uint64_t max_revisited = 50'000;
inline constexpr std::uint64_t max_compared = 150'000;

/// What the store knows from its reading, and every transaction uses.
struct Knowledge {
  Schema schema;
  std::int64_t schema_version = 0;
  std::int64_t data_version = 0;  ///< before the sessions were read: others' commits change it
  SeenSessions sessions;
  bool sessions_changed = false;  ///< some are known not to be as they were read
  std::span<const DoomedKey> doomed;
  std::span<const std::string> leaked_keys;  ///< of the survey
  std::vector<DirectTable> direct;
  /// For each table: its rows that hang on owners, hold them or refer to what goes with them, by
  /// owner; where it has rowids, and DirectTable::runs do not tell all about it.
  std::vector<std::vector<Run>> deeper;
  /// For each table: what was added to it since it was read is above. Nothing where it has no
  /// rowids.
  std::vector<std::optional<Anchors>> anchors;
  std::vector<std::uint64_t> rows;          ///< for each table: how many were read for `deeper`
  std::int64_t surveyed_version = 0;        ///< the data version before any of them was read
  std::vector<std::size_t> counted_tables;  ///< index in Schema::tables for each column of counts

  [[nodiscard]] std::string_view key_of(OwnerIndex owner) const {
    return owner < doomed.size() ? doomed[owner].id : leaked_keys[owner - doomed.size()];
  }
  [[nodiscard]] bool is_session(OwnerIndex owner) const { return owner < doomed.size(); }
  /// Too many to be read while the write lock is held.
  [[nodiscard]] bool has_many_sessions() const { return sessions.rows() > max_revisited; }
  /// Too many even to be compared.
  [[nodiscard]] bool has_very_many_sessions() const { return sessions.rows() > max_compared; }
  [[nodiscard]] std::size_t column_of(std::size_t table) const;
};

std::int64_t read_schema_version(Connection& connection);
/// Throws PassError where the tables are not those of `knowledge` any more, or their rows may have
/// other rowids: VACUUM counts as a change, too.
void require_same_schema(Connection& connection, const Knowledge& knowledge);
std::int64_t read_data_version(Connection& connection);

/// Asks the database itself whether a leaked record's key names what is gone.
class LeakCheck {
 public:
  explicit LeakCheck(Connection& connection)
      : look_(connection.database(), "SELECT 1 FROM main.sessions WHERE id = ?1") {}
  bool is_leaked(std::string_view key);

 private:
  bool stands(std::string_view id);
  SQLite::Statement look_;
};

/// A statement over the rows of a run: ?1 and ?2 are its rowids, ?3 its owner's key and, where the
/// statement has it, ?4 its owner's index.
class RunStatement {
 public:
  RunStatement(Connection& connection, const Knowledge& knowledge, const std::string& sql);
  /// Returns how many rows it changed.
  std::uint32_t execute(const Run& run);

 private:
  const Knowledge& knowledge_;
  SQLite::Statement statement_;
  bool takes_owner_;
};

}  // namespace calib::sqlite
