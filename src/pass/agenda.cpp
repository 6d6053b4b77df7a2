#include "pass/agenda.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>

#include "base/few.hpp"
#include "base/text.hpp"
#include "model/pass_error.hpp"
#include "pass/purge.hpp"
#include "store/unplaced.hpp"
#include "uploads/in_use.hpp"
#include "webapp/session_id.hpp"

namespace calib {
namespace {

using Clock = std::chrono::steady_clock;

/// So much later than the last change of its database the app makes no directory for a session:
/// it commits the session first.
constexpr std::chrono::minutes max_upload{10};

/// Clocks of servers go wrong by less.
constexpr std::chrono::minutes clock_error{1};

Instant time_now(const AgendaContext& c) {
  return c.now + std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - c.began);
}

/// Until when a directory that is this database's can have been made, where that is to be asked.
std::optional<Instant> latest_birth(const AgendaContext& c) {
  const bool vouched = c.options.database.named == Named::on_command_line;
  if (vouched || c.options.mode == Mode::named || !c.database_changed) return std::nullopt;
  return *c.database_changed + max_upload;
}

/// Since when a directory can have been made that is this database's, where that is to be asked: of
/// one without a session. The app makes an empty one wherever its DATABASE_URL leads, also beside
/// the uploads of another.
std::optional<Instant> earliest_birth(const AgendaContext& c, const Agenda& agenda) {
  const bool vouched = c.options.database.named == Named::on_command_line;
  if (vouched || agenda.plan.sessions_seen > 0) return std::nullopt;
  return c.database_born;
}

/// An orphan that cannot be looked at stays.
void leave_unknown(const AgendaContext& c, const std::string& entry, const std::error_code& error) {
  c.report.errors.push_back({c.uploads.path() + "/" + entry,
                             fmt::format("nobody knows how old this orphaned directory is: {}; "
                                         "it is left for the next pass",
                                         error.message()),
                             ErrorKind::orphan});
}

/// Whether this is an answer: it is gone, or no directory any more.
bool is_answer_gone(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
}

void warn_of_future(const AgendaContext& c, const Few<OrphanLine>& future) {
  for (const auto& orphan : future.items()) {
    c.report.warnings.push_back(
        fmt::format("{}/{}: no session claims it, but it is dated in the future ({}), so it is "
                    "never old enough for --orphan-grace; give it a date with touch",
                    c.uploads.path(), orphan.name, format_human(*orphan.changed)));
  }
  if (future.more() > 0) {
    c.report.warnings.push_back(
        fmt::format("{}: and {} more, dated in the future, too", c.uploads.path(),
                    count_text(future.more(), "orphaned directory", "orphaned directories")));
  }
}

void leave_older(const AgendaContext& c, const Few<std::string>& older) {
  if (older.count() == 0) return;
  c.report.errors.push_back(
      {c.uploads.path(),
       fmt::format("{} has no session at all, and is younger than {} here ({}), so they may be "
                   "another database's uploads; if it is the right one, name it with --database on "
                   "the command line",
                   c.report.database, count_text(older.count(), "directory", "directories"),
                   text_of(older)),
       ErrorKind::orphan});
}

/// Leaves the orphans that are to go. `foreign`: what cannot be of this database.
void look_at_orphans(const AgendaContext& c, Agenda& agenda, Few<std::string>& foreign) {
  const auto latest = latest_birth(c);
  const auto earliest = earliest_birth(c, agenda);
  Few<std::string> older;
  const auto grace = c.options.orphan_grace;
  std::vector<std::pair<std::uint64_t, OrphanLine>> by_inode;
  Few<OrphanLine> future;
  for (const auto& name : agenda.plan.orphans) {
    throw_if_requested(c.stop);
    DirectoryStatus status;
    const auto error = c.uploads.status_of(name, status);
    if (is_answer_gone(error)) continue;
    if (error) {
      leave_unknown(c, name, error);
      continue;
    }
    if (earliest && status.born < *earliest) {
      older.add([&] { return name; });
      continue;
    }
    OrphanLine orphan{name, status.changed, {}};
    // Also of those under the grace: else the database would be a changed one when it is over.
    if (latest && is_uuid(name) && status.born > *latest) foreign.add([&] { return name; });
    if (grace.count() > 0 && status.changed > c.now - grace) {
      if (status.changed > time_now(c) + clock_error) future.add([&] { return orphan; });
      continue;
    }
    by_inode.emplace_back(status.inode, orphan);
  }
  leave_older(c, older);
  // The younger ones may be the other database's as well.
  if (older.count() > 0) by_inode.clear();
  warn_of_future(c, future);
  std::sort(by_inode.begin(), by_inode.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  agenda.orphans.reserve(by_inode.size());
  for (auto& [inode, orphan] : by_inode) agenda.orphans.push_back(std::move(orphan));
}

/// The same of what an interrupted pass left: a directory that was moved is as old as before.
void look_at_leftovers(const AgendaContext& c, Agenda& agenda, Few<std::string>& foreign) {
  const auto latest = latest_birth(c);
  if (!latest) return;
  std::erase_if(agenda.plan.leftovers, [&](const std::string& entry) {
    throw_if_requested(c.stop);
    const auto staged = parse_staged(entry);
    // With a mark it is ours for sure.
    if (!staged->mark.empty() || !is_uuid(staged->name)) return false;
    DirectoryStatus status;
    const auto error = c.uploads.status_of(entry, status);
    if (error && !is_answer_gone(error)) leave_unknown(c, entry, error);
    if (!error && status.born > *latest) foreign.add([&] { return entry; });
    return static_cast<bool>(error);
  });
}

void delete_nothing(Agenda& agenda) {
  agenda.units.clear();
  agenda.orphans.clear();
  agenda.plan.leftovers.clear();
  agenda.refused = true;
}

/// The tool has the wrong database, as it seems. Whatever it deletes there changes that, and so the
/// next pass would find nothing to say against these directories.
void refuse_foreign(const AgendaContext& c, Agenda& agenda, const Few<std::string>& foreign) {
  if (foreign.count() == 0) return;
  for (const auto& entry : foreign.items()) {
    c.report.errors.push_back(
        {c.uploads.path() + "/" + entry,
         fmt::format("it was made after the last change of {}, so it may be another database's "
                     "upload, and nothing is deleted; see to DATABASE_URL, or name the right "
                     "database with --database",
                     c.report.database),
         ErrorKind::orphan});
  }
  if (foreign.more() > 0) {
    c.report.errors.push_back({c.uploads.path(),
                               fmt::format("and {} more that may be another database's uploads",
                                           count_text(foreign.more(), "directory", "directories")),
                               ErrorKind::orphan});
  }
  delete_nothing(agenda);
}

/// What is still staged could not be given back: who owns it keeps its records, too.
void refuse_staged(const Plan& plan, std::set<OwnerIndex>& refused) {
  std::set<std::string, std::less<>> staged;
  for (const auto& entry : plan.restores) staged.emplace(parse_staged(entry)->name);
  for (std::size_t i = 0; i < plan.sessions.size() && !staged.empty(); ++i) {
    if (staged.contains(plan.sessions[i].directory)) refused.insert(static_cast<OwnerIndex>(i));
  }
}

/// Rows that no foreign key places: they stay, and where they are a doomed session's, that is left
/// behind of it.
void tell_unplaced(const AgendaContext& c, const Agenda& agenda, std::set<OwnerIndex> kept) {
  for (const auto& refusal : agenda.survey.refused) kept.insert(refusal.owner);
  for (const auto& unplaced : agenda.survey.unplaced) {
    const auto note = note_of(unplaced, agenda.keys, kept);
    if (!note) continue;
    if (note->is_failure) {
      c.report.errors.push_back({c.report.database, note->text, ErrorKind::records});
    } else if (c.options.mode != Mode::named) {
      c.report.warnings.push_back(fmt::format("{}: {}", c.report.database, note->text));
    }
  }
}

/// In a dry run: what a pass would find that it cannot move.
void refuse_unmovable(const AgendaContext& c, const Agenda& agenda, std::set<OwnerIndex>& refused) {
  const auto& sessions = agenda.plan.sessions;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    throw_if_requested(c.stop);
    const auto owner = static_cast<OwnerIndex>(i);
    if (refused.contains(owner)) continue;
    const std::string name(sessions[i].directory);
    const auto error = c.uploads.foresee_stage(name);
    if (!error) continue;
    c.report.errors.push_back(
        unmovable_failure(c.uploads, name, error, owner_name(owner, sessions, agenda.survey)));
    refused.insert(owner);
  }
}

/// The same for what it cannot remove.
void drop_unremovable(const AgendaContext& c, Agenda& agenda) {
  const auto is_unremovable = [&](const std::string& entry) {
    throw_if_requested(c.stop);
    const auto error = c.uploads.foresee_purge(entry);
    if (error) {
      c.report.errors.push_back(
          unremovable_failure({c.uploads.path() + "/" + entry, error}, ErrorKind::orphan));
    }
    return static_cast<bool>(error);
  };
  std::erase_if(agenda.orphans,
                [&](const OrphanLine& orphan) { return is_unremovable(orphan.name); });
  std::erase_if(agenda.plan.leftovers, is_unremovable);
}

/// In a dry run: who shares a directory with one that is held stays, too.
void add_those_along(const Agenda& agenda, const std::set<OwnerIndex>& refused, Report& report) {
  const auto& sessions = agenda.plan.sessions;
  std::set<std::uint32_t> units;
  for (const auto owner : refused) {
    if (owner < sessions.size()) units.insert(sessions[owner].unit);
  }
  for (std::size_t i = 0; i < sessions.size() && !units.empty(); ++i) {
    const auto owner = static_cast<OwnerIndex>(i);
    if (refused.contains(owner) || !units.contains(sessions[i].unit)) continue;
    report.errors.push_back(goes_along_failure(owner_name(owner, sessions, agenda.survey)));
  }
}

void survey(const AgendaContext& c, Agenda& agenda) {
  c.progress.begin("looking for records", 0);
  const auto& sessions = agenda.plan.sessions;
  const bool is_dry = c.options.dry_run == DryRun::yes;
  agenda.keys.reserve(sessions.size());
  for (const auto& session : sessions) agenda.keys.push_back({session.id, session.fingerprint});
  agenda.survey = c.store.survey(
      agenda.keys, c.options.mode == Mode::named ? Leaked::left_alone : Leaked::wanted);
  c.report.tables = agenda.survey.tables;
  std::set<OwnerIndex> refused;
  for (const auto& refusal : agenda.survey.refused) {
    const bool held = refusal.reason == Refusal::Reason::held;
    // In a real pass the transaction asks again, and says so itself.
    if (held && !is_dry) continue;
    refused.insert(refusal.owner);
    if (!held) continue;
    c.report.errors.push_back(
        held_failure(refusal, owner_name(refusal.owner, sessions, agenda.survey)));
  }
  if (is_dry) refuse_unmovable(c, agenda, refused);
  add_those_along(agenda, refused, c.report);
  tell_unplaced(c, agenda, refused);
  if (!is_dry) refuse_staged(agenda.plan, refused);
  agenda.units = units_of(sessions, agenda.survey.leaked_keys.size(), refused);
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

void enforce_limit(const AgendaContext& c, Agenda& agenda) {
  const auto sessions = count_sessions(agenda);
  const auto directories = agenda.orphans.size() + agenda.plan.leftovers.size();
  if (!c.options.max_delete || sessions + directories <= *c.options.max_delete) return;
  c.report.errors.push_back(
      {"--max-delete",
       fmt::format("{} and {} would go, more than {}: nothing is deleted; look with "
                   "--dry-run and without this limit, then raise it",
                   count_text(sessions, "session", "sessions"),
                   count_text(directories, "directory", "directories"), *c.options.max_delete),
       ErrorKind::limit});
  delete_nothing(agenda);
}

void make_plan(const AgendaContext& c, const std::vector<std::string>& ids, bool again,
               Agenda& agenda) {
  c.progress.begin("reading sessions", 0);
  // Only then the database: whatever is listed and not claimed really is an orphan, for the app
  // commits a session before it makes the directory.
  agenda.listing = c.uploads.list();
  const Rules rules{c.options.mode,
                    c.now,
                    c.report.cutoff.value_or(c.now),
                    ids,
                    c.options.database.named,
                    c.report.uploads,
                    c.report.database,
                    c.options.uploads_named,
                    c.store.mark(),
                    again};
  std::error_code error;
  auto real = std::filesystem::canonical(c.options.uploads, error);
  if (error) real = c.options.uploads;
  Planner planner(
      rules, FolderSpellings(c.options.uploads, real, std::filesystem::absolute(c.options.app_dir)),
      agenda.listing, c.uploads.names_with_mounts(), entries_in_use(c.options));
  c.store.visit_sessions([&](const SessionRow& row) {
    planner.add(row);
    c.progress.advance();
  });
  Ways ways;
  for (const auto& name : planner.names_to_follow()) {
    throw_if_requested(c.stop);
    ways.emplace(name, c.uploads.way_of(name, c.stop));
  }
  const auto app_dir = std::filesystem::absolute(c.options.app_dir);
  for (const auto& images_dir : planner.paths_to_follow()) {
    throw_if_requested(c.stop);
    planner.claim(c.uploads.entries_through((app_dir / images_dir).string(), c.stop));
  }
  agenda.plan = planner.finish(time_now(c), ways);
}

}  // namespace

void make_plan(const AgendaContext& c, Agenda& agenda) {
  make_plan(c, c.options.sessions, false, agenda);
}

void narrow_plan(const AgendaContext& c, Agenda& agenda) {
  Few<std::string> foreign;
  look_at_orphans(c, agenda, foreign);
  look_at_leftovers(c, agenda, foreign);
  if (c.options.dry_run == DryRun::yes) drop_unremovable(c, agenda);
  survey(c, agenda);
  const auto move_into = [](auto& to, auto& from) {
    std::move(from.begin(), from.end(), std::back_inserter(to));
  };
  move_into(c.report.errors, agenda.plan.failures);
  move_into(c.report.warnings, agenda.plan.warnings);
  refuse_foreign(c, agenda, foreign);
  enforce_limit(c, agenda);
}

void plan_again(const AgendaContext& c, const std::vector<std::string>& ids, Agenda& agenda) {
  make_plan(c, ids, true, agenda);
  for (auto& failure : agenda.plan.failures) {
    if (failure.kind == ErrorKind::session) c.report.errors.push_back(std::move(failure));
  }
  if (!agenda.plan.sessions.empty()) survey(c, agenda);
}

}  // namespace calib
