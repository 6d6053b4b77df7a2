#include "pass/agenda.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "model/pass_error.hpp"
#include "pass/purge.hpp"
#include "store/unplaced.hpp"
#include "uploads/in_use.hpp"

namespace calib {
namespace {

/// Which database and which folder it is.
std::string place_of(const AppData& app) { return app.store->mark() + app.uploads.identity(); }

/// Stands for both; empty where nothing tells the database from others for good.
std::string proof_of(const AppData& app) {
  return app.store->mark().empty() ? std::string() : mark_of(place_of(app));
}

/// What is still staged could not be given back: who owns it keeps its records, too.
void refuse_staged(const Plan& plan, std::set<OwnerIndex>& refused) {
  std::set<std::string, std::less<>> staged;
  for (const auto& entry : plan.restores) staged.emplace(parse_staged(entry)->name);
  for (std::size_t i = 0; i < plan.sessions.size() && !staged.empty(); ++i) {
    if (staged.contains(plan.sessions[i].directory)) refused.insert(static_cast<OwnerIndex>(i));
  }
}

/// Who shares a directory with one that is held stays, too.
void tell_those_along(const Agenda& agenda, const std::set<OwnerIndex>& refused,
                      Failures& failures) {
  const auto& sessions = agenda.plan.sessions;
  std::set<std::uint32_t> units;
  for (const auto owner : refused) {
    if (owner < sessions.size()) units.insert(sessions[owner].unit);
  }
  for (std::size_t i = 0; i < sessions.size() && !units.empty(); ++i) {
    const auto owner = static_cast<OwnerIndex>(i);
    if (refused.contains(owner) || !units.contains(sessions[i].unit)) continue;
    failures.push_back(goes_along_failure(owner_name(owner, sessions, agenda.survey)));
  }
}

/// Sessions that would go, as far as the survey can tell.
std::uint64_t count_sessions(const Agenda& agenda) {
  std::set<OwnerIndex> held;
  for (const auto& refusal : agenda.survey.refused) {
    if (refusal.reason == Refusal::Reason::held) held.insert(refusal.owner);
  }
  const auto is_held = [&](OwnerIndex owner) { return held.contains(owner); };
  std::uint64_t sessions = 0;
  for (const auto& unit : agenda.units) {
    if (std::any_of(unit.owners.begin(), unit.owners.end(), is_held)) continue;
    if (unit.owners.front() < agenda.plan.sessions.size()) sessions += unit.owners.size();
  }
  return sessions;
}

/// What would go, as far as the survey can tell: where somebody is asked, whoever a row holds back
/// is no longer among the units.
std::vector<std::uint64_t> items_of(const Agenda& agenda) {
  std::vector<std::uint64_t> items;
  const auto add = [&](std::string_view kind, std::string_view name, std::uint64_t more) {
    items.push_back(exact_hash(fmt::format("{} {} {}", kind, more, name)));
  };
  for (const auto& unit : agenda.units) {
    for (const auto owner : unit.owners) {
      if (owner < agenda.plan.sessions.size()) {
        const auto& session = agenda.plan.sessions[owner];
        add("session", session.id, session.fingerprint);
      } else {
        add("key", agenda.survey.leaked_keys[owner - agenda.plan.sessions.size()], 0);
      }
    }
  }
  for (const auto& orphan : agenda.unclaimed.orphans) add("orphan", orphan.name, 0);
  for (const auto& leftover : agenda.unclaimed.leftovers) add("leftover", leftover, 0);
  std::sort(items.begin(), items.end());
  return items;
}

void delete_nothing(Agenda& agenda) {
  agenda.units.clear();
  agenda.unclaimed = {};
  agenda.refused = true;
}

}  // namespace

Agenda AgendaMaker::read() { return read(options_.sessions, Again::no); }

Agenda AgendaMaker::read(const std::vector<std::string>& ids, Again again) {
  Agenda agenda;
  agenda.is_named = options_.mode == Mode::named;
  monitor_.progress.begin("reading sessions", 0);
  // Only then the database: whatever is listed and not claimed really is an orphan, for the app
  // commits a session before it makes the directory.
  agenda.listing = app_.uploads.list();
  const Rules rules{options_.mode,
                    times_.now,
                    times_.cutoff.value_or(times_.now),
                    ids,
                    options_.database.named,
                    app_.uploads.path(),
                    options_.database.display,
                    options_.uploads_named,
                    app_.store->mark(),
                    again == Again::yes,
                    options_.keep,
                    !options_.proof.empty() && options_.proof == proof_of(app_),
                    options_.dry_run == DryRun::yes};
  std::error_code error;
  auto real = std::filesystem::canonical(options_.uploads, error);
  if (error) real = options_.uploads;
  const auto app_dir = std::filesystem::absolute(options_.app_dir);
  Planner planner(rules, FolderSpellings(options_.uploads, real, app_dir), agenda.listing,
                  app_.uploads.names_with_mounts(), entries_in_use(options_));
  app_.store->visit_sessions([&](const SessionRow& row) {
    planner.add(row);
    monitor_.progress.advance();
  });
  Ways ways;
  for (const auto& name : planner.names_to_follow()) {
    throw_if_requested(monitor_.stop);
    ways.emplace(name, app_.uploads.way_of(name, monitor_.stop));
  }
  for (const auto& images_dir : planner.paths_to_follow()) {
    throw_if_requested(monitor_.stop);
    planner.claim(app_.uploads.entries_through((app_dir / images_dir).string(), monitor_.stop));
  }
  agenda.plan = planner.finish(times_.current(), ways);
  // What was only told is not passed on: it holds for one pass.
  if (agenda.plan.proven && !rules.proven) agenda.proof = proof_of(app_);
  return agenda;
}

Agenda AgendaMaker::narrow(Agenda agenda) {
  auto choice = choose_orphans(agenda.plan, options_, times_, app_.uploads, monitor_.stop);
  agenda.unclaimed = std::move(choice.unclaimed);
  agenda.spared = std::move(choice.spared);
  agenda.notes.add(choice.notes);
  if (foresees()) drop_unremovable(agenda);
  survey(agenda);
  for (auto& failure : agenda.plan.failures) agenda.notes.errors.push_back(std::move(failure));
  for (auto& warning : agenda.plan.warnings) agenda.notes.warnings.push_back(std::move(warning));
  refuse_foreign(agenda, choice.foreign);
  enforce_limit(agenda);
  if (options_.may_ask) {
    agenda.items = items_of(agenda);
    agenda.place = place_of(app_);
  }
  enforce_confirmation(agenda);
  return agenda;
}

Agenda AgendaMaker::make_again(const std::vector<std::string>& ids) {
  auto agenda = read(ids, Again::yes);
  for (auto& failure : agenda.plan.failures) {
    if (failure.kind == ErrorKind::session) agenda.notes.errors.push_back(std::move(failure));
  }
  if (!agenda.plan.sessions.empty()) survey(agenda);
  return agenda;
}

void AgendaMaker::survey(Agenda& agenda) {
  monitor_.progress.begin("looking for records", 0);
  const auto& sessions = agenda.plan.sessions;
  const bool is_dry = options_.dry_run == DryRun::yes;
  agenda.keys.reserve(sessions.size());
  for (const auto& session : sessions) agenda.keys.push_back({session.id, session.fingerprint});
  agenda.survey = app_.store->survey(
      agenda.keys, options_.mode == Mode::named ? Leaked::left_alone : Leaked::wanted);
  std::set<OwnerIndex> refused;
  for (const auto& refusal : agenda.survey.refused) {
    const bool held = refusal.reason == Refusal::Reason::held;
    // In a real pass the transaction asks again, and says so itself.
    if (held && !foresees()) continue;
    refused.insert(refusal.owner);
    if (!held) continue;
    agenda.notes.errors.push_back(
        held_failure(refusal, owner_name(refusal.owner, sessions, agenda.survey)));
  }
  if (foresees()) refuse_unmovable(agenda, refused);
  tell_those_along(agenda, refused, agenda.notes.errors);
  tell_unplaced(agenda, refused);
  if (!is_dry) refuse_staged(agenda.plan, refused);
  agenda.units = units_of(sessions, agenda.survey.leaked_keys.size(), refused);
}

/// What a pass would find that it cannot move.
void AgendaMaker::refuse_unmovable(Agenda& agenda, std::set<OwnerIndex>& refused) const {
  const auto& sessions = agenda.plan.sessions;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    throw_if_requested(monitor_.stop);
    const auto owner = static_cast<OwnerIndex>(i);
    if (refused.contains(owner)) continue;
    const std::string name(sessions[i].directory);
    const auto error = app_.uploads.foresee_stage(name);
    if (!error) continue;
    agenda.notes.errors.push_back(
        unmovable_failure(app_.uploads, name, error, owner_name(owner, sessions, agenda.survey)));
    refused.insert(owner);
  }
}

/// The same for what it cannot remove.
void AgendaMaker::drop_unremovable(Agenda& agenda) const {
  const auto is_unremovable = [&](const std::string& entry) {
    throw_if_requested(monitor_.stop);
    const auto error = app_.uploads.foresee_purge(entry);
    if (error) {
      agenda.notes.errors.push_back(
          unremovable_failure({app_.uploads.path() + "/" + entry, error}, ErrorKind::orphan));
    }
    return static_cast<bool>(error);
  };
  std::erase_if(agenda.unclaimed.orphans,
                [&](const OrphanLine& orphan) { return is_unremovable(orphan.name); });
  std::erase_if(agenda.unclaimed.leftovers, is_unremovable);
}

/// Rows that no foreign key places: they stay, and where they are a doomed session's, that is left
/// behind of it.
void AgendaMaker::tell_unplaced(Agenda& agenda, std::set<OwnerIndex> kept) const {
  for (const auto& refusal : agenda.survey.refused) kept.insert(refusal.owner);
  for (const auto& unplaced : agenda.survey.unplaced) {
    const auto note = note_of(unplaced, agenda.keys, kept);
    if (!note) continue;
    if (note->is_failure) {
      agenda.notes.errors.push_back({options_.database.display, note->text, ErrorKind::records});
    } else if (options_.mode != Mode::named) {
      agenda.notes.warnings.push_back(fmt::format("{}: {}", options_.database.display, note->text));
    }
  }
}

/// The tool has the wrong database, as it seems. Whatever it deletes there changes that, and so the
/// next pass would find nothing to say against these directories.
void AgendaMaker::refuse_foreign(Agenda& agenda, const Few<std::string>& foreign) const {
  if (foreign.count() == 0) return;
  for (const auto& entry : foreign.items()) {
    agenda.notes.errors.push_back(
        {app_.uploads.path() + "/" + entry,
         fmt::format("it was made after the last change of {}, so it may be another database's "
                     "upload, and nothing is deleted; see to DATABASE_URL, or name the right "
                     "database with --database",
                     options_.database.display),
         ErrorKind::orphan});
  }
  if (foreign.more() > 0) {
    agenda.notes.errors.push_back(
        {app_.uploads.path(),
         fmt::format("and {} more that may be another database's uploads",
                     count_text(foreign.more(), "directory", "directories")),
         ErrorKind::orphan});
  }
  delete_nothing(agenda);
}

void AgendaMaker::enforce_confirmation(Agenda& agenda) const {
  const auto& confirmed = options_.confirmed;
  if (!confirmed || agenda.refused) return;
  const bool is_same =
      agenda.place == confirmed->place && std::ranges::includes(confirmed->items, agenda.items);
  if (is_same) return;
  agenda.notes.errors.push_back({app_.uploads.path(),
                                 "something else would go by now than what was shown, so nothing "
                                 "is deleted; run it again",
                                 ErrorKind::limit});
  delete_nothing(agenda);
}

void AgendaMaker::enforce_limit(Agenda& agenda) const {
  const auto sessions = count_sessions(agenda);
  const auto directories = agenda.unclaimed.size();
  if (!options_.max_delete || sessions + directories <= *options_.max_delete) return;
  const bool is_dry = options_.dry_run == DryRun::yes;
  agenda.notes.errors.push_back(
      {"--max-delete",
       fmt::format("{} and {} would go, more than {}: {}",
                   count_text(sessions, "session", "sessions"),
                   count_text(directories, "directory", "directories"), *options_.max_delete,
                   is_dry ? "a pass would delete none of these; where they are to go, raise it"
                          : "nothing is deleted; look with --dry-run, then raise it"),
       ErrorKind::limit});
  if (is_dry) {
    agenda.over_limit = true;
  } else {
    delete_nothing(agenda);
  }
}

}  // namespace calib
