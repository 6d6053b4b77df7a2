// What a database on a server may have that would lead a pass astray: it is refused as a whole.
#pragma once

#include "store/postgresql/schema.hpp"

namespace calib::postgresql {

/// Throws PassError (unusable) for rows of heirs among the sessions, a second table `sessions`,
/// keys and rules that say something of a part of the rows, and types that call anything equal.
void refuse_what_misleads(Connection& connection, const Schema& schema);

}  // namespace calib::postgresql
