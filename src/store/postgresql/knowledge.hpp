// What the store has read, and how rows of sessions are read with it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/session.hpp"
#include "store/postgresql/closure.hpp"
#include "store/postgresql/connection.hpp"
#include "store/postgresql/schema.hpp"
#include "store/session_keys.hpp"

namespace calib::postgresql {

/// What owners go by: ids, leaked keys, stereo keys.
using OwnersByKey = std::map<std::string, OwnerIndex>;

/// One table whose rows hang directly on sessions.
struct DirectTable {
  std::size_t table = 0;          ///< index in Schema::tables
  std::vector<std::size_t> keys;  ///< those keys (indexes in Schema::keys)
  bool plain = false;             ///< nothing else depends on its rows: its keys are all it takes
};

/// What the store knows from its reading, and every transaction uses.
struct Knowledge {
  Schema schema;
  std::vector<DirectTable> direct;
  std::vector<bool> covered;                ///< for each table: its rows are Closure's to find
  std::vector<std::size_t> counted_tables;  ///< index in Schema::tables for each column of counts
  bool needs_closure = false;
  bool skips_checks = false;  ///< see Transaction
  std::string references;     ///< see read_references()
  std::string locks_beside;   ///< see locks_beside()
  std::span<const DoomedKey> doomed;
  std::span<const std::string> leaked_keys;  ///< of the survey
  /// `stereo_<a>_<b>` keys by the doomed sessions that they name.
  std::multimap<OwnerIndex, std::string> stereo_keys;
  /// Every transaction below this had ended at the last look at all sessions (32 bits of its
  /// number); nothing: this server does not tell.
  std::optional<std::uint32_t> looked_up_to;
  /// What `sessions` was made of then, as tables_of_sessions() has it: a table that has been
  /// attached or renamed since brings rows which are older than that.
  std::string looked_in;

  void learn(Schema read);
  [[nodiscard]] std::string_view key_of(OwnerIndex owner) const {
    return owner < doomed.size() ? doomed[owner].id : leaked_keys[owner - doomed.size()];
  }
  [[nodiscard]] bool is_session(OwnerIndex owner) const { return owner < doomed.size(); }
  [[nodiscard]] std::size_t column_of(std::size_t table) const;
};

/// The columns of a SessionRow, of a table aliased `s`, as SQL.
std::string session_columns(const Schema& schema);

/// Makes a SessionRow of the columns from `first` on. Throws PassError where a value is larger
/// than is read.
SessionRow session_row(const Connection& connection, const Schema& schema, const Rows& rows,
                       int row, int first);

/// The number for Knowledge::looked_up_to, asked before the look.
std::uint32_t oldest_transaction(Connection& connection);

/// The tables (an array of oids) that the rows of `sessions` are in, asked before the look. From
/// here on none can come or go unnoticed, until the transaction ends.
std::string tables_of_sessions(Connection& connection, const Schema& schema);

/// Which of `ids` are sessions: what is equal is for the server to say.
std::set<std::string> standing(Connection& connection, const Schema& schema,
                               const std::vector<std::string>& ids);

/// Those of `keys` that are not leaked (any more): sessions again, or stereo keys whose two
/// sessions stand.
std::set<std::string> not_leaked(Connection& connection, const Schema& schema,
                                 std::span<const std::string> keys);

/// The same for keys of a column that may have another type than sessions.id. Reads all sessions.
std::set<std::string> not_leaked_as_text(Connection& connection, const Schema& schema,
                                         std::span<const std::string> keys);

/// Throws PassError: a value is larger than is read.
[[noreturn]] void refuse_large_value(const Connection& connection);

/// SQL for a value as text, where it is not too large; NULL otherwise.
std::string limited(const std::string& value);
/// SQL that is true where a value is too large.
std::string too_large(const std::string& value);

}  // namespace calib::postgresql
