// One transaction of database and folder: whole sessions, together or not at all.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/stop.hpp"
#include "model/pass_error.hpp"
#include "model/report.hpp"
#include "model/session.hpp"
#include "pass/agenda.hpp"
#include "pass/app_data.hpp"
#include "pass/lock_budget.hpp"
#include "pass/new_claims.hpp"
#include "pass/units.hpp"
#include "store/session_store.hpp"

namespace calib {

/// Sessions that were gone, or not as they were planned, when their turn came, and those that go
/// with them only. Nothing became of them.
using PassedOver = std::map<OwnerIndex, Refusal::Reason>;

/// A directory that was moved aside.
struct StagedDirectory {
  std::uint64_t inode = 0;
  std::string name;  ///< that of the session
};

/// What became of one transaction.
struct SliceResult {
  enum class Outcome {
    committed,
    busy,       ///< others kept it from committing: the same again will do
    disturbed,  ///< others hold rows of some of these sessions
    too_much,   ///< fewer at once may do
    ended       ///< the pass cannot go on: `ended` says why
  };
  Outcome outcome = Outcome::committed;
  std::size_t taken = 0;  ///< so many of its units were in it, from the first on

  // Of one that is committed:
  std::vector<OwnerIndex> gone;
  std::vector<StagedDirectory> staged;  ///< theirs, to be purged
  PassedOver passed_over;
  std::vector<Unit> put_off;  ///< units for which there was no time
  std::vector<Unit> held;     ///< units that a row which stays refers to, and why they stay
  Failures held_failures;

  Notes notes;
  bool changed = false;   ///< something is done that cannot be taken back
  bool restored = false;  ///< a directory was moved back
  std::optional<PassError> error;
  std::exception_ptr ended;

  std::chrono::steady_clock::duration filled{};  ///< from its begin to the commit; 0: none came
  std::chrono::steady_clock::duration held_lock{};
  std::chrono::steady_clock::time_point released;  ///< when it gave the lock back
};

class Slice {
 public:
  /// How many of `units` it takes in `budget` says; `counts` has the rows that went, for each
  /// owner of the agenda. All of them must outlive this.
  Slice(const Agenda& agenda, AppData& app, NewClaims& claims, const LockBudget& budget,
        RecordCounts& counts)
      : agenda_(agenda), app_(app), claims_(claims), budget_(budget), counts_(counts) {}

  /// Once. Waits for the lock of the database for `lock_wait`; throws PassError where it does not
  /// come by it.
  SliceResult run(std::span<const Unit> units, std::chrono::milliseconds lock_wait,
                  const StopFlag& stop);

 private:
  using Clock = std::chrono::steady_clock;
  using Outcome = SliceResult::Outcome;
  enum class Staging { done, refused, no_room };

  /// What there is to say of it if it is the last try.
  struct Findings {
    Notes notes;
    std::vector<Unit> put_off;
    std::vector<Unit> held;
    Failures held_failures;
    PassedOver passed_over;
  };

  void try_once(StoreTransaction& transaction, Clock::time_point began, const StopFlag& stop);
  bool fill(StoreTransaction& transaction, Clock::time_point began, const StopFlag& stop);
  bool take_portion(StoreTransaction& transaction, std::size_t first, const StopFlag& stop);
  Outcome commit(StoreTransaction& transaction);
  Outcome settle_unknown();
  void keep_findings();
  void note_gone();
  void end_with(std::exception_ptr error);

  void drop_refused(StoreTransaction& transaction, std::vector<Refusal> refusals);
  void drop(StoreTransaction& transaction, std::size_t unit);
  void note(const Refusal& refusal, std::size_t unit);
  void protect_new_sessions(StoreTransaction& transaction, std::size_t first);
  [[nodiscard]] bool is_claimed_meanwhile() const;

  void stage(StoreTransaction& transaction, std::size_t first, const StopFlag& stop);
  void put_off(StoreTransaction& transaction, std::size_t first);
  Staging stage_unit(std::size_t unit);
  void restore_unit(std::size_t unit);
  void restore_all();

  [[nodiscard]] bool is_session(OwnerIndex owner) const {
    return owner < agenda_.plan.sessions.size();
  }
  [[nodiscard]] std::string name_of(OwnerIndex owner) const {
    return owner_name(owner, agenda_.plan.sessions, agenda_.survey);
  }

  const Agenda& agenda_;
  AppData& app_;
  NewClaims& claims_;
  const LockBudget& budget_;
  RecordCounts& counts_;

  std::span<const Unit> units_;
  std::vector<bool> dropped_;  ///< for each of `units_`
  /// For each of `units_`: directories moved aside, and their inodes.
  std::vector<std::map<std::string, std::uint64_t>> staged_;
  std::map<OwnerIndex, std::size_t> unit_of_;
  Findings findings_;
  SliceResult result_;
};

}  // namespace calib
