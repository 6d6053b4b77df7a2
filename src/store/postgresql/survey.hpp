// What goes with the doomed sessions, and what leaked: one look at each table, before any lock.
#pragma once

#include "model/session.hpp"
#include "store/postgresql/connection.hpp"
#include "store/postgresql/knowledge.hpp"
#include "store/session_keys.hpp"

namespace calib::postgresql {

/// In a transaction. Fills the leaked and stereo keys of `knowledge`.
Survey survey_records(Connection& connection, Knowledge& knowledge, const SessionKeys& keys,
                      Leaked leaked);

}  // namespace calib::postgresql
