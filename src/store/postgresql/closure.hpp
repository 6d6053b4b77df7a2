// The rows that go with their owners where the session's key alone does not tell: rows that hang on
// rows that hang on a session, tables that other tables refer to, and rows that hold.
//
// They are found level by level and kept here, for a dry run may have no temporary tables (its
// transaction only reads, and its role may have no right to make any). The app's own tables have
// none of this; where others do, a slice bounds what there is of it. A row is named by its place
// (ctid), which is sound as long as it is locked: nobody else can move it then.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "model/session.hpp"
#include "store/postgresql/connection.hpp"
#include "store/postgresql/schema.hpp"

namespace calib::postgresql {

class Closure {
 public:
  enum class Lock { nothing, rows };

  /// `covered`: for each table, whether its rows are to be found here.
  Closure(Connection& connection, const Schema& schema, const std::vector<bool>& covered,
          Lock lock);

  /// What rows may name: a session's id, or another key that an owner goes by.
  struct Start {
    OwnerIndex owner = 0;
    std::string key;
    bool is_session = false;
  };
  /// Forgets everything, starts with these, and finds every row that goes with them.
  void find(const std::vector<Start>& starts);

  /// Whether a row that stays refers to an owner.
  bool any_held();

  /// The rows that refer to owners, but for those that go with the owner they hold.
  std::vector<Hold> holds();

  /// Takes these owners out, and the rows that went with nobody else.
  void withdraw(std::span<const OwnerIndex> owners);

  /// Adds the rows found to `counts`, each for the first of its owners.
  void count(RecordCounts& counts, const std::function<std::size_t(std::size_t)>& column_of) const;

  /// How many rows were found.
  [[nodiscard]] std::size_t size() const;

  /// A DELETE (with RETURNING 1) of all rows found, for each table and partition.
  /// `parameter` takes a value and gives its `$n`.
  [[nodiscard]] std::vector<std::string> deletions(
      const std::function<std::string(const std::string&)>& parameter) const;

 private:
  struct Row {
    std::set<OwnerIndex> owners;
    std::map<std::string, std::optional<std::string>> values;  ///< of the columns referred to
  };
  struct Place {
    std::string relation;  ///< as SQL: the table itself, or the partition
    std::string ctid;
    friend bool operator<(const Place& a, const Place& b) {
      return std::tie(a.relation, a.ctid) < std::tie(b.relation, b.ctid);
    }
  };
  /// What is referred to by a key, and who goes with it.
  struct Referred {
    std::vector<std::vector<std::string>> columns;  ///< the values of each of the key's columns
    std::vector<std::set<OwnerIndex>> owners;
  };
  struct Child {
    Place place;
    std::size_t referred = 0;
    std::map<std::string, std::optional<std::string>> values;
  };

  enum class Keys { sessions, all };
  [[nodiscard]] Referred referred_by(const ForeignKey& key, Keys keys) const;
  std::vector<Child> children(const ForeignKey& key, const Referred& referred, Lock lock);
  bool follow(const ForeignKey& key);
  /// Whom it goes with.
  [[nodiscard]] std::set<OwnerIndex> owners_of_row(std::size_t table, const Child& child) const;

  Connection& connection_;
  const Schema& schema_;
  std::vector<bool> covered_;
  Lock lock_;
  std::vector<std::set<std::string>> referred_columns_;  ///< for each table
  std::map<std::string, OwnerIndex> sessions_;
  std::map<std::string, Row> other_keys_;    ///< without values
  std::vector<std::map<Place, Row>> going_;  ///< for each table
};

}  // namespace calib::postgresql
