// The write side of a pass: whole sessions in slices, each one transaction of database and folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/stop.hpp"
#include "model/pass_error.hpp"
#include "model/report.hpp"
#include "model/session.hpp"
#include "pass/lock_budget.hpp"
#include "pass/new_claims.hpp"
#include "pass/units.hpp"
#include "plan/plan.hpp"
#include "store/session_store.hpp"
#include "uploads/disk_usage.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

class Slices {
 public:
  struct Context {
    SessionStore& store;
    const UploadDir& uploads;
    const std::vector<DoomedSession>& sessions;
    const Survey& survey;
    NewClaims& claims;
    HardLinks& links;
    const StopFlag& stop;
    Progress& progress;
    Workers& workers;
    std::chrono::milliseconds lock_wait;
    Report& report;
    bool& changed;   ///< set once anything holds that cannot be taken back
    bool& restored;  ///< set once a directory was moved back
  };
  explicit Slices(const Context& context);

  /// Deletes all of `units`. What fails for one is in the report; throws PassError where the pass
  /// cannot go on.
  void run(std::vector<Unit> units);

  /// Sessions that were gone, or not as they were planned, when their turn came, and those that go
  /// with them only. Nothing became of them, and of those nobody is told that were asked for by
  /// name: they are planned again.
  using PassedOver = std::map<OwnerIndex, Refusal::Reason>;
  [[nodiscard]] const PassedOver& passed_over() const { return passed_over_; }

 private:
  enum class Result { committed, busy, disturbed, too_much };
  enum class Staging { done, refused, no_room };

  using Clock = std::chrono::steady_clock;

  /// A slice under way: which units are still in it, and what is staged for them.
  struct Slice {
    Slice(std::span<const Unit> most, std::size_t following)
        : units(most), after(following), dropped(most.size()), staged(most.size()) {}
    std::span<const Unit> units;  ///< as many as there may be in it
    std::size_t after = 0;        ///< so many follow them
    std::size_t taken = 0;        ///< so many of them are
    std::vector<bool> dropped;    ///< for each of `units`
    /// For each of `units`: directories moved aside, and their inodes.
    std::vector<std::map<std::string, std::uint64_t>> staged;
    std::map<OwnerIndex, std::size_t> unit_of;
    // What there is to say of this try; it is dropped where the slice is tried again.
    std::vector<Failure> failures;
    std::vector<std::string> warnings;
    std::vector<Unit> held;
    std::vector<Failure> held_failures;
    PassedOver passed_over;
  };

  void run_once(const std::vector<Unit>& units);
  void give_up(const Unit& unit);
  Result try_slice(Slice& slice);
  bool fill(StoreTransaction& transaction, Slice& slice, Clock::time_point began);
  bool take_portion(StoreTransaction& transaction, Slice& slice, std::size_t first);
  Result commit(StoreTransaction& transaction, Slice& slice);
  bool is_claimed_meanwhile(const Slice& slice) const;
  void drop_refused(StoreTransaction& transaction, Slice& slice, std::vector<Refusal> refusals);
  void drop(StoreTransaction& transaction, Slice& slice, std::size_t unit);
  void protect_new_sessions(StoreTransaction& transaction, Slice& slice, std::size_t first);
  void stage(StoreTransaction& transaction, Slice& slice, std::size_t first);
  Staging stage_unit(Slice& slice, std::size_t unit);
  void restore_unit(Slice& slice, std::size_t unit);
  void restore_all(Slice& slice);
  Result settle_unknown(Slice& slice);
  void purge(const Slice& slice);
  void remove_staged(const Slice& slice, std::map<std::string, Usage>& usages);
  void add_lines(const Slice& slice, std::map<std::string, Usage>& usages);
  void note(const Refusal& refusal, Slice& slice, std::size_t unit);
  void keep_notes(Slice& slice);
  void rest() const;
  [[nodiscard]] bool is_session(OwnerIndex owner) const { return owner < c_.sessions.size(); }
  [[nodiscard]] std::string name_of(OwnerIndex owner) const {
    return owner_name(owner, c_.sessions, c_.survey);
  }
  [[nodiscard]] std::string in_folder(const std::string& name) const;
  void fail(std::string path, std::string error, ErrorKind kind);

  Context c_;
  RecordCounts counts_;
  std::vector<Unit> held_;  ///< units that a row which stays refers to: tried again at the end
  Failures held_failures_;
  PassedOver passed_over_;
  std::optional<PassError> last_error_;  ///< why the last slice was too much
  LockBudget budget_;
  Clock::duration held_lock_{};   ///< by the last slice
  Clock::time_point released_{};  ///< when it gave the lock back
  bool told_unsynced_ = false;
  Clock::duration disturbed_for_{};  ///< waiting for rows that others hold, altogether
};

}  // namespace calib
