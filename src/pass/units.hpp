// What goes together or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/report.hpp"
#include "model/session.hpp"
#include "plan/plan.hpp"

namespace calib {

/// Neighbouring owners. std::views::iota would be the same, but clang 14, whose checks read this,
/// does not take the one of GCC's library.
class OwnerRange {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = OwnerIndex;
    using difference_type = std::ptrdiff_t;
    using pointer = const OwnerIndex*;
    using reference = OwnerIndex;
    explicit Iterator(OwnerIndex owner) : owner_(owner) {}
    OwnerIndex operator*() const { return owner_; }
    Iterator& operator++() {
      ++owner_;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    OwnerIndex owner_;
  };

  OwnerRange(OwnerIndex first, OwnerIndex end) : first_(first), end_(end) {}
  [[nodiscard]] Iterator begin() const { return Iterator(first_); }
  [[nodiscard]] Iterator end() const { return Iterator(end_); }
  [[nodiscard]] std::size_t size() const { return end_ - first_; }
  [[nodiscard]] OwnerIndex front() const { return first_; }

 private:
  OwnerIndex first_;
  OwnerIndex end_;
};

/// Owners that go together or not at all: sessions that share a directory, or one leaked key. A
/// plan keeps them next to each other.
struct Unit {
  OwnerRange owners;
};

/// The sessions of a plan and the leaked keys, as units, without the refused ones.
std::vector<Unit> units_of(const std::vector<DoomedSession>& sessions, std::size_t leaked_keys,
                           const std::set<OwnerIndex>& refused);

/// The failure of an owner that a row which stays refers to.
Failure held_failure(const Refusal& refusal, const std::string& owner_name);

/// The failure of one that shares a directory with a session that is left whole.
Failure goes_along_failure(const std::string& owner_name);

/// The rows of one owner, in the order of `tables`.
std::vector<std::uint32_t> records_of(const std::vector<std::string>& tables,
                                      const RecordCounts& counts, OwnerIndex owner);

/// Adds up the rows of a leaked key by their tables.
void add_leaked(const std::vector<std::string>& tables, const RecordCounts& counts,
                OwnerIndex owner, std::map<std::string, std::uint64_t>& rows);

/// What the report says of this session, but for its files.
SessionLine line_of(const DoomedSession& session, std::vector<std::uint32_t> records);

/// `session <id>` or `records of <key>`, for messages.
std::string owner_name(OwnerIndex owner, const std::vector<DoomedSession>& sessions,
                       const Survey& survey);

}  // namespace calib
