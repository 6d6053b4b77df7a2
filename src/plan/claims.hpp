// What sessions claim in the uploads folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/session.hpp"

namespace calib {

/// Claims of sessions on entries of the folder: ids and every component of images_dir, ignoring
/// ASCII case, told apart by 64-bit hashes. Two names that share one protect each other.
class Claims {
 public:
  void add(const SessionRow& row);
  void add(std::uint64_t hash);
  [[nodiscard]] bool contain(std::string_view name) const;
  [[nodiscard]] bool contain(std::uint64_t hash) const;
  /// The hashes that `row` claims, each once.
  static std::vector<std::uint64_t> of(const SessionRow& row);
  /// The names that it claims, some of them more than once; the views end with the row's.
  static std::vector<std::string_view> names_of(const SessionRow& row);

  /// So that the next contain() need not.
  void sort() const;

 private:
  // Eight bytes for a claim, where a hash set takes forty. Sorted up to `sorted_`.
  mutable std::vector<std::uint64_t> hashes_;
  mutable std::size_t sorted_ = 0;
  /// Some that are among them, each in its place; what stands there at first has another one.
  std::array<std::uint64_t, 8> recent_{1};
};

}  // namespace calib
