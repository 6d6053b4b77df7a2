// Random tables, keys and rows, with fixed seeds: what goes is what SQLite's own foreign keys would
// take, and who stays is who they would keep.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "catch.hpp"
#include "store_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

constexpr unsigned tables = 5;
constexpr unsigned sessions = 6;
constexpr unsigned doomed_sessions = 4;

class RandomDatabase {
 public:
  explicit RandomDatabase(unsigned seed) : random_(seed) {
    sql_ =
        "BEGIN; CREATE TABLE sessions (id VARCHAR PRIMARY KEY, images_dir VARCHAR, created_at "
        "DATETIME)";
    sql_ += one_in(3) ? " WITHOUT ROWID;" : ";";
    for (unsigned table = 0; table < tables; ++table) add_table(table);
    for (unsigned session = 0; session < sessions; ++session) {
      sql_ += fmt::format("INSERT INTO sessions VALUES ('s{0}', 'uploads/s{0}', '{1}');", session,
                          old_date);
    }
    for (unsigned table = 0; table < tables; ++table) add_rows(table);
    sql_ += "COMMIT;";
  }

  [[nodiscard]] const std::string& sql() const { return sql_; }

 private:
  unsigned below(unsigned end) { return static_cast<unsigned>(random_() % end); }
  bool one_in(unsigned n) { return below(n) == 0; }

  std::string action() {
    switch (below(8)) {
      case 0:
        return "ON DELETE SET NULL";
      case 1:
        return "ON DELETE SET DEFAULT";
      case 2:
        return "";
      default:
        return "ON DELETE CASCADE";
    }
  }

  void add_table(unsigned table) {
    // Each refers to a session, and to two tables, itself and later ones among them; by one column
    // or by two.
    keys_[table] = {below(tables), below(tables)};
    composite_[table] = one_in(2);
    sql_ += fmt::format(
        "CREATE TABLE t{} (n INTEGER NOT NULL, m INTEGER NOT NULL, owner VARCHAR REFERENCES "
        "sessions {}, a INTEGER REFERENCES t{} (n) {}, b INTEGER, c INTEGER",
        table, action(), keys_[table][0], action());
    sql_ += composite_[table]
                ? fmt::format(", FOREIGN KEY (b, c) REFERENCES t{} (m, n) {}", keys_[table][1],
                              action())
                : fmt::format(", FOREIGN KEY (b) REFERENCES t{} (n) {}", keys_[table][1], action());
    sql_ += ", UNIQUE (n), UNIQUE (m, n), PRIMARY KEY (m, n))";
    sql_ += one_in(3) ? " WITHOUT ROWID;" : ";";
  }

  std::string maybe(unsigned value) { return one_in(2) ? "NULL" : fmt::format("{}", value); }

  void add_rows(unsigned table) {
    for (unsigned n = 0; n < rows; ++n) {
      // The second column of a row's key is that of n, so that composite references often meet.
      const auto other = below(rows);
      sql_ += fmt::format("INSERT INTO t{} VALUES ({}, {}, {}, {}, {}, {});", table, n, n % 3,
                          one_in(3) ? "NULL" : fmt::format("'s{}'", below(sessions)),
                          maybe(below(rows)), composite_[table] ? maybe(other % 3) : maybe(other),
                          other);
    }
  }

  static constexpr unsigned rows = 12;
  std::mt19937 random_;
  std::array<std::array<unsigned, 2>, tables> keys_{};
  std::array<bool, tables> composite_{};
  std::string sql_;
};

using Rows = std::map<std::string, std::vector<std::string>>;

std::uint32_t total(const Counted& counted) {
  std::uint32_t sum = 0;
  for (const auto& [key, of_tables] : counted) {
    for (const auto& [table, rows] : of_tables) sum += rows;
  }
  return sum;
}

std::size_t records(const Rows& rows) {
  std::size_t sum = 0;
  for (const auto& [table, of_table] : rows) {
    if (table != "sessions") sum += of_table.size();
  }
  return sum;
}

}  // namespace

TEST_CASE("whatever the tables, rows and keys, as much goes as in SQLite's own cascade",
          "[store][cascade][property]") {
  unsigned refused_some = 0;
  unsigned refused_none = 0;
  for (unsigned seed = 1; seed <= 80; ++seed) {
    CAPTURE(seed);
    const SessionDb database(RandomDatabase(seed).sql());
    std::vector<std::string> doomed;
    for (unsigned i = 0; i < doomed_sessions; ++i) doomed.push_back(fmt::format("s{}", i));
    const auto before = database.rows();
    const bool all_may_go = rows_after_sqlites_own_cascade(database, doomed).has_value();

    StorePass pass(database);
    pass.look(doomed);
    auto counts = pass.no_counts();
    const auto transaction = pass.begin();
    const auto refused = pass.named(transaction->choose(pass.all()));
    std::erase_if(doomed, [&](const std::string& id) { return refused.contains(id); });
    const auto expected = rows_after_sqlites_own_cascade(database, doomed);
    transaction->delete_records(counts);
    REQUIRE(transaction->commit() == CommitOutcome::committed);

    CHECK(refused.empty() == all_may_go);
    CHECK(pass.named(pass.survey().refused) == refused);
    REQUIRE(expected);
    const auto after = database.rows();
    CHECK(after == *expected);
    CHECK(total(pass.named(counts)) == records(before) - records(after));
    auto surveyed = pass.surveyed();
    for (const auto& [id, why] : refused) surveyed.erase(id);
    CHECK(surveyed == pass.named(counts));
    ++(refused.empty() ? refused_none : refused_some);
  }
  // Else the seeds would have stopped to cover one of the two.
  CHECK(refused_some > 10);
  CHECK(refused_none > 10);
}

TEST_CASE("a session that goes alone is held exactly where SQLite would not let it go",
          "[store][cascade][property]") {
  unsigned held = 0;
  unsigned went = 0;
  for (unsigned seed = 1001; seed <= 1060; ++seed) {
    CAPTURE(seed);
    const SessionDb database(RandomDatabase(seed).sql());
    const auto before = database.rows();
    const auto expected = rows_after_sqlites_own_cascade(database, {"s0"});

    const auto deleted = delete_sessions(database, {"s0"});

    CHECK(deleted.refused.empty() == expected.has_value());
    CHECK(database.rows() == expected.value_or(before));
    ++(expected ? went : held);
  }
  CHECK(held > 5);
  CHECK(went > 5);
}
