#include "pass/orphan_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "model/pass_error.hpp"
#include "webapp/session_id.hpp"

namespace calib {
namespace {

/// So much later than the last change of its database the app makes no directory for a session:
/// it commits the session first.
constexpr std::chrono::minutes max_upload{10};

/// Clocks of servers go wrong by less.
constexpr std::chrono::minutes clock_error{1};

/// Until when a directory that is this database's can have been made, where that is to be asked.
std::optional<Instant> latest_birth(const Options& options, const PassTimes& times) {
  const bool vouched = options.database.named == Named::on_command_line;
  if (vouched || options.mode == Mode::named || !times.database_changed) return std::nullopt;
  return *times.database_changed + max_upload;
}

/// Since when a directory can have been made that is this database's, where that is to be asked: of
/// one without a session. The app makes an empty one wherever its DATABASE_URL leads, also beside
/// the uploads of another.
std::optional<Instant> earliest_birth(const Plan& plan, const Options& options,
                                      const PassTimes& times) {
  const bool vouched = options.database.named == Named::on_command_line;
  if (vouched || plan.sessions_seen > 0 || plan.proven) return std::nullopt;
  return times.database_born;
}

/// An orphan that cannot be looked at stays.
Failure unknown_age(const UploadDir& uploads, const std::string& entry,
                    const std::error_code& error) {
  return {uploads.path() + "/" + entry,
          fmt::format("nobody knows how old this orphaned directory is: {}; "
                      "it is left for the next pass",
                      error.message()),
          ErrorKind::orphan};
}

/// Whether this is an answer: it is gone, or no directory any more.
bool is_answer_gone(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
}

void warn_of_future(const UploadDir& uploads, const Few<OrphanLine>& future, Warnings& warnings) {
  for (const auto& orphan : future.items()) {
    warnings.push_back(
        fmt::format("{}/{}: no session claims it, but it is dated in the future ({}), so it is "
                    "never old enough for --orphan-grace; give it a date with touch",
                    uploads.path(), orphan.name, format_human(*orphan.changed)));
  }
  if (future.more() > 0) {
    warnings.push_back(
        fmt::format("{}: and {} more, dated in the future, too", uploads.path(),
                    count_text(future.more(), "orphaned directory", "orphaned directories")));
  }
}

std::string of_unknown_age(const UploadDir& uploads, std::size_t count) {
  const auto& type = uploads.file_system_type();
  return fmt::format(
      "{}: the file system ({}) does not tell when something was put there with an older date, so "
      "{} never old enough for --orphan-grace; look at them, then delete them with "
      "--orphan-grace 0",
      uploads.path(), type.empty() ? "of an unknown type" : type,
      count_text(count, "directory without a session is", "directories without a session are"));
}

Failure older_than_database(const UploadDir& uploads, const std::string& database,
                            const Few<std::string>& older) {
  return {
      uploads.path(),
      fmt::format("{} has no session at all, and is younger than {} here ({}), so they may be "
                  "another database's uploads, and stay; where it is the right one, and they are "
                  "to go, name it with --database on the command line",
                  database, count_text(older.count(), "directory", "directories"), text_of(older)),
      ErrorKind::orphan};
}

}  // namespace

OrphanChoice choose_orphans(const Plan& plan, const Options& options, const PassTimes& times,
                            const UploadDir& uploads, const StopFlag& stop) {
  OrphanChoice choice;
  auto& notes = choice.notes;
  const auto latest = latest_birth(options, times);
  const auto earliest = earliest_birth(plan, options, times);
  Few<std::string> older;
  Few<OrphanLine> future;
  std::vector<std::pair<std::uint64_t, OrphanLine>> by_inode;
  for (const auto& name : plan.orphans) {
    throw_if_requested(stop);
    DirectoryStatus status;
    const auto error = uploads.status_of(name, status);
    if (is_answer_gone(error)) continue;
    if (error) {
      notes.errors.push_back(unknown_age(uploads, name, error));
      continue;
    }
    if (earliest && status.born < *earliest) {
      older.add([&] { return name; });
      continue;
    }
    OrphanLine orphan{name, status.changed, {}};
    // Also of those under the grace: else the database would be a changed one when it is over.
    if (latest && is_uuid(name) && status.born > *latest) choice.foreign.add([&] { return name; });
    const auto grace = options.orphan_grace;
    if (grace.count() > 0 && (!uploads.tells_changes() || status.changed > times.now - grace)) {
      if (status.changed > times.current() + clock_error) future.add([&] { return orphan; });
      choice.spared.push_back(orphan);
      continue;
    }
    by_inode.emplace_back(status.inode, orphan);
  }
  if (older.count() > 0) {
    notes.errors.push_back(older_than_database(uploads, options.database.display, older));
    // The younger ones may be the other database's as well.
    by_inode.clear();
  }
  warn_of_future(uploads, future, notes.warnings);
  if (!uploads.tells_changes() && !choice.spared.empty()) {
    notes.warnings.push_back(of_unknown_age(uploads, choice.spared.size()));
  }
  std::sort(by_inode.begin(), by_inode.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  choice.unclaimed.orphans.reserve(by_inode.size());
  for (auto& [inode, orphan] : by_inode) choice.unclaimed.orphans.push_back(std::move(orphan));

  // What is staged is as old as before it was moved.
  for (const auto& entry : plan.leftovers) {
    throw_if_requested(stop);
    const auto staged = parse_staged(entry);
    // With a mark it is ours for sure.
    if (latest && staged->mark.empty() && is_uuid(staged->name)) {
      DirectoryStatus status;
      const auto error = uploads.status_of(entry, status);
      if (error) {
        if (!is_answer_gone(error)) notes.errors.push_back(unknown_age(uploads, entry, error));
        continue;
      }
      if (status.born > *latest) choice.foreign.add([&] { return entry; });
    }
    choice.unclaimed.leftovers.push_back(entry);
  }
  return choice;
}

}  // namespace calib
