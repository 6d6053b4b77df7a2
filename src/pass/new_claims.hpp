// What sessions claim that came, or changed, while the pass ran.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/stop.hpp"
#include "model/session.hpp"
#include "plan/claims.hpp"
#include "plan/plan.hpp"
#include "plan/sorted_index.hpp"
#include "store/session_store.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

/// All claims but those of the planned sessions that are as they were. Once seen, a claim stays.
class NewClaims {
 public:
  /// All of them must outlive this.
  NewClaims(const std::vector<DoomedSession>& planned, const UploadDir& uploads,
            const StopFlag& stop)
      : planned_(planned), uploads_(uploads), stop_(stop) {}

  struct Begun {
    std::unique_ptr<StoreTransaction> transaction;
    std::chrono::steady_clock::time_point since;  ///< when it had the lock
  };
  /// Begins a transaction, before which there was a look at what takes too long to be looked at in
  /// it. `wait`: for each lock. Throws PassError, also where the folder's path leads elsewhere by
  /// now: whoever moved it has begun with another one.
  Begun begin(SessionStore& store, std::chrono::milliseconds wait);
  /// In a transaction: what came since. Once, before anything is changed.
  void look(StoreTransaction& transaction);

  [[nodiscard]] bool contain(std::string_view directory) const {
    return claims_.contain(directory);
  }

 private:
  void look(SessionStore& store);
  void add(const SessionRow& row);
  [[nodiscard]] bool is_planned(const SessionRow& row);
  void follow_links();

  const std::vector<DoomedSession>& planned_;
  const UploadDir& uploads_;
  const StopFlag& stop_;
  std::optional<PositionsByHash> by_fingerprint_;  ///< positions in the plan; made when needed
  Claims claims_;
  std::set<std::string, std::less<>> names_;  ///< what they claim, as long as they are few
  bool has_many_names_ = false;               ///< then all links are looked at, which takes longer
  bool has_news_ = false;                     ///< since then
};

}  // namespace calib
