// What sessions claim that came, or changed, while the pass ran.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "claims.hpp"
#include "lookup.hpp"
#include "plan.hpp"
#include "session_store.hpp"

namespace calib {

/// All claims but those of the planned sessions that are as they were. Once seen, a claim stays.
class NewClaims {
 public:
  /// `planned` must outlive this.
  explicit NewClaims(const std::vector<DoomedSession>& planned) : planned_(planned) {}

  /// Before a transaction: what takes too long to be looked at in it.
  void look(SessionStore& store);
  /// In a transaction: what came since.
  void look(StoreTransaction& transaction);

  [[nodiscard]] bool contain(std::string_view directory) const {
    return claims_.contain(directory);
  }

 private:
  void add(const SessionRow& row);
  [[nodiscard]] bool is_planned(const SessionRow& row);

  const std::vector<DoomedSession>& planned_;
  std::optional<PositionsByHash> by_fingerprint_;  ///< positions in the plan; made when needed
  Claims claims_;
};

}  // namespace calib
