// Whether a pass may tell the server not to look for references to what goes: see Transaction.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "store/postgresql/connection.hpp"
#include "store/postgresql/schema.hpp"

namespace calib::postgresql {

/// Every foreign key that refers to one of the tables, in one text: two equal ones mean the same.
std::string read_references(Connection& connection, const Schema& schema);

/// Whether this role may delete without what foreign keys do, and they are all of the kind for
/// which that is to be thought of: to `sessions`, whose rows they take along.
bool may_skip_checks(Connection& connection, const Schema& schema);

/// In a write transaction: whether it makes no difference to do without them, until it ends. Where
/// somebody has tables locked, PassError.
bool checks_say_nothing_new(Connection& connection, const Schema& schema);

/// LOCK statements for the tables that the server itself changes, or looks at, when rows go: all
/// but sessions and the `counted`. It does so with the rights of their owners; what this role may
/// not lock is left out.
std::string locks_beside(Connection& connection, const Schema& schema,
                         const std::vector<std::size_t>& counted);

}  // namespace calib::postgresql
