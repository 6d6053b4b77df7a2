// What goes without a session: what an interrupted pass left staged, and orphaned directories. It
// needs no staging, but nobody may claim it by the time it goes.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/stop.hpp"
#include "model/options.hpp"
#include "model/report.hpp"
#include "pass/agenda.hpp"
#include "pass/new_claims.hpp"
#include "store/session_store.hpp"
#include "uploads/disk_usage.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

class Orphans {
 public:
  struct Context {
    const Options& options;
    SessionStore& store;
    const UploadDir& uploads;
    NewClaims& claims;
    HardLinks& links;
    const StopFlag& stop;
    Progress& progress;
    Workers& workers;
    Agenda& agenda;  ///< its leftovers and orphans are to go
    Report& report;
    bool& changed;  ///< set once anything is gone
  };
  explicit Orphans(const Context& context) : c_(context) {}

  /// Before anything is gone: makes sure that the database can be written, and takes off the lists
  /// what anybody claims by now. Throws PassError.
  void ask_again();

  /// Removes what is on the lists then. What cannot go is in the report; throws PassError where
  /// the pass cannot go on.
  void remove();

 private:
  void drop_claimed(StoreTransaction& transaction);
  void look_again();
  void remove_leftovers();
  void remove_orphans();
  [[nodiscard]] bool is_older_than_grace(const OrphanLine& orphan,
                                         std::optional<Failure>& failure) const;
  /// Which of them were tried before it was time to look again.
  using Tried = std::vector<char>;
  Tried remove_some(const std::vector<std::string>& entries,
                    const std::function<bool(std::size_t)>& may_go,
                    const std::function<void(std::size_t, const Usage&)>& gone);

  Context c_;
  std::chrono::steady_clock::time_point looked_;  ///< when it was last asked who claims what
  std::size_t most_ = 64;                         ///< to be tried before the next look
};

}  // namespace calib
