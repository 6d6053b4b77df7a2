// What a pass is to do: the plan, narrowed by what the records say, by the grace of orphans and by
// the limit. A dry run shows it, a pass carries it out.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "model/options.hpp"
#include "model/report.hpp"
#include "model/session.hpp"
#include "pass/app_data.hpp"
#include "pass/orphan_choice.hpp"
#include "pass/units.hpp"
#include "plan/plan.hpp"

namespace calib {

struct Agenda {
  std::vector<Entry> listing;  ///< of the folder, from before the database was read
  Plan plan;
  std::string proof;                 ///< see Report::proof
  std::vector<std::uint64_t> items;  ///< see Report::items
  std::string place;                 ///< see Report::place
  Unclaimed unclaimed;               ///< of the plan's leftovers and orphans, those that are to go
  std::vector<OrphanLine> spared;    ///< orphans that stay for now: see --orphan-grace
  std::vector<DoomedKey> keys;       ///< of the plan's sessions, for the store
  Survey survey;
  std::vector<Unit> units;
  bool is_named = false;  ///< by --session: who changes meanwhile is planned again, and not told of
  /// In a dry run: more than --max-delete, so that a pass would delete none of it.
  bool over_limit = false;
  bool refused = false;  ///< more than --max-delete, or another database's uploads: nothing goes
  Notes notes;           ///< what does not go, and why
};

class AgendaMaker {
 public:
  /// All of them must outlive this.
  AgendaMaker(const Options& options, const PassTimes& times, AppData& app, const Monitor& monitor)
      : options_(options), times_(times), app_(app), monitor_(monitor) {}

  /// Lists the folder and reads the sessions: an agenda with nothing but listing and plan. Throws
  /// PassError.
  [[nodiscard]] Agenda read();

  /// Once the plan stands: the whole agenda. Throws PassError.
  [[nodiscard]] Agenda narrow(Agenda agenda);

  /// Once more for these sessions alone, which were asked for by name and were there. What else a
  /// plan tells of has been said. Throws PassError.
  [[nodiscard]] Agenda make_again(const std::vector<std::string>& ids);

 private:
  enum class Again { no, yes };
  /// What cannot be moved or deleted is found when its turn comes. A dry run has no turns, and a
  /// pass that somebody has confirmed is to count as he was shown.
  [[nodiscard]] bool foresees() const {
    return options_.dry_run == DryRun::yes || options_.confirmed.has_value();
  }
  Agenda read(const std::vector<std::string>& ids, Again again);
  void survey(Agenda& agenda);
  void refuse_unmovable(Agenda& agenda, std::set<OwnerIndex>& refused) const;
  void drop_unremovable(Agenda& agenda) const;
  void tell_unplaced(Agenda& agenda, std::set<OwnerIndex> kept) const;
  void refuse_foreign(Agenda& agenda, const Few<std::string>& foreign) const;
  void enforce_limit(Agenda& agenda) const;
  void enforce_confirmation(Agenda& agenda) const;

  const Options& options_;
  const PassTimes& times_;
  AppData& app_;
  Monitor monitor_;
};

}  // namespace calib
