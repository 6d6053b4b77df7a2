// The write side of a pass: all units, slice by slice, so that the app's users never wait.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <system_error>
#include <vector>

#include "base/stop.hpp"
#include "model/report.hpp"
#include "model/session.hpp"
#include "pass/agenda.hpp"
#include "pass/app_data.hpp"
#include "pass/lock_budget.hpp"
#include "pass/new_claims.hpp"
#include "pass/purge.hpp"
#include "pass/slice.hpp"
#include "pass/units.hpp"

namespace calib {

/// What went by one transaction and the purge after it.
struct DeletedSlice {
  std::vector<SessionLine> sessions;                      ///< the views show texts of the plan
  std::map<std::string, std::uint64_t> orphaned_records;  ///< table -> leaked rows
  std::uint64_t halved_pairs = 0;                         ///< see Report
  std::uint64_t freed_bytes = 0;                          ///< as Purged has it
  PassedOver passed_over;
  Notes notes;
  bool changed = false;      ///< something is done that cannot be taken back
  bool restored = false;     ///< a directory was moved back
  std::error_code unsynced;  ///< why the folder could not be synced; no error where it was, or need
                             ///< not be
  std::exception_ptr ended;  ///< why the pass cannot go on; null where it can
};

class Slices {
 public:
  /// For the units of `agenda`. All of them must outlive this.
  Slices(const Agenda& agenda, AppData& app, NewClaims& claims, Purger& purger,
         const Monitor& monitor);

  [[nodiscard]] bool any_left() const { return next_ < units_.size(); }

  /// The next transaction, if there is one left. `lock_wait`: for each lock, and for all rows that
  /// others hold. Throws PassError where it does not come by the lock.
  DeletedSlice next(std::chrono::milliseconds lock_wait);

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::size_t count_next() const;
  void go_on_after(const SliceResult& slice, std::chrono::milliseconds lock_wait,
                   DeletedSlice& deleted);
  void give_up(const PassError& error, Notes& notes);
  void begin_next_round(Failures& failures);
  void rest() const;
  void purge(std::vector<StagedDirectory> staged, DeletedSlice& deleted);
  void add_lines(const std::vector<OwnerIndex>& gone, DeletedSlice& deleted) const;

  const Agenda& agenda_;
  AppData& app_;
  NewClaims& claims_;
  Purger& purger_;
  Monitor monitor_;

  std::vector<Unit> units_;  ///< of this round
  std::size_t next_ = 0;     ///< of them
  std::size_t max_owners_;   ///< of the next slice
  RecordCounts counts_;
  std::vector<Unit> held_;  ///< by rows that stay, or for lack of room: they get another round
  Failures held_failures_;
  bool was_put_off_ = false;  ///< a unit, in this round
  LockBudget budget_;
  Clock::duration held_lock_{};      ///< by the last slice
  Clock::time_point released_{};     ///< when it gave the lock back
  Clock::time_point busy_since_;     ///< the end of time where it is not
  SuspensionWatch suspended_;        ///< since the last commit
  Clock::duration disturbed_for_{};  ///< waiting for rows that others hold, altogether
};

}  // namespace calib
