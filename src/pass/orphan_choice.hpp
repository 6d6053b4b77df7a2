// Which directories without a session may go: those that are this database's, and old enough.
#pragma once

#include <string>
#include <vector>

#include "base/few.hpp"
#include "model/options.hpp"
#include "model/report.hpp"
#include "pass/app_data.hpp"
#include "plan/plan.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {

/// Directories that go without a session.
struct Unclaimed {
  std::vector<std::string> leftovers;  ///< that an interrupted pass has staged
  std::vector<OrphanLine> orphans;     ///< by inode
  [[nodiscard]] bool empty() const { return leftovers.empty() && orphans.empty(); }
  [[nodiscard]] std::size_t size() const { return leftovers.size() + orphans.size(); }
};

struct OrphanChoice {
  Unclaimed unclaimed;
  std::vector<OrphanLine> spared;  ///< orphans that changed within --orphan-grace
  Few<std::string> foreign;        ///< what cannot be of this database: nothing at all may go then
  Notes notes;
};

/// Of the leftovers and orphans of `plan`. Throws PassError (stopped).
OrphanChoice choose_orphans(const Plan& plan, const Options& options, const PassTimes& times,
                            const UploadDir& uploads, const StopFlag& stop);

}  // namespace calib
