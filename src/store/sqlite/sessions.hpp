// Rows of `sessions`: how they are read, and whether they are still those that were read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/session.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/schema.hpp"

namespace calib::sqlite {

/// The columns of a SessionRow, as SQL; empty expressions where the schema lacks them.
std::string session_columns(const Schema& schema);

/// Makes a SessionRow of the columns from `first` on.
SessionRow session_row(SQLite::Statement& row, int first, const Schema& schema);

/// The first column of a row, where the table has rowids.
std::optional<std::int64_t> rowid_of(SQLite::Statement& row, const Table& table);

/// What is left of a reading of all sessions: enough to tell whether one of them has changed, in a
/// third of the time that it takes to look at each, and in no memory.
class SeenSessions {
 public:
  /// `rowid`: where the table has them.
  void add(std::uint64_t fingerprint, std::optional<std::int64_t> rowid);
  /// One that was seen has been deleted. Then end_at() what is the highest one now: the rowids
  /// above it are used again.
  void remove(std::uint64_t fingerprint);
  void end_at(std::optional<std::int64_t> highest) { highest_ = highest; }

  [[nodiscard]] std::uint64_t rows() const { return rows_; }
  /// The highest rowid; none: no row was seen, or they have none.
  [[nodiscard]] std::optional<std::int64_t> highest() const { return highest_; }

  /// Whether the rows up to the highest one (without rowids: all) are those that were seen. By the
  /// sum of their fingerprints: that another one of 64 bits is the same is as unlikely as that two
  /// rows share theirs.
  bool stand(Connection& connection, const Schema& schema) const;

 private:
  std::uint64_t rows_ = 0;
  std::uint64_t sum_ = 0;  ///< of the fingerprints
  std::optional<std::int64_t> highest_;
};

/// The highest rowid there is; nothing where there is none.
std::optional<std::int64_t> highest_session(Connection& connection, const Schema& schema);

/// Reads `sessions` in one statement, visits each row above a rowid (nothing: all), and adds it to
/// `seen`.
void visit_sessions(Connection& connection, const Schema& schema, std::optional<std::int64_t> above,
                    SeenSessions& seen, const SessionVisitor& visit);

}  // namespace calib::sqlite
