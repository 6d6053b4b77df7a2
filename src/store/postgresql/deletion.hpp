// The statement that deletes a slice's rows.
#pragma once

#include <cstdint>

#include "model/session.hpp"
#include "store/postgresql/closure.hpp"
#include "store/postgresql/connection.hpp"
#include "store/postgresql/knowledge.hpp"

namespace calib::postgresql {

/// What is said where a DELETE leaves rows that it was to take.
inline constexpr const char* trigger_keeps = "a trigger BEFORE DELETE keeps rows that were to go";

/// Deletes these sessions (by id), the rows of plain tables that name them or one of `other_keys`,
/// and what `closure` has found. Adds the rows of plain tables to `counts`; returns how many
/// sessions went. Throws PassError, refused, where a trigger has kept any of these rows.
std::int64_t delete_rows(Connection& connection, const Knowledge& knowledge, const Closure& closure,
                         const OwnersByKey& sessions, const OwnersByKey& other_keys,
                         RecordCounts& counts);

}  // namespace calib::postgresql
