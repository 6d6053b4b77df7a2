// Rows in SQLite that may be a session's, and that no foreign key places.
#pragma once

#include <cstddef>
#include <optional>

#include "model/session.hpp"
#include "store/session_keys.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/schema.hpp"

namespace calib::sqlite {

/// Reads all of a column that no key places, in short read transactions. Nothing where there is
/// nothing to tell.
std::optional<Unplaced> look_at_unplaced(Connection& connection, const Schema::Unplaced& unplaced,
                                         const SessionKeys& keys, std::size_t doomed);

}  // namespace calib::sqlite
