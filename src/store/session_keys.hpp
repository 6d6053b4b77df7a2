// What a `session_id` value says: a session that goes, one that stays, or one that is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "model/session.hpp"

namespace calib {

/// Every session that was read, and those of them that are doomed.
class SessionKeys {
 public:
  /// A session that stands in the database. After the last one, settle().
  void add(std::string_view id);
  void settle();

  /// The views must outlive this object's use.
  void set_doomed(std::span<const DoomedKey> doomed);

  /// Whether a session of this id stands, ignoring ASCII case. Ids are told apart by a 64-bit hash:
  /// where two share one, a record that leaked is kept, never the other way round.
  [[nodiscard]] bool stands(std::string_view id) const;
  [[nodiscard]] std::optional<OwnerIndex> doomed(std::string_view id) const;

  struct Match {
    std::optional<OwnerIndex> first;   ///< the doomed session that the row hangs on
    std::optional<OwnerIndex> second;  ///< the other one, where a stereo row has two
    bool leaked = false;
    bool other_stays = false;  ///< a stereo row that goes, though one of its two sessions stays
  };
  /// What becomes of a row with this `session_id`.
  [[nodiscard]] Match match_session_id(std::string_view key) const;

 private:
  struct Doomed {
    std::uint64_t hash = 0;
    OwnerIndex owner = 0;
  };
  std::vector<std::uint64_t> standing_;
  std::span<const DoomedKey> keys_;
  std::vector<Doomed> doomed_;  ///< by hash, then by id
};

}  // namespace calib
