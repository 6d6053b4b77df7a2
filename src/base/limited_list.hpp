// A list that names some of what is alike, and counts the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace calib {

/// A million items may have one cause. Of each kind, which `kind_of` tells, the first `max_of_one`
/// are kept, and no more than `max_of_all` altogether; the others are counted, so that neither
/// memory nor anybody's log is filled with them.
template <typename Item, std::string (*kind_of)(const Item&), std::size_t max_of_one,
          std::size_t max_of_all = 10 * max_of_one>
class LimitedList {
 public:
  using value_type = Item;

  LimitedList() = default;
  LimitedList(std::initializer_list<Item> items) {
    for (const auto& item : items) push_back(item);
  }
  LimitedList(const std::vector<Item>& items) {
    for (const auto& item : items) push_back(item);
  }

  void push_back(Item item) {
    auto& kind = kind_like(item);
    if (kind.kept < max_of_one && kept_.size() < max_of_all) {
      ++kind.kept;
      kept_.push_back(std::move(item));
    } else {
      leave_out(kind, item, 1);
    }
  }

  /// Counts so many more of the kind of `like`.
  void leave_out(const Item& like, std::uint64_t count) { leave_out(kind_like(like), like, count); }

  template <typename Iterator>
  void insert(typename std::vector<Item>::const_iterator, Iterator first, Iterator last) {
    for (; first != last; ++first) push_back(*first);
  }

  /// Takes in another list of its kind, with what that has left out.
  void add(const LimitedList& others) {
    others.add_to(*this, [](const Item& item) { return item; });
  }

  /// Adds all of it, kept and counted, to another such list, each item as `convert` makes it.
  template <typename List, typename Convert>
  void add_to(List& list, const Convert& convert) const {
    for (const auto& item : kept_) list.push_back(convert(item));
    for_each_rest(
        [&](const Item& like, std::uint64_t count) { list.leave_out(convert(like), count); });
  }

  /// Calls visit(like, count) for each kind of which not all are kept: one that is not, and how
  /// many are not.
  template <typename Visit>
  void for_each_rest(const Visit& visit) const {
    for (const auto& [name, kind] : kinds_) {
      if (kind.left_out > 0) visit(kind.like, kind.left_out);
    }
  }

  /// How many there are of those that `is_meant` is true of, kept or not.
  template <typename IsMeant>
  [[nodiscard]] std::uint64_t count_if(const IsMeant& is_meant) const {
    std::uint64_t count = 0;
    for (const auto& item : kept_) {
      if (is_meant(item)) ++count;
    }
    for_each_rest([&](const Item& like, std::uint64_t left_out) {
      if (is_meant(like)) count += left_out;
    });
    return count;
  }
  [[nodiscard]] std::uint64_t total() const {
    return count_if([](const Item&) { return true; });
  }

  // Those that are kept.
  [[nodiscard]] auto begin() const { return kept_.begin(); }
  [[nodiscard]] auto end() const { return kept_.end(); }
  [[nodiscard]] std::size_t size() const { return kept_.size(); }
  [[nodiscard]] bool empty() const { return kept_.empty(); }
  [[nodiscard]] const Item& front() const { return kept_.front(); }
  [[nodiscard]] const Item& operator[](std::size_t i) const { return kept_[i]; }
  operator const std::vector<Item>&() const { return kept_; }

  void clear() {
    kept_.clear();
    kinds_.clear();
  }

 private:
  struct Kind {
    std::size_t kept = 0;
    std::uint64_t left_out = 0;
    Item like = {};  ///< the first one that was left out
  };
  // Where everyone is another one's like, the kinds are not worth telling apart any more.
  static constexpr std::size_t max_kinds = 1000;

  Kind& kind_like(const Item& item) {
    auto name = kind_of(item);
    if (kinds_.size() >= max_kinds && !kinds_.contains(name)) name.clear();
    return kinds_[std::move(name)];
  }

  static void leave_out(Kind& kind, const Item& item, std::uint64_t count) {
    if (kind.left_out == 0) kind.like = item;
    kind.left_out += count;
  }

  std::vector<Item> kept_;
  std::map<std::string, Kind> kinds_;
};

}  // namespace calib
