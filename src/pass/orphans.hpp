// What goes without a session: what an interrupted pass left staged, and orphaned directories. It
// needs no staging, but nobody may claim it by the time it goes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "model/options.hpp"
#include "model/report.hpp"
#include "pass/app_data.hpp"
#include "pass/new_claims.hpp"
#include "pass/orphan_choice.hpp"
#include "pass/purge.hpp"
#include "store/session_store.hpp"

namespace calib {

/// Of some that were to be removed, those that are gone.
struct RemovedUnclaimed {
  std::uint64_t leftovers = 0;
  std::vector<OrphanLine> orphans;
  std::uint64_t freed_bytes = 0;  ///< as Purged has it
  Failures failures;
  bool tried = false;        ///< something may be gone, whole or in part
  std::exception_ptr ended;  ///< why the pass cannot go on; null where it can
};

class Orphans {
 public:
  /// All of them must outlive this.
  Orphans(const Options& options, AppData& app, NewClaims& claims, Purger& purger,
          const Monitor& monitor)
      : options_(options), app_(app), claims_(claims), purger_(purger), monitor_(monitor) {}

  /// These are to go: makes sure that the database can be written, and leaves out what anybody
  /// claims by now. Throws PassError.
  void begin(Unclaimed unclaimed);

  [[nodiscard]] bool any_left() const { return !left_.empty(); }

  /// Removes as many as may go without another look at who claims them. Throws PassError where that
  /// look fails; then none of them is gone.
  RemovedUnclaimed next();

 private:
  void drop_claimed(StoreTransaction& transaction);
  void look_again();
  void begin_phase();
  RemovedUnclaimed remove_leftovers();
  RemovedUnclaimed remove_orphans();
  [[nodiscard]] bool is_older_than_grace(const OrphanLine& orphan,
                                         std::optional<Failure>& failure) const;
  /// Which of them were tried before it was time to look again.
  using Tried = std::vector<char>;
  Purged remove(const std::vector<std::string>& entries, const Purger::MayGo& may_go, Tried& tried);

  const Options& options_;
  AppData& app_;
  NewClaims& claims_;
  Purger& purger_;
  Monitor monitor_;
  Unclaimed left_;
  bool is_looked_ = false;                        ///< since the last of them went
  std::chrono::steady_clock::time_point looked_;  ///< when it was last asked who claims what
  std::size_t most_ = 64;                         ///< to be tried before the next look
};

}  // namespace calib
