// The rows of a table are visited where SQLite stands: each once, in the table's own order, and in
// pieces between which the app may write.
#include <fmt/format.h>

#include <chrono>
#include <numeric>
#include <stdexcept>

#include "store/sqlite/pieces.hpp"
#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"

using namespace calib;
using namespace calib::test;
using calib::sqlite::Table;

namespace {

constexpr std::int64_t rows = 1500;
// The visitor dawdles after so many.
constexpr std::size_t rows_between_looks = 256;

struct Kind {
  std::string sql;
  Table table;
};

/// With an index that has all that is asked for, and in another order.
Kind with_rowids() {
  return {
      "CREATE TABLE things (id INTEGER PRIMARY KEY, label, note); "
      "CREATE INDEX by_label ON things (label DESC, note);",
      {.name = "things", .columns = {}, .identity = {"id"}, .has_rowid = true}};
}

/// Rows that two columns name, of which the first alone tells none from its neighbour.
Kind without_rowids() {
  return {"CREATE TABLE things (half, id, label, note, PRIMARY KEY (half, id)) WITHOUT ROWID;",
          {.name = "things", .columns = {}, .identity = {"half", "id"}, .has_rowid = false}};
}

/// The same the other way round, and an index that has all that is asked for.
Kind descending() {
  return {
      "CREATE TABLE things (half, id, label, note, PRIMARY KEY (half, id DESC)) WITHOUT ROWID; "
      "CREATE INDEX by_label ON things (label, note);",
      {.name = "things", .columns = {}, .identity = {"half", "id"}, .has_rowid = false}};
}

/// Columns that hide the rowid: an index has the only order there is, and the table another one.
Kind with_hidden_rowids() {
  return {"CREATE TABLE things (rowid, _rowid_, oid, id VARCHAR NOT NULL PRIMARY KEY, label, note)",
          {.name = "things", .columns = {}, .identity = {"id"}, .has_rowid = false}};
}

SessionDb make(const Kind& kind) {
  SessionDb database(std::string(only_sessions) + kind.sql);
  const bool halves = kind.table.identity.size() > 1;
  // Those that are numbered by something else come in disorder.
  database.execute(
      fmt::format("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {0}) "
                  "INSERT INTO things ({1}id, label, note) SELECT {2}printf('%04d', i), "
                  "printf('thing %04d', i), NULL FROM n ORDER BY {3}",
                  rows, halves ? "half, " : "", halves ? "i / 1000, " : "",
                  kind.table.has_rowid ? "i" : "i * 7919 % 1500"));
  return database;
}

class Things {
 public:
  explicit Things(const SessionDb& database)
      : connection_(database.path(), Access::read_only, std::chrono::seconds(60), stop_) {}

  void visit(
      const Table& table, const std::vector<std::string>& columns,
      const sqlite::TextVisitor& visitor, const std::function<void()>& between = [] {}) {
    visit_in_pieces(connection_, table, columns, visitor, between);
  }

 private:
  StopFlag stop_;
  sqlite::Connection connection_;
};

}  // namespace

TEST_CASE("rows are visited once each and in order, and writers get in between",
          "[store][reading]") {
  const auto kind = GENERATE(with_rowids(), without_rowids(), descending(), with_hidden_rowids());
  const auto database = make(kind);
  WaitingWriter writer(database, "UPDATE things SET note = 'late' WHERE label = 'thing 1500'");
  std::vector<std::string> labels;
  std::vector<std::int64_t> rowids;
  int pieces = 1;
  bool let_in = false;
  std::string last_note;
  Things(database).visit(
      kind.table, {"label", "note"},
      [&](std::int64_t rowid, std::span<const std::string_view> texts) {
        writer.begin();
        rowids.push_back(rowid);
        labels.emplace_back(texts[0]);
        last_note = texts[1];
        if (labels.size() % rows_between_looks == 0) outlast_a_piece();
        if (writer.is_done()) let_in = true;
      },
      [&] { ++pieces; });

  std::vector<std::string> wanted;
  for (int i = 1; i <= rows; ++i) wanted.push_back(fmt::format("thing {:04}", i));
  CHECK(labels == wanted);
  CHECK(let_in);
  CHECK(last_note == "late");
  CHECK(pieces == 1 + static_cast<int>(rows / rows_between_looks));
  std::vector<std::int64_t> numbers(rows, 0);
  if (kind.table.has_rowid) std::iota(numbers.begin(), numbers.end(), 1);
  CHECK(rowids == numbers);
}

TEST_CASE("what is no text is visited as the text it compares with, or as none",
          "[store][reading]") {
  const auto encoding = GENERATE("UTF-8", "UTF-16le");
  const SessionDb database(
      fmt::format("PRAGMA encoding='{}'; {}{}INSERT INTO things VALUES (1, 7, 1.5), (2, NULL, "
                  "X'41'), (3, 'ä', 'a' || char(0) || 'b')",
                  encoding, only_sessions, with_rowids().sql));
  std::vector<std::string> texts_seen;
  Things(database).visit(with_rowids().table, {"label", "note"},
                         [&](std::int64_t, std::span<const std::string_view> texts) {
                           for (const auto text : texts) texts_seen.emplace_back(text);
                         });
  CHECK(texts_seen == std::vector<std::string>{"7", "1.5", "", "", "ä", std::string("a\0b", 3)});
}

TEST_CASE("what a visitor throws ends the visit, and is what the caller catches",
          "[store][reading]") {
  const auto database = make(with_rowids());
  Things things(database);
  int visits = 0;
  CHECK_THROWS_WITH(things.visit(with_rowids().table, {"label"},
                                 [&](std::int64_t, std::span<const std::string_view>) {
                                   if (++visits == 10) throw std::runtime_error("enough");
                                 }),
                    "enough");
  CHECK(visits == 10);
  things.visit(with_rowids().table, {"label"},
               [&](std::int64_t, std::span<const std::string_view>) { ++visits; });
  CHECK(visits == 10 + rows);
}

TEST_CASE("a table with more references than a function may have arguments is visited as well",
          "[store][reading]") {
  const auto database = make(with_rowids());
  const auto count = GENERATE(std::size_t{99}, std::size_t{100}, std::size_t{300});
  const std::vector<std::string> columns(count, "label");
  std::int64_t visits = 0;
  Things(database).visit(with_rowids().table, columns,
                         [&](std::int64_t rowid, std::span<const std::string_view> texts) {
                           CHECK(rowid == ++visits);
                           CHECK(texts.size() == count);
                           CHECK(texts.front() == texts.back());
                         });
  CHECK(visits == rows);
}
