#include "pass/pass.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/parallel.hpp"
#include "model/pass_error.hpp"
#include "model/session.hpp"
#include "pass/agenda.hpp"
#include "pass/app_data.hpp"
#include "pass/measure.hpp"
#include "pass/new_claims.hpp"
#include "pass/orphans.hpp"
#include "pass/purge.hpp"
#include "pass/recovery.hpp"
#include "pass/slices.hpp"
#include "store/session_store.hpp"
#include "uploads/open.hpp"
#include "uploads/upload_dir.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

// How often a dry run begins, where writers disturb it.
constexpr int max_tries = 5;

// How often sessions that were asked for by name are planned, where others change them.
constexpr int max_plans = 5;

// A signal stops a pass within a second, and nobody waits for a number either.
constexpr std::chrono::milliseconds time_to_measure{250};

enum class Repeat { allowed, refused };

class Pass {
 public:
  Pass(const Options& options, Instant now, const StopFlag& stop, Progress& progress)
      : options_(options),
        times_(options, now),
        stop_(stop),
        progress_(progress),
        jobs_(jobs_that_fit(options.jobs)) {
    report_.dry_run = options.dry_run;
    report_.mode = options.mode;
    report_.hours = options.hours;
    report_.cutoff = times_.cutoff;
    report_.asked_for = options.sessions.size();
    report_.orphan_grace = options.orphan_grace;
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
      end_with(error.kind(), error.path(), error.text(),
               error.path() == report_.uploads ? ErrorKind::uploads : ErrorKind::database);
    } catch (const std::system_error& error) {  // the folder's; a store has its own
      end_with(PassError::Kind::unusable, "", error.what(), ErrorKind::uploads);
    } catch (const std::exception& error) {
      end_with(PassError::Kind::unusable, "", error.what());
    }
    if (restored_) {
      if (auto failure = sync_restored(app_->uploads)) report_.errors.push_back(*failure);
    }
    if (!is_dry() && !finished_ && app_) count_kept();
    if (stop_.requested()) end_with(PassError::Kind::stopped, "", "");
    if (!is_dry()) {
      if (purger_) report_.freed_bytes += purger_->freed_with_last_link();
      report_.kept.sessions = look_at_the_end();
    }
    report_.duration =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - times_.began);
    return std::move(report_);
  }

 private:
  [[nodiscard]] bool is_dry() const { return options_.dry_run == DryRun::yes; }

  void end_with(PassError::Kind kind, const std::string& path, const std::string& text,
                ErrorKind about = ErrorKind::database) {
    if (stop_.requested()) {
      report_.outcome = Outcome::interrupted;
      report_.signal = stop_.signal();
      if (kind == PassError::Kind::stopped) return;
    }
    const bool busy = kind == PassError::Kind::busy || kind == PassError::Kind::disturbed;
    report_.errors.push_back({path, text, busy ? ErrorKind::busy : about});
    if (report_.outcome == Outcome::interrupted || changed_) return;
    report_.outcome = busy ? Outcome::busy : Outcome::failed;
  }

  /// The steps of the contract's chapter "One transactional pass".
  void steps() {
    if (options_.database_error) {
      throw PassError(PassError::Kind::unusable, *options_.database_error);
    }
    app_.emplace(AppData{open_uploads(options_)});
    if (!is_dry()) lock();
    open_database();
    AgendaMaker maker(options_, times_, *app_, monitor_);
    auto agenda = maker.read();
    if (!is_dry() && !agenda.plan.restores.empty()) {
      restore(agenda.plan.restores);
      agenda = maker.read();
    }
    agenda = maker.narrow(std::move(agenda));
    take_in(agenda);
    report_.tables = agenda.survey.tables;
    report_.proof = agenda.proof;
    report_.items = std::move(agenda.items);
    report_.place = agenda.place;
    report_.kept_by_name = agenda.plan.kept_by_name;
    sessions_seen_ = agenda.plan.sessions_seen;
    if (!is_dry()) report_.spared = {agenda.spared.size(), std::nullopt};
    throw_if_requested(stop_);
    if (is_dry()) {
      show(std::move(agenda));
    } else {
      carry_out(std::move(agenda), maker);
    }
  }

  void lock() {
    progress_.begin("waiting for another pass", 0);
    lock_folder(app_->uploads, options_.lock_wait, stop_, progress_);
  }

  void open_database() {
    times_.look_at(options_.database);
    app_->store = open_store(options_.database, is_dry() ? Access::read_only : Access::read_write,
                             options_.lock_wait, stop_, &progress_);
    report_.warnings = app_->store->remarks();
    app_->uploads.set_mark(app_->store->mark());
  }

  void restore(const std::vector<std::string>& entries) {
    changed_ = true;
    restored_ = true;
    const auto restored = restore_entries(app_->uploads, entries, stop_);
    report_.recovery.restored = restored.count;
    report_.errors.add(restored.failures);
    throw_if_requested(stop_);
  }

  /// As far as it can be known by looking: a dry run asks for no right that it does not need
  /// itself.
  void warn_of_missing_rights() {
    const auto warn = [&](const std::string& path, const std::error_code& error) {
      report_.warnings.push_back(
          fmt::format("{}: this user may look, but a pass could not delete here: {}; run that as "
                      "the app's user",
                      path, error.message()));
    };
    if (const auto error = app_->uploads.check_writable()) {
      return warn(app_->uploads.path(), error);
    }
    const auto& database = options_.database;
    if (database.kind != DatabaseKind::sqlite) return;
    for (const auto& path : {database.path, database.path.parent_path()}) {
      if (::access(path.c_str(), W_OK) == 0) continue;
      warn(path.string(), {errno, std::generic_category()});
      return;
    }
  }

  /// A dry run ends here.
  void show(Agenda agenda) {
    warn_of_missing_rights();
    report_.recovery = {agenda.plan.restores.size(), agenda.unclaimed.leftovers.size()};
    if (agenda.over_limit) {
      report_.over_limit = options_.max_delete;
      report_.recovery.purged = 0;
    }
    progress_.begin("measuring directories", agenda.listing.size());
    report_.texts.push_back(agenda.plan.texts);
    auto would = preview(std::move(agenda), app_->uploads, jobs_, monitor_);
    report_.sessions = std::move(would.sessions);
    report_.orphans = std::move(would.orphans);
    report_.orphaned_records = std::move(would.orphaned_records);
    report_.halved_pairs = would.halved_pairs;
    report_.kept = would.kept;
    report_.freed_bytes = would.freed_bytes;
    report_.total_bytes = would.total_bytes;
    report_.kept_sessions = std::move(would.kept_sessions);
    report_.leftovers = would.leftovers;
    report_.unclaimed_kept = would.unclaimed_kept;
    report_.unclaimed_kept_count = would.unclaimed_kept_count;
    report_.staged = would.staged;
    report_.spared = Directories{would.spared.size(), 0};
    for (const auto& orphan : would.spared) {
      *report_.spared->allocated_bytes += orphan.usage.allocated_bytes;
    }
    report_.spared_orphans = std::move(would.spared);
    report_.database_bytes = app_->store->size_bytes();
    report_.database_free_bytes = app_->store->free_bytes();
    report_.disk = app_->uploads.space();
    report_.warnings.add(would.warnings);
    if (options_.vacuum == Vacuum::yes) report_.vacuumed_bytes = report_.database_free_bytes;
  }

  void carry_out(Agenda agenda, AgendaMaker& maker) {
    purger_.emplace(app_->uploads, jobs_, monitor_);
    NewClaims claims(agenda.plan.sessions, app_->uploads, stop_);
    Orphans orphans(options_, *app_, claims, *purger_, monitor_);
    if (!agenda.units.empty() || !agenda.unclaimed.empty()) {
      // It is read again once they are gone, and is too much to keep for so long.
      agenda.listing = std::vector<Entry>();
      orphans.begin(std::move(agenda.unclaimed));
    }
    while (orphans.any_left() && !stop_.requested()) take_in(orphans.next());
    throw_if_requested(stop_);
    const auto left = delete_sessions(agenda, claims);
    if (options_.mode == Mode::named) {
      see_named_gone(left, maker);
    } else {
      see_gone(left);
    }
    if (options_.vacuum == Vacuum::yes && !agenda.refused) vacuum();
    std::vector<std::string> spared;
    for (const auto& orphan : agenda.spared) spared.push_back(orphan.name);
    report_.spared = measure_within(time_to_measure, app_->uploads, spared);
    finish(std::move(agenda.listing));
  }

  // What the steps have done, and what there is to tell of it.

  void take_in(Agenda& agenda) {
    report_.warnings.add(agenda.notes.warnings);
    report_.errors.add(agenda.notes.errors);
  }

  void take_in(RemovedUnclaimed removed) {
    changed_ = changed_ || removed.tried;
    report_.recovery.purged += removed.leftovers;
    std::move(removed.orphans.begin(), removed.orphans.end(), std::back_inserter(report_.orphans));
    report_.freed_bytes += removed.freed_bytes;
    report_.errors.add(removed.failures);
    if (removed.ended) std::rethrow_exception(removed.ended);
  }

  void take_in(DeletedSlice deleted) {
    changed_ = changed_ || deleted.changed;
    restored_ = restored_ || deleted.restored;
    std::move(deleted.sessions.begin(), deleted.sessions.end(),
              std::back_inserter(report_.sessions));
    for (const auto& [table, rows] : deleted.orphaned_records) {
      report_.orphaned_records[table] += rows;
    }
    report_.halved_pairs += deleted.halved_pairs;
    report_.freed_bytes += deleted.freed_bytes;
    report_.warnings.add(deleted.notes.warnings);
    report_.errors.add(deleted.notes.errors);
    if (deleted.unsynced) tell_unsynced(deleted.unsynced);
    if (deleted.ended) std::rethrow_exception(deleted.ended);
  }

  /// The disk says it once, so whoever syncs at the end will not hear of it.
  void tell_unsynced(const std::error_code& error) {
    if (restored_) report_.errors.push_back(unsynced_failure(app_->uploads, error));
    if (std::exchange(told_unsynced_, true)) return;
    report_.warnings.push_back(fmt::format("{}: it could not be synced: {}; see to the disk",
                                           app_->uploads.path(), error.message()));
  }

  using Left = std::map<std::string, Refusal::Reason, std::less<>>;

  /// Whom the slices have passed over, by their ids.
  Left delete_sessions(const Agenda& agenda, NewClaims& claims) {
    report_.texts.push_back(agenda.plan.texts);
    Left left;
    Slices slices(agenda, *app_, claims, *purger_, monitor_);
    while (slices.any_left()) {
      auto deleted = slices.next(options_.lock_wait);
      for (const auto& [owner, reason] : deleted.passed_over) {
        left.emplace(agenda.plan.sessions[owner].id, reason);
      }
      take_in(std::move(deleted));
    }
    return left;
  }

  /// Whoever was asked for by name is gone at the end, or is told of: who changed meanwhile is
  /// planned again, and all of them are read once more, for a damaged index may hide some.
  void see_named_gone(Left left, AgendaMaker& maker) {
    std::size_t told = 0;
    for (int plans = 1; told < report_.sessions.size() || !left.empty(); ++plans) {
      std::vector<std::string> ids;
      for (; told < report_.sessions.size(); ++told) ids.emplace_back(report_.sessions[told].id);
      for (const auto& [id, reason] : left) ids.push_back(id);
      auto agenda = maker.make_again(ids);
      take_in(agenda);
      if (!agenda.plan.sessions.empty()) report_.tables = agenda.survey.tables;
      if (plans == max_plans) {
        for (const auto& session : agenda.plan.sessions) tell_left(session.id, left);
        return;
      }
      NewClaims claims(agenda.plan.sessions, app_->uploads, stop_);
      left = delete_sessions(agenda, claims);
    }
  }

  /// The same of those whose age was to be seen to, where the database says that they are gone.
  void see_gone(Left left) {
    std::erase_if(left, [](const auto& entry) { return entry.second != Refusal::Reason::gone; });
    if (left.empty()) return;
    app_->store->visit_sessions([&](const SessionRow& row) {
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
    if (app_->store->free_bytes() == 0) return;
    try {
      report_.vacuumed_bytes = app_->store->vacuum();
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

  void count(const std::vector<Entry>& listing) {
    report_.kept.directories = count_directories(listing);
    const auto staged = staged_in(listing);
    // What another pass has aside just now is not for this one to measure.
    const bool has_run = report_.outcome != Outcome::failed && report_.outcome != Outcome::busy;
    report_.staged = has_run ? measure_within(time_to_measure, app_->uploads, staged)
                             : Directories{staged.size(), std::nullopt};
  }

  /// What stays, for those who ask for it: counting is cheap, measuring walks all of it.
  void finish(std::vector<Entry> listing) {
    finished_ = true;
    if (changed_ || listing.empty()) listing = app_->uploads.list();
    count(listing);
    if (options_.format != Format::json && !options_.metrics) return;
    progress_.begin("measuring what stays", listing.size());
    const auto measured = measure_folder(app_->uploads, listing, jobs_, monitor_);
    report_.warnings.add(measured.warnings);
    report_.kept.allocated_bytes = measured.allocated_bytes;
    report_.total_bytes = measured.allocated_bytes;
  }

  /// The sessions that are there at the end, with what came while the pass ran, and the pages that
  /// are free by now. Where the database cannot be asked any more: what is left of those that were
  /// read.
  std::optional<std::uint64_t> look_at_the_end() {
    if (!sessions_seen_) return std::nullopt;
    const auto left =
        *sessions_seen_ - std::min<std::uint64_t>(*sessions_seen_, report_.sessions.size());
    if (!app_ || !app_->store || !finished_ || stop_.requested()) return left;
    try {
      report_.database_free_bytes = app_->store->free_bytes();
      return app_->store->count_sessions();
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
      count(app_->uploads.list());
    } catch (const std::system_error& error) {
      // Where the pass could not run, what it failed by is said already.
      if (report_.outcome == Outcome::failed) return;
      report_.errors.push_back({"", error.what(), ErrorKind::directory});
    }
  }

  const Options& options_;
  PassTimes times_;
  const StopFlag& stop_;
  Progress& progress_;
  Monitor monitor_{stop_, progress_};
  unsigned jobs_;  ///< 0: as many as the rate says
  Report report_;
  bool changed_ = false;
  bool restored_ = false;  ///< directories that were aside
  bool finished_ = false;  ///< what stays is in the report
  bool told_unsynced_ = false;
  std::optional<std::uint64_t> sessions_seen_;
  std::optional<AppData> app_;
  std::optional<Purger> purger_;
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
