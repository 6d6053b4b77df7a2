#include "pass/pass.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/parallel.hpp"
#include "model/pass_error.hpp"
#include "model/session.hpp"
#include "pass/agenda.hpp"
#include "pass/measure.hpp"
#include "pass/new_claims.hpp"
#include "pass/orphans.hpp"
#include "pass/purge.hpp"
#include "pass/recovery.hpp"
#include "pass/slices.hpp"
#include "store/session_store.hpp"
#include "uploads/open.hpp"
#include "uploads/upload_dir.hpp"
#include "webapp/database_age.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

// How often a dry run begins, where writers disturb it.
constexpr int max_tries = 5;

// How often sessions that were asked for by name are planned, where others change them.
constexpr int max_plans = 5;

enum class Repeat { allowed, refused };

class Pass {
 public:
  Pass(const Options& options, Instant now, const StopFlag& stop, Progress& progress)
      : options_(options),
        now_(now),
        stop_(stop),
        progress_(progress),
        began_(Clock::now()),
        jobs_(jobs_that_fit(options.jobs)) {
    report_.dry_run = options.dry_run;
    report_.mode = options.mode;
    report_.hours = options.hours;
    if (options.mode == Mode::expired) report_.cutoff = hours_before(now, options.hours);
    report_.started = now;
    report_.database = options.database.display;
    report_.uploads = options.uploads.string();
  }

  /// Throws PassError (disturbed) where the same again will do.
  Report run(Repeat repeat) {
    try {
      steps();
    } catch (const PassError& error) {
      if (error.kind() == PassError::Kind::disturbed && repeat == Repeat::allowed) throw;
      end_with(error.kind(), error.path(), error.text());
    } catch (const std::system_error& error) {
      end_with(PassError::Kind::unusable, "", error.what());
    } catch (const std::exception& error) {
      end_with(PassError::Kind::unusable, "", error.what());
    }
    if (restored_) sync_restored(*uploads_, report_);
    if (!is_dry() && !finished_ && uploads_) count_kept();
    if (stop_.requested()) end_with(PassError::Kind::stopped, "", "");
    if (!is_dry()) {
      report_.freed_bytes += links_.freed_bytes();
      report_.kept.sessions = count_sessions();
    }
    report_.duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began_);
    return std::move(report_);
  }

 private:
  [[nodiscard]] bool is_dry() const { return options_.dry_run == DryRun::yes; }

  void end_with(PassError::Kind kind, const std::string& path, const std::string& text) {
    if (stop_.requested()) {
      report_.outcome = Outcome::interrupted;
      report_.signal = stop_.signal();
      if (kind == PassError::Kind::stopped) return;
    }
    const bool busy = kind == PassError::Kind::busy || kind == PassError::Kind::disturbed;
    report_.errors.push_back({path, text, busy ? ErrorKind::busy : ErrorKind::database});
    if (report_.outcome == Outcome::interrupted || changed_) return;
    report_.outcome = busy ? Outcome::busy : Outcome::failed;
  }

  void steps() {
    if (options_.database_error) {
      throw PassError(PassError::Kind::unusable, *options_.database_error);
    }
    uploads_ = std::make_unique<UploadDir>(open_uploads(options_.uploads));
    removers_.emplace(jobs_, stop_,
                      first_removers(uploads_->file_system(), std::thread::hardware_concurrency()));
    if (!is_dry()) lock();
    database_changed_ = last_change(options_.database);
    database_born_ = birth(options_.database);
    store_ = open_store(options_.database, is_dry() ? Access::read_only : Access::read_write,
                        options_.lock_wait, stop_);
    report_.warnings = store_->remarks();
    uploads_->set_mark(store_->mark());
    const auto context = agenda_context();
    make_plan(context, agenda_);
    if (!is_dry() && !agenda_.plan.restores.empty()) {
      restore();
      make_plan(context, agenda_);
    }
    narrow_plan(context, agenda_);
    throw_if_requested(stop_);
    if (is_dry()) {
      preview();
    } else {
      carry_out();
    }
  }

  AgendaContext agenda_context() {
    return {options_,          now_,           began_, stop_, progress_, *uploads_, *store_,
            database_changed_, database_born_, report_};
  }

  void lock() {
    progress_.begin("waiting for another pass", 0);
    lock_folder(*uploads_, options_.lock_wait, stop_);
  }

  void restore() {
    changed_ = true;
    restored_ = true;
    restore_entries(*uploads_, agenda_.plan.restores, stop_, report_);
  }

  void preview() {
    progress_.begin("measuring directories", agenda_.listing.size());
    measure_preview(agenda_, *uploads_, jobs_, stop_, progress_, report_);
    report_.recovery = {agenda_.plan.restores.size(), agenda_.plan.leftovers.size()};
    if (options_.vacuum == Vacuum::yes) report_.vacuumed_bytes = store_->free_bytes();
  }

  void carry_out() {
    NewClaims claims(agenda_.plan.sessions, *uploads_, stop_);
    const auto& leftovers = agenda_.plan.leftovers;
    const bool any = !agenda_.units.empty() || !agenda_.orphans.empty() || !leftovers.empty();
    Orphans orphans({options_, *store_, *uploads_, claims, links_, stop_, progress_, *removers_,
                     agenda_, report_, changed_});
    if (any) {
      // It is read again once they are gone, and is too much to keep for so long.
      agenda_.listing = std::vector<Entry>();
      orphans.ask_again();
    }
    orphans.remove();
    throw_if_requested(stop_);
    const auto left = delete_sessions(agenda_, claims);
    if (options_.mode == Mode::named) {
      see_named_gone(left);
    } else {
      see_gone(left);
    }
    if (options_.vacuum == Vacuum::yes && !agenda_.refused) vacuum();
    finish();
  }

  using Left = std::map<std::string, Refusal::Reason, std::less<>>;

  /// Whom the slices have passed over, by their ids.
  Left delete_sessions(Agenda& agenda, NewClaims& claims) {
    report_.texts.push_back(agenda.plan.texts);
    Slices slices({*store_, *uploads_, agenda.plan.sessions, agenda.survey, claims, links_, stop_,
                   progress_, *removers_, options_.lock_wait, report_, changed_, restored_});
    slices.run(std::move(agenda.units));
    Left left;
    for (const auto& [owner, reason] : slices.passed_over()) {
      left.emplace(agenda.plan.sessions[owner].id, reason);
    }
    return left;
  }

  /// Whoever was asked for by name is gone at the end, or is told of: who changed meanwhile is
  /// planned again, and all of them are read once more, for a damaged index may hide some.
  void see_named_gone(Left left) {
    std::size_t told = 0;
    for (int plans = 1; told < report_.sessions.size() || !left.empty(); ++plans) {
      std::vector<std::string> ids;
      for (; told < report_.sessions.size(); ++told) ids.emplace_back(report_.sessions[told].id);
      for (const auto& [id, reason] : left) ids.push_back(id);
      Agenda agenda;
      plan_again(agenda_context(), ids, agenda);
      if (plans == max_plans) {
        for (const auto& session : agenda.plan.sessions) tell_left(session.id, left);
        return;
      }
      NewClaims claims(agenda.plan.sessions, *uploads_, stop_);
      left = delete_sessions(agenda, claims);
    }
  }

  /// The same of those whose age was to be seen to, where the database says that they are gone.
  void see_gone(Left left) {
    std::erase_if(left, [](const auto& entry) { return entry.second != Refusal::Reason::gone; });
    if (left.empty()) return;
    store_->visit_sessions([&](const SessionRow& row) {
      const auto found = left.find(row.id);
      if (found == left.end()) return;
      tell_left(row.id, left);
      left.erase(found);
    });
  }

  void tell_left(std::string_view id, const Left& left) {
    const auto found = left.find(id);
    const bool changed = found != left.end() && found->second == Refusal::Reason::changed;
    report_.errors.push_back(
        {"session " + std::string(id),
         changed ? "it changed each time while it was worked on; it is left whole, run again"
                 : "it is still there, although the database did not find it by its id: it came "
                   "back, or an index of the table sessions is damaged; run again, and where that "
                   "does not help, stop the app and have the indexes made anew (REINDEX)",
         ErrorKind::session});
  }

  void vacuum() {
    progress_.begin("vacuuming the database", 0);
    if (store_->free_bytes() == 0) return;
    try {
      report_.vacuumed_bytes = store_->vacuum();
      changed_ = true;
    } catch (const PassError& error) {
      using Kind = PassError::Kind;
      switch (error.kind()) {
        case Kind::disturbed:  // it is vacuumed
          report_.warnings.push_back(error.what());
          break;
        case Kind::full:
        case Kind::busy:
        case Kind::refused:
          report_.warnings.push_back(error.path() + ": not vacuumed: " + error.text());
          break;
        case Kind::stopped:
          throw;
        case Kind::unusable:
          throw PassError(error.kind(), error.path(), "not vacuumed: " + error.text());
      }
    }
  }

  /// What stays, for those who ask for it: counting is cheap, measuring walks all of it.
  void finish() {
    finished_ = true;
    const bool outdated = changed_ || agenda_.listing.empty();
    const auto listing = outdated ? uploads_->list() : std::move(agenda_.listing);
    report_.kept.directories = count_directories(listing);
    if (options_.format != Format::json && !options_.metrics) return;
    progress_.begin("measuring what stays", listing.size());
    report_.kept.allocated_bytes =
        measure_folder(*uploads_, listing, jobs_, stop_, progress_, report_);
    report_.total_bytes = report_.kept.allocated_bytes;
  }

  /// Those that are there at the end, with what came while the pass ran. Where the database cannot
  /// be asked any more: what is left of those that were read.
  std::uint64_t count_sessions() {
    const auto seen = agenda_.plan.sessions_seen;
    const auto left = seen - std::min<std::uint64_t>(seen, report_.sessions.size());
    if (!store_ || !finished_ || stop_.requested()) return left;
    try {
      return store_->count_sessions();
    } catch (const PassError& error) {
      if (error.kind() != PassError::Kind::stopped) {
        report_.warnings.push_back(
            fmt::format("{}; so the sessions that stay could not be counted anew", error.what()));
      }
      return left;
    }
  }

  /// The same where the pass has ended before: as far as the folder can still be read.
  void count_kept() {
    try {
      report_.kept.directories = count_directories(uploads_->list());
    } catch (const std::system_error& error) {
      // Where the pass could not run, what it failed by is said already.
      if (report_.outcome == Outcome::failed) return;
      report_.errors.push_back({"", error.what(), ErrorKind::directory});
    }
  }

  const Options& options_;
  Instant now_;
  const StopFlag& stop_;
  Progress& progress_;
  Clock::time_point began_;
  unsigned jobs_;  ///< 0: as many as the rate says
  std::optional<Workers> removers_;
  Report report_;
  bool changed_ = false;
  bool restored_ = false;  ///< directories that were aside
  bool finished_ = false;  ///< what stays is in the report
  std::unique_ptr<UploadDir> uploads_;
  std::unique_ptr<SessionStore> store_;
  std::optional<Instant> database_changed_;  ///< before this pass; where that is told
  std::optional<Instant> database_born_;
  Agenda agenda_;
  HardLinks links_;
};

}  // namespace

Report run_pass(const Options& options, Instant now, const StopFlag& stop, Progress& progress) {
  // Only a dry run reads without the right to write, and it has nothing to take back.
  for (int tries = 1; options.dry_run == DryRun::yes && tries < max_tries; ++tries) {
    try {
      return Pass(options, now, stop, progress).run(Repeat::allowed);
    } catch (const PassError&) {
      // disturbed
    }
  }
  return Pass(options, now, stop, progress).run(Repeat::refused);
}

}  // namespace calib
