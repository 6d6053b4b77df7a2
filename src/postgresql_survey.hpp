// What goes with the doomed sessions, and what leaked: one look at each table, before any lock.
#pragma once

#include "postgresql_connection.hpp"
#include "postgresql_knowledge.hpp"
#include "session_keys.hpp"
#include "session_store.hpp"

namespace calib::postgresql {

/// In a transaction. Fills the leaked and stereo keys of `knowledge`.
Survey survey_records(Connection& connection, Knowledge& knowledge, const SessionKeys& keys,
                      Leaked leaked);

}  // namespace calib::postgresql
