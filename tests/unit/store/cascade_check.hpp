// The judge of a cascade is SQLite itself: what its own foreign keys would leave, we must leave.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"

namespace calib::test {

/// Deletes these sessions, and checks that all that hung on them went, that nothing else did, and
/// that the survey had announced exactly that.
inline Deleted check_goes_as_in_sqlite(const SessionDb& database,
                                       const std::vector<std::string>& doomed) {
  const auto expected = rows_after_sqlites_own_cascade(database, doomed);
  REQUIRE(expected);
  const auto deleted = delete_sessions(database, doomed, Leaked::left_alone);
  CHECK(deleted.surveyed_refused.empty());
  CHECK(deleted.refused.empty());
  CHECK(deleted.outcome == CommitOutcome::committed);
  CHECK(database.rows() == *expected);
  CHECK(deleted.surveyed == deleted.rows);
  CHECK(database.text("PRAGMA integrity_check") == "ok");
  return deleted;
}

/// Whether SQLite itself calls one of the table's keys a mismatch. It says so before it reads any
/// row.
inline bool is_mismatch(const SessionDb& database, const std::string& table) {
  const auto connection = database.connect();
  try {
    const SQLite::Statement check(connection,
                                  fmt::format("PRAGMA foreign_key_check(\"{}\")", table));
    return false;
  } catch (const SQLite::Exception& error) {
    CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring("foreign key mismatch"));
    return true;
  }
}

}  // namespace calib::test
