// Random tables, keys and rows, with fixed seeds: what goes is what SQLite's own foreign keys would
// take, and who stays is who they would keep. Keys that SQLite calls a mismatch, or that lead
// nowhere, change nothing: it goes as in the same database without them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "support/catch.hpp"
#include "unit/store/cascade_check.hpp"
#include "unit/store/store_fixture.hpp"

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
    add_keyless();
    sql_ += "COMMIT;";
  }

  [[nodiscard]] std::string sql() const { return with_doubtful_keys(true); }
  /// The same without the keys that mean nothing for certain.
  [[nodiscard]] std::string certain_sql() const { return with_doubtful_keys(false); }

  /// What the column d of each table refers to.
  struct Doubtful {
    std::string key;     ///< SQL; empty: nothing
    std::string parent;  ///< where there is such a table …
    std::string column;  ///< … and such a column, that is not unique
    bool is_mismatch = false;
  };
  [[nodiscard]] const Doubtful& doubtful(unsigned table) const { return doubtful_[table]; }

 private:
  static constexpr const char* doubtful_mark = "/* d */";

  [[nodiscard]] std::string with_doubtful_keys(bool wanted) const {
    std::string result = sql_;
    for (const auto& doubtful : doubtful_) {
      const auto at = result.find(doubtful_mark);
      result.replace(at, std::string(doubtful_mark).size(), wanted ? doubtful.key : "");
    }
    return result;
  }

  Doubtful any_doubtful() {
    const auto parent = fmt::format("t{}", below(tables));
    const std::string column = one_in(2) ? "c" : one_in(2) ? "a" : "d";
    switch (below(6)) {
      case 0:
        return {"REFERENCES gone (n) " + action(), "", "", false};
      case 1:
        return {fmt::format("REFERENCES {} (nowhere) {}", parent, action()), "", "", true};
      case 2:
        return {fmt::format("REFERENCES {} {}", parent, action()), "", "", true};
      case 3:
        return {};
      default:
        return {fmt::format("REFERENCES {} ({}) {}", parent, column, action()), parent, column,
                true};
    }
  }

  void add_keyless() {
    sql_ += "CREATE TABLE keyless (session_id VARCHAR, n INTEGER);";
    for (unsigned n = 0; n < rows; ++n) {
      sql_ += fmt::format("INSERT INTO keyless VALUES ('s{}', {});", below(sessions), n);
    }
  }

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
    doubtful_[table] = any_doubtful();
    sql_ += fmt::format(
        "CREATE TABLE t{} (n INTEGER NOT NULL, m INTEGER NOT NULL, owner VARCHAR REFERENCES "
        "sessions {}, a INTEGER REFERENCES t{} (n) {}, b INTEGER, c INTEGER, d "
        "INTEGER {}",
        table, action(), keys_[table][0], action(), doubtful_mark);
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
      sql_ += fmt::format("INSERT INTO t{} VALUES ({}, {}, {}, {}, {}, {}, {});", table, n, n % 3,
                          one_in(3) ? "NULL" : fmt::format("'s{}'", below(sessions)),
                          maybe(below(rows)), composite_[table] ? maybe(other % 3) : maybe(other),
                          other, maybe(below(rows)));
    }
  }

  static constexpr unsigned rows = 12;
  std::mt19937 random_;
  std::array<std::array<unsigned, 2>, tables> keys_{};
  std::array<bool, tables> composite_{};
  std::array<Doubtful, tables> doubtful_{};
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

/// How many rows of sessions that go, or went, are told of for a column. `what`: how that begins.
std::uint64_t told_of(const Survey& survey, const std::string& what) {
  std::uint64_t sum = 0;
  for (const auto& unplaced : survey.unplaced) {
    if (!unplaced.what.starts_with(what)) continue;
    sum += unplaced.unclear;
    for (const auto& rows : unplaced.going) sum += rows.count;
  }
  return sum;
}

/// Every row that is left, and by its column d may have referred to one that went, is told of.
void check_told(const RandomDatabase& random, const SessionDb& database, const SessionDb& before,
                const Survey& survey) {
  auto connection = database.connect();
  connection.exec(fmt::format("ATTACH '{}' AS before", before.path().string()));
  for (unsigned table = 0; table < tables; ++table) {
    const auto& doubtful = random.doubtful(table);
    CAPTURE(table, doubtful.key);
    CHECK(is_mismatch(database, fmt::format("t{}", table)) == doubtful.is_mismatch);
    if (doubtful.column.empty()) continue;
    const auto expected = connection.execAndGet(fmt::format(
        "SELECT count(*) FROM main.t{0} c WHERE c.d IN (SELECT p.{2} FROM before.{1} p WHERE NOT "
        "EXISTS (SELECT 1 FROM main.{1} q WHERE q.n = p.n))",
        table, doubtful.parent, doubtful.column));
    CHECK(told_of(survey, fmt::format("t{}.d refers to {} (", table, doubtful.parent)) ==
          static_cast<std::uint64_t>(expected.getInt64()));
  }
}

}  // namespace

TEST_CASE("whatever the tables, rows and keys, as much goes as in SQLite's own cascade",
          "[store][cascade][property]") {
  unsigned refused_some = 0;
  unsigned refused_none = 0;
  for (unsigned seed = 1; seed <= 80; ++seed) {
    CAPTURE(seed);
    const RandomDatabase random(seed);
    const SessionDb database(random.sql());
    const SessionDb certain(random.certain_sql());
    std::vector<std::string> doomed;
    for (unsigned i = 0; i < doomed_sessions; ++i) doomed.push_back(fmt::format("s{}", i));
    const auto before = database.rows();
    const bool all_may_go = rows_after_sqlites_own_cascade(certain, doomed).has_value();

    StorePass pass(database);
    pass.look(doomed);
    auto counts = pass.no_counts();
    const auto transaction = pass.begin();
    const auto refused = pass.named(transaction->choose(pass.all()));
    std::erase_if(doomed, [&](const std::string& id) { return refused.contains(id); });
    const auto expected = rows_after_sqlites_own_cascade(certain, doomed);
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
    check_told(random, database, certain, pass.survey());
    std::string going;
    for (const auto& id : doomed) going += (going.empty() ? "'" : ", '") + id + "'";
    if (refused.empty()) {
      CHECK(told_of(pass.survey(), "keyless.session_id has no foreign key") ==
            static_cast<std::uint64_t>(database.number(
                fmt::format("SELECT count(*) FROM keyless WHERE session_id IN ({})", going))));
    }
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
    const RandomDatabase random(seed);
    const SessionDb database(random.sql());
    const auto before = database.rows();
    const auto expected = rows_after_sqlites_own_cascade(SessionDb(random.certain_sql()), {"s0"});

    const auto deleted = delete_sessions(database, {"s0"});

    CHECK(deleted.refused.empty() == expected.has_value());
    CHECK(database.rows() == expected.value_or(before));
    ++(expected ? went : held);
  }
  CHECK(held > 5);
  CHECK(went > 5);
}
