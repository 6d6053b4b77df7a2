// Sessions a, b, c and keep with rows in a table of images, in the shapes that a store serves in
// different ways.
#pragma once

#include <fmt/format.h>

#include <string>

#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"

namespace calib::test {

/// A table of rows of sessions; where `deep`, another one hangs on it, which takes another path
/// through the store; where `without_rowid`, its rows have no numbers.
enum class Shape { plain, deep, without_rowid };

inline SessionDb with_rows(Shape shape) {
  SessionDb database(
      fmt::format("{} CREATE TABLE images (n INTEGER PRIMARY KEY, session_id VARCHAR REFERENCES "
                  "sessions) {};{}",
                  only_sessions, shape == Shape::without_rowid ? "WITHOUT ROWID" : "",
                  shape == Shape::deep
                      ? "CREATE TABLE corners (image INTEGER REFERENCES images ON DELETE CASCADE);"
                      : ""));
  database.add({"a", "b", "c", "keep"});
  database.execute(
      "INSERT INTO images VALUES (1, 'a'), (2, 'a'), (3, 'keep'), (4, 'b'), (5, 'a'), (6, 'c'), "
      "(7, 'keep'), (8, 'b'), (9, 'c')");
  if (shape == Shape::deep) database.execute("INSERT INTO corners SELECT n FROM images");
  return database;
}

/// Sessions a and b, which will go, and keep; what `before` and `tables` (SQL) make before and
/// after them.
inline SessionDb three_sessions(const std::string& tables, const std::string& before = {}) {
  return SessionDb(fmt::format(
      "{0} {1} INSERT INTO sessions VALUES ('a', 'uploads/a', '{2}'), ('b', 'uploads/b', '{2}'), "
      "('keep', 'uploads/keep', '{2}'); {3}",
      before, only_sessions, old_date, tables));
}

inline Shape any_shape() { return GENERATE(Shape::plain, Shape::deep, Shape::without_rowid); }

inline std::string images(const SessionDb& database) {
  return database.text(
      "SELECT coalesce(group_concat(n || session_id, ' '), '') FROM (SELECT * FROM images ORDER BY "
      "n)");
}

inline std::string ids(const SessionDb& database) {
  return database.text(
      "SELECT coalesce(group_concat(id), '') FROM (SELECT id FROM sessions ORDER BY id)");
}

/// Commits the deletion of who was chosen.
inline Counted finish(StorePass& pass, StoreTransaction& transaction) {
  auto counts = pass.no_counts();
  transaction.delete_records(counts);
  REQUIRE(transaction.commit() == CommitOutcome::committed);
  return pass.named(counts);
}

}  // namespace calib::test
