// Whether the write-ahead log beside a database is the one that everybody writes.
#pragma once

#include <filesystem>

#include "base/stop.hpp"

namespace calib::sqlite {

/// Throws PassError (unusable) where the database is in write-ahead mode, and its log may stand
/// somewhere else: SQLite looks for it beside the name that it was given, and who has the file by
/// another name (a bind mount of the file alone) commits to another log. What cannot be opened is
/// left to SQLite, which says why.
///
/// Only while this process has the database not open: the descriptor through which this looks drops
/// SQLite's locks when it is closed.
void require_own_log(const std::filesystem::path& database, const StopFlag& stop);

}  // namespace calib::sqlite
