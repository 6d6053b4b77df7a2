// What a pass is to do: the plan, narrowed by what the records say, by the grace of orphans and by
// the limit. A dry run shows it, a pass carries it out.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "base/stop.hpp"
#include "base/timestamp.hpp"
#include "model/options.hpp"
#include "model/report.hpp"
#include "model/session.hpp"
#include "pass/units.hpp"
#include "plan/plan.hpp"
#include "store/session_store.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

struct Agenda {
  std::vector<Entry> listing;  ///< of the folder, from before the database was read
  Plan plan;
  std::vector<OrphanLine> orphans;  ///< those of the plan that are to go, by inode
  std::vector<DoomedKey> keys;      ///< of the plan's sessions, for the store
  Survey survey;
  std::vector<Unit> units;
  bool refused = false;  ///< more than --max-delete, or another database's uploads: nothing goes
};

/// What it is made from; what does not go, and why, is added to `report`.
struct AgendaContext {
  const Options& options;
  Instant now;
  std::chrono::steady_clock::time_point began;  ///< when it was `now`
  const StopFlag& stop;
  Progress& progress;
  const UploadDir& uploads;
  SessionStore& store;
  /// When the database was changed before this pass; nothing where that is not told.
  std::optional<Instant> database_changed;
  std::optional<Instant> database_born;  ///< the same
  Report& report;
};

/// Lists the folder and reads the sessions. Throws PassError.
void make_plan(const AgendaContext& context, Agenda& agenda);

/// Once the plan stands: says what becomes of it. Throws PassError.
void narrow_plan(const AgendaContext& context, Agenda& agenda);

/// Plans once more for these sessions alone, which were asked for by name and were there. What else
/// a plan tells of has been said. Throws PassError.
void plan_again(const AgendaContext& context, const std::vector<std::string>& ids, Agenda& agenda);

}  // namespace calib
