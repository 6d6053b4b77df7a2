#include "cleanup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "measure.hpp"
#include "plan.hpp"
#include "removal.hpp"
#include "session_store.hpp"
#include "slices.hpp"
#include "text.hpp"
#include "upload_dir.hpp"
#include "workers.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

// How often a dry run begins, where writers disturb it.
constexpr int most_tries = 5;

enum class Repeat { allowed, refused };

class Pass {
 public:
  Pass(const Options& options, Instant now, const StopFlag& stop, Progress& progress)
      : options_(options),
        now_(now),
        stop_(stop),
        progress_(progress),
        began_(Clock::now()),
        jobs_(jobs_that_fit(options.jobs)),
        removers_(jobs_, stop) {
    report_.dry_run = options.dry_run;
    report_.mode = options.mode;
    report_.hours = options.hours;
    if (options.mode == Mode::expired) report_.cutoff = hours_before(now, options.hours);
    report_.started = now;
    report_.database = options.database.display;
    report_.uploads = options.uploads.string();
  }

  /// Throws StoreError (disturbed) where the same again will do.
  Report run(Repeat repeat) {
    try {
      steps();
    } catch (const StoreError& error) {
      if (error.kind() == StoreError::Kind::disturbed && repeat == Repeat::allowed) throw;
      end_with(error.kind(), error.path(), error.text());
    } catch (const std::system_error& error) {
      end_with(StoreError::Kind::unusable, "", error.what());
    } catch (const std::exception& error) {
      end_with(StoreError::Kind::unusable, "", error.what());
    }
    if (stop_.requested()) end_with(StoreError::Kind::stopped, "", "");
    if (!is_dry()) {
      report_.freed_bytes += links_.freed_bytes();
      report_.kept.sessions = plan_.sessions_seen -
                              std::min<std::uint64_t>(plan_.sessions_seen, report_.sessions.size());
    }
    report_.duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began_);
    return std::move(report_);
  }

 private:
  [[nodiscard]] bool is_dry() const { return options_.dry_run == DryRun::yes; }

  void end_with(StoreError::Kind kind, const std::string& path, const std::string& text) {
    if (stop_.requested()) {
      report_.outcome = Outcome::interrupted;
      report_.signal = stop_.signal();
      if (kind == StoreError::Kind::stopped) return;
    }
    const bool busy = kind == StoreError::Kind::busy || kind == StoreError::Kind::disturbed;
    report_.errors.push_back({path, text, busy ? ErrorKind::limit : ErrorKind::database});
    if (report_.outcome == Outcome::interrupted || changed_) return;
    report_.outcome = busy ? Outcome::busy : Outcome::failed;
  }

  void check_stop() const {
    if (stop_.requested()) throw StoreError(StoreError::Kind::stopped, "stopped");
  }

  void steps() {
    if (options_.database_error) {
      throw StoreError(StoreError::Kind::unusable, *options_.database_error);
    }
    uploads_ = std::make_unique<UploadDir>(open_uploads(options_.uploads));
    if (!is_dry()) lock();
    store_ = open_store(options_.database, is_dry() ? Access::read_only : Access::read_write,
                        options_.lock_wait, stop_);
    report_.warnings = store_->remarks();
    look();
    if (!is_dry() && !plan_.restores.empty()) {
      restore();
      look();
    }
    apply_grace();
    survey();
    enforce_limit();
    check_stop();
    if (is_dry()) {
      preview();
    } else {
      carry_out();
    }
  }

  void lock() {
    progress_.begin("waiting for another pass", 0);
    lock_folder(*uploads_, options_.lock_wait, stop_);
  }

  /// Lists the folder, and only then reads the database: whatever is listed and not claimed really
  /// is an orphan, for the app commits a session before it makes the directory.
  void look() {
    progress_.begin("reading sessions", 0);
    listing_ = uploads_->list();
    const Rules rules{options_.mode,
                      now_,
                      report_.cutoff.value_or(now_),
                      options_.sessions,
                      options_.database.named,
                      report_.uploads,
                      report_.database};
    std::error_code error;
    auto real = std::filesystem::canonical(options_.uploads, error);
    if (error) real = options_.uploads;
    Planner planner(
        rules, FolderSpellings(options_.uploads, real, std::filesystem::absolute(options_.app_dir)),
        listing_, uploads_->names_with_mounts(), entries_in_use());
    store_->visit_sessions([&](const SessionRow& row) {
      planner.add(row);
      progress_.advance();
    });
    plan_ = planner.finish(
        now_ + std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began_));
  }

  /// Entries of the folder that hold the database, the app or this process: whatever is said of
  /// them, they stay.
  [[nodiscard]] std::vector<std::string> entries_in_use() const {
    std::vector<std::filesystem::path> used{options_.app_dir, options_.app_dir / "backend", "."};
    if (options_.database.kind == DatabaseKind::sqlite) used.push_back(options_.database.path);
    if (options_.metrics) used.push_back(*options_.metrics);
    return entries_on_the_way(options_.uploads, used);
  }

  void restore() {
    changed_ = true;
    restore_entries(*uploads_, plan_.restores, stop_, report_);
  }

  void apply_grace() {
    for (const auto& name : plan_.orphans) {
      check_stop();
      Instant changed;
      const auto error = uploads_->changed_at(name, changed);
      if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
        continue;  // it is gone, or no directory any more
      }
      if (error) {
        report_.errors.push_back(
            {uploads_->path() + "/" + name,
             fmt::format("nobody knows how old this orphaned directory is: {}; "
                         "it is left for the next pass",
                         error.message()),
             ErrorKind::orphan});
        continue;
      }
      if (options_.orphan_grace.count() > 0 && changed > now_ - options_.orphan_grace) continue;
      orphans_.push_back({name, changed, {}});
    }
  }

  void survey() {
    progress_.begin("looking for records", 0);
    keys_.reserve(plan_.sessions.size());
    for (const auto& session : plan_.sessions) keys_.push_back({session.id, session.fingerprint});
    survey_ =
        store_->survey(keys_, options_.mode == Mode::named ? Leaked::left_alone : Leaked::wanted);
    report_.tables = survey_.tables;
    std::set<OwnerIndex> refused;
    for (const auto& refusal : survey_.refused) {
      const bool held = refusal.reason == Refusal::Reason::held;
      if (held) held_.insert(refusal.owner);
      // In a real pass the transaction asks again, and says so itself.
      if (held && !is_dry()) continue;
      refused.insert(refusal.owner);
      if (!held) continue;
      report_.errors.push_back(
          held_failure(refusal, owner_name(refusal.owner, plan_.sessions, survey_)));
    }
    if (!is_dry()) refuse_staged(refused);
    units_ = units_of(plan_.sessions, survey_.leaked_keys.size(), refused);
  }

  /// What is still staged could not be given back: who owns it keeps its records, too.
  void refuse_staged(std::set<OwnerIndex>& refused) const {
    const std::set<std::string, std::less<>> staged(plan_.restores.begin(), plan_.restores.end());
    for (std::size_t i = 0; i < plan_.sessions.size() && !staged.empty(); ++i) {
      if (staged.contains(plan_.sessions[i].directory)) refused.insert(static_cast<OwnerIndex>(i));
    }
  }

  void enforce_limit() {
    auto& errors = report_.errors;
    std::move(plan_.failures.begin(), plan_.failures.end(), std::back_inserter(errors));
    std::move(plan_.warnings.begin(), plan_.warnings.end(), std::back_inserter(report_.warnings));
    const auto is_held = [&](OwnerIndex owner) { return held_.contains(owner); };
    std::uint64_t sessions = 0;
    for (const auto& unit : units_) {
      if (std::any_of(unit.owners.begin(), unit.owners.end(), is_held)) continue;
      if (unit.owners.front() < plan_.sessions.size()) sessions += unit.owners.size();
    }
    const auto directories = orphans_.size() + plan_.leftovers.size();
    if (!options_.max_delete || sessions + directories <= *options_.max_delete) return;
    errors.push_back(
        {"--max-delete",
         fmt::format("{} and {} would go, more than {}: nothing is deleted; look with "
                     "--dry-run and without this limit, then raise it",
                     count_text(sessions, "session", "sessions"),
                     count_text(directories, "directory", "directories"), *options_.max_delete),
         ErrorKind::limit});
    units_.clear();
    orphans_.clear();
    plan_.leftovers.clear();
    refused_ = true;
  }

  void preview() {
    progress_.begin("measuring directories", listing_.size());
    Preview(plan_, units_, survey_, listing_, orphans_)
        .measure(*uploads_, jobs_, stop_, progress_, report_);
    report_.recovery = {plan_.restores.size(), plan_.leftovers.size()};
    if (options_.vacuum == Vacuum::yes) report_.vacuumed_bytes = store_->free_bytes();
  }

  void carry_out() {
    if (!units_.empty() || !orphans_.empty() || !plan_.leftovers.empty()) ask_again();
    remove_leftovers();
    remove_orphans();
    check_stop();
    report_.texts = plan_.texts;
    Slices({*store_, *uploads_, plan_.sessions, survey_, links_, stop_, progress_, removers_,
            options_.lock_wait, report_, changed_})
        .run(std::move(units_));
    if (options_.vacuum == Vacuum::yes && !refused_) vacuum();
    finish();
  }

  /// Before anything is gone: whether the database can be written, and whether anybody claims by
  /// now what no session claimed.
  void ask_again() {
    auto transaction = store_->begin(options_.lock_wait);
    Claims claims;
    transaction->visit_new_sessions([&](const SessionRow& row) { claims.add(row); });
    std::erase_if(orphans_, [&](const OrphanLine& orphan) { return claims.contain(orphan.name); });
    std::erase_if(plan_.leftovers, [&](const std::string& name) { return claims.contain(name); });
    // No room on the disk is no reason to stop here: removing the orphans makes some.
    try {
      transaction->require_writable();
    } catch (const StoreError& error) {
      if (error.kind() != StoreError::Kind::full) throw;
    }
  }

  void remove_leftovers() {
    progress_.begin("removing what an interrupted pass left", plan_.leftovers.size());
    std::vector<std::string> entries;
    entries.reserve(plan_.leftovers.size());
    for (const auto& name : plan_.leftovers) entries.push_back(std::string(staged_prefix) + name);
    remove(entries, [&](std::size_t, const Usage&) { ++report_.recovery.purged; });
  }

  void remove_orphans() {
    progress_.begin("removing orphaned directories", orphans_.size());
    std::vector<std::string> entries;
    entries.reserve(orphans_.size());
    for (const auto& orphan : orphans_) entries.push_back(orphan.name);
    remove(entries, [&](std::size_t i, const Usage& usage) {
      orphans_[i].usage = usage;
      report_.orphans.push_back(orphans_[i]);
    });
  }

  void remove(const std::vector<std::string>& entries,
              const std::function<void(std::size_t, const Usage&)>& gone) {
    if (!entries.empty()) changed_ = true;
    remove_entries(entries, {*uploads_, links_, stop_, progress_, removers_, ErrorKind::orphan},
                   report_, gone);
  }

  void vacuum() {
    progress_.begin("vacuuming the database", 0);
    const auto bytes = store_->free_bytes();
    if (bytes == 0) return;
    try {
      store_->vacuum();
      changed_ = true;
      report_.vacuumed_bytes = bytes;
    } catch (const StoreError& error) {
      const bool for_another_day =
          error.kind() == StoreError::Kind::full || error.kind() == StoreError::Kind::busy;
      if (!for_another_day) throw;
      report_.warnings.emplace_back(error.what());
    }
  }

  /// What stays, for those who ask for it: counting is cheap, measuring walks all of it.
  void finish() {
    listing_ = uploads_->list();
    report_.kept.directories = count_directories(listing_);
    if (options_.format != Format::json && !options_.metrics) return;
    progress_.begin("measuring what stays", listing_.size());
    report_.kept.allocated_bytes =
        measure_folder(*uploads_, listing_, jobs_, stop_, progress_, report_);
    report_.total_bytes = report_.kept.allocated_bytes;
  }

  const Options& options_;
  Instant now_;
  const StopFlag& stop_;
  Progress& progress_;
  Clock::time_point began_;
  unsigned jobs_;  ///< 0: as many as the rate says
  Workers removers_;
  Report report_;
  bool changed_ = false;
  bool refused_ = false;  ///< by --max-delete
  std::unique_ptr<UploadDir> uploads_;
  std::unique_ptr<SessionStore> store_;
  std::vector<Entry> listing_;
  Plan plan_;
  std::vector<OrphanLine> orphans_;  ///< the preview moves them into the report
  std::vector<DoomedKey> keys_;
  Survey survey_;
  std::set<OwnerIndex> held_;  ///< by rows that stay, as the survey saw it
  std::vector<Unit> units_;
  HardLinks links_;
};

}  // namespace

Report clean_up(const Options& options, Instant now, const StopFlag& stop, Progress& progress) {
  // Only a dry run reads without the right to write, and it has nothing to take back.
  for (int tries = 1; options.dry_run == DryRun::yes && tries < most_tries; ++tries) {
    try {
      return Pass(options, now, stop, progress).run(Repeat::allowed);
    } catch (const StoreError&) {
      // disturbed
    }
  }
  return Pass(options, now, stop, progress).run(Repeat::refused);
}

}  // namespace calib
