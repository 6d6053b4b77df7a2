// What goes without a session: what an interrupted pass left staged, and orphaned directories. It
// needs no staging, but nobody may claim it by the time it goes.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "agenda.hpp"
#include "new_claims.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "session_store.hpp"
#include "stop.hpp"
#include "upload_dir.hpp"
#include "usage.hpp"
#include "workers.hpp"

namespace calib {

class Unclaimed {
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
  explicit Unclaimed(const Context& context) : c_(context) {}

  /// Before anything is gone: makes sure that the database can be written, and takes off the lists
  /// what anybody claims by now. Throws StoreError.
  void ask_again();

  /// Removes what is on the lists then. What cannot go is in the report; throws StoreError where
  /// the pass cannot go on.
  void remove();

 private:
  void drop_claimed(StoreTransaction& transaction);
  void remove_leftovers();
  void remove_orphans();
  void remove_all(const std::vector<std::string>& entries,
                  const std::function<void(std::size_t, const Usage&)>& gone);

  Context c_;
};

}  // namespace calib
