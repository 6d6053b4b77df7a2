// How old a database and its content are, as its files tell.
#pragma once

#include <optional>

#include "base/timestamp.hpp"
#include "model/database.hpp"

namespace calib {

/// When a database in SQLite was last changed: the latest mtime of its file, its log and its
/// journal, where anything is in them. Opening it may change them, so this comes before. Nothing
/// where that is not told: on a server, and where there is no such file.
std::optional<Instant> last_change(const DatabaseLocation& location);

/// When the file of a database in SQLite was made: nothing in the folder that is older can be an
/// upload into it. Nothing where that is not told.
std::optional<Instant> birth(const DatabaseLocation& location);

}  // namespace calib
