// What a database on a server may have that would lead a pass astray: it is refused as a whole.
#pragma once

#include <vector>

#include "store/postgresql/schema.hpp"

namespace calib::postgresql {

// Each throws StoreError: unusable.

/// Where the role's search path leads to no table `sessions`, but a schema has one: the role lacks
/// the right to look into it, or its path.
void refuse_unseen_sessions(Connection& connection);

/// What only inherits from `sessions` shows among its rows, but no foreign key can refer to it.
void refuse_heirs(Connection& connection, const Table& sessions);

/// Which of two tables is the app's only its own search path says, and that may be another than
/// this role's. The wrong one would say which directories are due, and make orphans of all others.
/// So the URL has to say it.
void refuse_doubles(Connection& connection, const Table& sessions);

/// A key that only a partition has, or that refers to one alone, says something of a part of the
/// rows: followed as if it were the whole table's, it would take others along.
void refuse_keys_of_partitions(Connection& connection, const Schema& schema);

/// What a rule makes of a DELETE leaves rows of sessions whose directories would be gone.
void refuse_rules(Connection& connection, const Schema& schema);

/// What refers to a column that the app has not, such as "ID", says nothing about sessions.
void refuse_other_ids(const Table& sessions, const std::vector<DeclaredKey>& keys);

/// A type of somebody's own may call anything equal, and so may a collation: a row that hangs on a
/// live session would then be taken for one that hangs on another, or on none.
void refuse_loose_keys(const Schema& schema);

}  // namespace calib::postgresql
