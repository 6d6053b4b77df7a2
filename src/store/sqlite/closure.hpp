// The rows that go with their owners where runs of rowids are not enough: tables that other tables
// refer to, rows that hang on rows that hang on a session, references that are set to NULL, and
// those that hold. All of it in SQL, set-wise, over temporary tables of this connection.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/cascade.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/pieces.hpp"
#include "store/sqlite/scan.hpp"
#include "store/sqlite/schema.hpp"

namespace calib::sqlite {

class Closure {
 public:
  Closure(Connection& connection, const Schema& schema,
          const std::vector<DirectTable>& direct_tables);

  /// Makes the temporary tables, where they are not there yet. Outside of any transaction: they
  /// would go with one that is rolled back.
  void make_tables();

  struct Owner {
    OwnerIndex index = 0;
    std::string_view key;
    bool is_session = false;
  };

  /// Visits the ranges of rows of `table` (an index in Schema::tables, with rowids) that are looked
  /// at: no row in any other one may go, hold or be set.
  using Ranges = std::function<void(std::size_t table, const RangeVisitor& visit)>;

  /// Whether rows are looked up by an index where there is one, instead of in ranges: all of them
  /// in one statement.
  enum class Lookup { by_index, in_ranges };

  /// Forgets everything and starts with these owners. After make_tables().
  void start(std::span<const Owner> owners, Ranges ranges, Lookup lookup);

  /// All rows there are, read as visit_ranges() does.
  [[nodiscard]] Ranges all_rows();
  /// How many rows all_rows() met last in `table`.
  [[nodiscard]] std::uint64_t rows_met(std::size_t table) const { return rows_met_[table]; }

  /// From here on these are looked at.
  void look_at(Ranges ranges) { ranges_ = std::move(ranges); }

  /// SQL that adds the rows ?1 to ?2 (rowids) of a direct table that still refer to ?3 by the key
  /// at `position`, as going with owner ?4. Between start() and spread().
  [[nodiscard]] std::string seed_statement(const DirectTable& direct, std::size_t position) const;

  /// Finds every row that goes with the owners, beyond the seeded ones. Tables without rowids are
  /// read whole.
  void spread();

  /// After spread(), for each table with rowids: where all that go stand, and those that refer to
  /// what goes or hold it, by owner.
  std::vector<std::vector<Run>> rows_concerned();

  /// Whether a row that stays refers to an owner.
  bool any_held();

  /// The rows that refer to owners, but for those that go with the owner they hold.
  std::vector<Hold> holds();

  /// The rows that refer to rows which go, but by a key whose meaning is not certain: for each such
  /// key that has any. `doomed`: how many of the owners are sessions.
  std::vector<Unplaced> unplaced(std::size_t doomed);

  /// Takes these owners out, and the rows that went with nobody else.
  void withdraw(std::span<const OwnerIndex> owners);

  /// Adds the rows found to `counts`, each for the first of its owners; `column_of` maps a table to
  /// its column.
  void count(RecordCounts& counts, const std::function<std::size_t(std::size_t)>& column_of);

  /// Sets references to what goes to NULL or default, then deletes the rows found. In a write
  /// transaction.
  void execute();

  /// Whether rows of `table` (an index in Schema::tables) are found here.
  [[nodiscard]] bool covers(std::size_t table) const { return !going_[table].empty(); }

 private:
  /// As SQL: where the rows of a table that go stand, and which of them are the row `alias`.
  struct GoingRow {
    std::string from;
    std::string same;
  };
  /// Where the search for the rows that refer to what goes begins.
  enum class Search {
    from_ranges,  ///< of their rowids
    from_going,   ///< and an index leads to them
    anywhere      ///< SQLite decides: they have no rowids
  };
  [[nodiscard]] Search search_of(const ForeignKey& key) const;
  [[nodiscard]] std::string going_parents(const ForeignKey& key) const;
  [[nodiscard]] bool is_seeded(const ForeignKey& key) const;
  [[nodiscard]] std::string insert_children(const ForeignKey& key) const;
  std::int64_t add_leaked_and_stereo(const ForeignKey& key);
  void set_references(const ForeignKey& key);
  /// Calls `run` with `sql`, which has children(), for each range of the child's rows.
  void in_ranges(const ForeignKey& key, const std::string& sql,
                 const std::function<void(SQLite::Statement&)>& run);
  [[nodiscard]] std::optional<GoingRow> going_row(std::size_t table, const std::string& row,
                                                  const std::string& alias) const;
  /// `<child> c` with what it refers to by this key and goes (`g`), `join`, and a condition,
  /// that more can be added to. `join` may name `c` and `g`.
  [[nodiscard]] std::string children(const ForeignKey& key, const std::string& join = {}) const;
  std::int64_t run(const std::string& sql);

  Connection& connection_;
  const Schema& schema_;
  std::vector<std::string> going_;  ///< for each table: its temporary table; empty: not covered
  Ranges ranges_;
  Lookup lookup_ = Lookup::in_ranges;
  std::vector<std::uint64_t> rows_met_;  ///< for each table
  bool created_ = false;
};

/// SQL that is true where the text `key` is `stereo_<a>_<b>`, no session itself, and `owner` (an
/// SQL expression) is a or b.
std::string stereo_condition(const std::string& key, const std::string& owner);

/// SQL that is true where a row of the table aliased `c` has just `owner` in its column of `key`.
std::string equal_condition(const ForeignKey& key, const std::string& owner);

/// SQL that is true where it names `owner` there, in whatever way.
std::string owned_condition(const ForeignKey& key, const std::string& owner);

/// The temporary table of the owners that are chosen: key, owner, is_session.
inline constexpr std::string_view owner_table = "temp.calib_cleanup_owner";

}  // namespace calib::sqlite
