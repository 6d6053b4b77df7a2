// What is said of many things of one kind: one cause gives a few lines, not a million.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.hpp"

namespace calib {

/// The first few of what is added, and how many there are. The others take no memory.
template <typename Item>
class Few {
 public:
  static constexpr std::size_t most = 10;

  /// `make` gives the item, where it is wanted.
  template <typename Maker>
  void add(const Maker& make) {
    if (count_++ < most) items_.push_back(make());
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t more() const { return count_ - items_.size(); }
  [[nodiscard]] const std::vector<Item>& items() const { return items_; }

 private:
  std::vector<Item> items_;
  std::uint64_t count_ = 0;
};

/// `a, b, c and 5 more`.
inline std::string text_of(const Few<std::string>& names) {
  std::string text;
  for (const auto& name : names.items()) text += (text.empty() ? "" : ", ") + name;
  return names.more() > 0 ? fmt::format("{} and {} more", text, names.more()) : text;
}

}  // namespace calib
