#include "plan/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.hpp"
#include "base/staged_name.hpp"
#include "base/text.hpp"
#include "webapp/session_id.hpp"

namespace calib {
namespace {

// One line tells of all of them, each time, until somebody mends them.
constexpr std::size_t max_shown_dates = 3;

/// The session and what it has for a date.
std::string shown_date(const SessionRow& row) {
  constexpr std::size_t longest = 40;
  const auto date = row.created_at.value_or("");
  return fmt::format("{} ({})", row.id.substr(0, 2 * longest),
                     row.created_at ? fmt::format("'{}'", date.substr(0, longest)) : "no date");
}

bool is_ascii(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return (c & 0x80) == 0; });
}

Failure stands_twice(std::string_view id) {
  return {
      fmt::format("session {}", id),
      "it stands in the database twice, or was changed while it was read; it is left whole, run "
      "again",
      ErrorKind::session};
}

/// Only age is what --keep keeps from.
std::set<std::string, std::less<>> kept_by_age(const Rules& rules) {
  if (rules.mode != Mode::expired) return {};
  return {rules.keep.begin(), rules.keep.end()};
}

}  // namespace

KeptSession kept_of(const DoomedSession& session) {
  KeptSession kept;
  kept.id = session.id;
  kept.created_at = session.created_at;
  kept.directory = session.directory;
  kept.why = Stays::left_whole;
  return kept;
}

Planner::Planner(Rules rules, FolderSpellings folder, const std::vector<Entry>& listing,
                 const std::vector<std::string>& mounts, const std::vector<std::string>& in_use)
    : rules_(std::move(rules)),
      folder_(std::move(folder)),
      entries_(listing),
      mounts_(mounts.begin(), mounts.end()),
      in_use_(in_use.begin(), in_use.end()),
      wanted_(rules_.sessions.begin(), rules_.sessions.end()),
      keep_(kept_by_age(rules_)),
      unmet_(keep_) {
  for (const auto& entry : listing) {
    if (entry.kind == EntryKind::link) links_.emplace(folded_hash(entry.name), entry.name);
    if (entry.kind == EntryKind::directory && !is_ascii(entry.name)) has_odd_names_ = true;
  }
}

std::string Planner::in_folder(std::string_view name) const {
  return fmt::format("{}/{}", rules_.uploads, name);
}

std::optional<std::string> Planner::directory_of(const SessionRow& row) const {
  if (row.images_dir) return directory_name(*row.images_dir, folder_);
  if (row.has_images_dir || !row.id_is_text || !is_session_directory_name(row.id)) {
    return std::nullopt;
  }
  return std::string(row.id);
}

void Planner::keep(const SessionRow& row) {
  survivors_.add(row);
  kept_ids_.push_back(exact_hash(row.id));
}

void Planner::list_kept(const SessionRow& row, const std::optional<std::string>& name, Stays why) {
  if (!rules_.audits) return;
  KeptSession session;
  session.id = texts_.keep(row.id);
  session.created_at = texts_.keep(row.created_at.value_or(""));
  if (name) session.directory = *name == row.id ? session.id : texts_.keep(*name);
  session.why = why;
  kept_.push_back(session);
}

void Planner::note_names_to_follow(const SessionRow& row) {
  // Where all is as the app makes it there is nothing to ask.
  const bool is_plain = is_ascii(row.id) && is_ascii(row.id_as_text) && is_ascii(row.claimed) &&
                        is_ascii(row.claimed_as_text);
  if (links_.empty() && !has_odd_names_ && is_plain) return;
  for (const auto name : Claims::names_of(row)) {
    const auto [first, last] = links_.equal_range(folded_hash(name));
    for (auto link = first; link != last; ++link) to_follow_.insert(link->second);
    // Either may be the odd one: the Kelvin sign folds to a plain k.
    const bool is_odd = has_odd_names_ || !is_ascii(name);
    if (is_odd && entries_.find(name) == nullptr) to_follow_.emplace(name);
  }
}

/// Nothing where it is due.
std::optional<Stays> Planner::why_not_due(const SessionRow& row,
                                          const std::optional<Instant>& created) {
  switch (rules_.mode) {
    case Mode::orphans_only:
      return Stays::not_asked;
    case Mode::named: {
      const auto wanted = wanted_.find(row.id);
      if (wanted == wanted_.end()) return Stays::not_asked;
      wanted_.erase(wanted);
      return std::nullopt;
    }
    case Mode::expired:
      break;
  }
  const auto id = keep_.empty() ? std::string() : ascii_lowered(row.id);
  unmet_.erase(id);
  const bool is_kept = keep_.contains(id);
  if (!created) {
    if (undated_ < max_shown_dates) odd_dates_.push_back(shown_date(row));
    ++undated_;
    return Stays::undated;
  }
  if (*created > rules_.now) {
    future_.push_back({*created, future_.size() < max_shown_dates ? shown_date(row) : ""});
    return Stays::future;
  }
  if (is_kept) return Stays::kept_by_name;
  if (*created >= rules_.cutoff) return Stays::young;
  return std::nullopt;
}

std::optional<Failure> Planner::obstacle(const SessionRow& row,
                                         const std::optional<std::string>& name) const {
  const auto left = [&](std::string path, std::string_view why) {
    return Failure{std::move(path), fmt::format("{}; session {} is left whole", why, row.id),
                   ErrorKind::session};
  };
  if (!row.id_is_text) {
    return Failure{"session " + std::string(row.id),
                   "its id is no text that the app could have made; it is left whole, delete its "
                   "records by hand",
                   ErrorKind::session};
  }
  if (!name) {
    return left(row.images_dir ? std::string(*row.images_dir) : "session " + std::string(row.id),
                "its images_dir names no directory in " + rules_.uploads +
                    " (see --uploads), correct it in the database");
  }
  if (in_use_.contains(*name)) {
    return left(in_folder(*name), "the database or the app itself is in it");
  }
  if (mounts_.contains(*name)) {
    return left(in_folder(*name), "something is mounted there, or from there; unmount it");
  }
  const auto* entry = entries_.find(*name);
  if (entry == nullptr || entry->kind == EntryKind::directory) return std::nullopt;
  return left(in_folder(*name), entry->kind == EntryKind::link
                                    ? "this is a symbolic link, and links are not followed; remove "
                                      "it or put the directory in its place"
                                    : "this is no directory; remove it");
}

void Planner::note_proof(const std::optional<std::string>& name) {
  if (proven_ || !name) return;
  const auto is_directory = [](const Entry* entry) {
    return entry != nullptr && entry->kind == EntryKind::directory;
  };
  const auto aside = staged_entry(*name, "");
  proven_ = is_directory(entries_.find(*name)) || is_directory(entries_.find(aside)) ||
            entries_.any_with_prefix(aside + '@', [&](const Entry* entry) {
              return is_directory(entry) && parse_staged(entry->name)->name == *name;
            });
}

void Planner::add(const SessionRow& row) {
  ++seen_;
  const auto name = directory_of(row);
  // What is no directory's path may be of any length, and makes nobody's directory a common one.
  if (name) {
    auto components = path_components(row.images_dir.value_or(""));
    if (!components.empty()) components.pop_back();
    for (const auto component : components) ++parents_[folded_hash(component)];
  }
  note_proof(name);
  note_names_to_follow(row);
  const auto images_dir = row.images_dir.value_or("");
  // No path is longer (path_resolution(7)).
  if (!name && !images_dir.empty() && images_dir.size() < PATH_MAX) {
    paths_to_follow_.emplace(images_dir);
  }
  const auto created = row.created_at ? parse_timestamp(*row.created_at) : std::nullopt;
  if (const auto why = why_not_due(row, created)) {
    keep(row);
    list_kept(row, name, *why);
    return;
  }
  if (auto failure = obstacle(row, name)) {
    failures_.push_back(std::move(*failure));
    keep(row);
    list_kept(row, name, Stays::left_whole);
    return;
  }
  DoomedSession session;
  session.id = texts_.keep(row.id);
  session.created_at = texts_.keep(row.created_at.value_or(""));
  session.directory = *name == row.id ? session.id : texts_.keep(*name);
  session.fingerprint = row.fingerprint;
  candidates_.push_back(session);
  const auto claims = Claims::of(row);
  claims_.insert(claims_.end(), claims.begin(), claims.end());
  claims_ends_.push_back(claims_.size());
}

bool Planner::may_remove(std::string_view name) const {
  return proven_ || (seen_ == 0 && rules_.database_named != Named::no && is_uuid(name));
}

Failure Planner::left_unproven(const Few<std::string>& entries) const {
  const auto what =
      fmt::format("no session claims {} here ({})",
                  count_text(entries.count(), "directory", "directories"), text_of(entries));
  std::string why;
  if (seen_ > 0) {
    const auto sessions =
        left_whole_ == 0
            ? std::string()
            : fmt::format(", and {} left whole",
                          count_text(left_whole_, "expired session is", "expired sessions are"));
    why = fmt::format(
        "{}, but none of the {} in {} has its directory here either, so they may belong to another "
        "database{}; check --uploads and --database, and where they are right, remove them by hand",
        what, count_text(seen_, "session", "sessions"), rules_.database, sessions);
  } else if (rules_.database_named == Named::no) {
    why = fmt::format(
        "{}, but {} has no session at all, and an empty database proves nothing; if it is the "
        "right one, name it with --database",
        what, rules_.database);
  } else {
    why = fmt::format(
        "{}, but {} has no session at all, so only directories named by a UUID go; what is not "
        "needed, remove by hand",
        what, rules_.database);
  }
  return {rules_.uploads, why, ErrorKind::orphan};
}

/// Whether it has to stay, whoever claims it or not; says so.
bool Planner::is_in_the_way(const Entry& entry, Plan& plan) const {
  if (in_use_.contains(entry.name)) {
    plan.warnings.push_back(in_folder(entry.name) +
                            ": no session claims it, but the database or the app itself is in it, "
                            "so it stays; is this the right --uploads?");
    return true;
  }
  if (mounts_.contains(entry.name)) {
    plan.failures.push_back({in_folder(entry.name),
                             "something is mounted there, or from there; unmount it",
                             ErrorKind::orphan});
    return true;
  }
  return false;
}

void Planner::choose_staged(const Entry& entry, Plan& plan) {
  const auto staged = *parse_staged(entry.name);
  if (!is_session_directory_name(staged.name)) return;
  // A session may claim whatever name.
  if (survivors_.contain(entry.name)) return;
  if (survivors_.contain(staged.name)) {
    plan.restores.push_back(entry.name);
  } else if (is_in_the_way(entry, plan)) {
    // It stays.
  } else if (!staged.mark.empty() && staged.mark != rules_.mark) {
    foreign_.add([&] { return entry.name; });
  } else if (!staged.mark.empty() || may_remove(staged.name)) {
    // The mark is proof enough: the pass that put it there had this database.
    plan.leftovers.push_back(entry.name);
  } else {
    unproven_.add([&] { return entry.name; });
  }
}

void Planner::choose_orphan(const Entry& entry, Plan& plan) {
  if (rules_.mode == Mode::named || !is_session_directory_name(entry.name)) return;
  if (survivors_.contain(entry.name) || is_in_the_way(entry, plan)) return;
  if (may_remove(entry.name)) {
    plan.orphans.push_back(entry.name);
  } else {
    unproven_.add([&] { return entry.name; });
  }
}

void Planner::note_left(Plan& plan) const {
  // One cause, one line.
  if (unproven_.count() > 0) {
    plan.failures.push_back(left_unproven(unproven_));
  } else if (left_whole_ > 0) {
    plan.failures.push_back(left_for_lack_of_proof());
  }
  if (foreign_.count() == 0) return;
  plan.failures.push_back(
      {rules_.uploads,
       fmt::format("a pass over another database than {} has moved {} aside ({}); run "
                   "calib-cleanup with that database, or remove them by hand",
                   rules_.database, count_text(foreign_.count(), "directory", "directories"),
                   text_of(foreign_)),
       ErrorKind::orphan});
}

void Planner::choose_directories(Plan& plan) {
  // Who goes claims, too, until it is gone.
  for (const auto hash : std::exchange(claims_, {})) survivors_.add(hash);
  for (const auto* entry : entries_.sorted()) {
    if (entry->kind != EntryKind::directory) continue;
    if (entry->name.starts_with(staged_prefix)) {
      choose_staged(*entry, plan);
    } else {
      choose_orphan(*entry, plan);
    }
  }
  // Where one name is aside more than once, the first one gets it back, and the others join it.
  std::stable_partition(plan.restores.begin(), plan.restores.end(), [&](const std::string& entry) {
    return parse_staged(entry)->mark == rules_.mark;
  });
  note_left(plan);
}

/// A volume that is not mounted leaves an empty folder. The records that went then would leave
/// their directories behind on it, as orphans.
void Planner::leave_all_where_nothing_is_proven() {
  if (proven_ || rules_.uploads_named || rules_.mode != Mode::expired) return;
  std::uint64_t left = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (refused_[i]) continue;
    refuse(i);
    ++left;
  }
  left_whole_ = left;
}

Failure Planner::left_for_lack_of_proof() const {
  return {rules_.uploads,
          fmt::format("none of the {} in {} has its directory here, so {} left whole; is it "
                      "mounted? Where their directories really are gone, name the folder with "
                      "--uploads",
                      count_text(seen_, "session", "sessions"), rules_.database,
                      count_text(left_whole_, "expired session is", "expired sessions are")),
          ErrorKind::session};
}

Plan Planner::finish(Instant read_until, const Ways& ways) {
  // Where there are sessions, one of their directories has to prove it.
  if (seen_ == 0 && rules_.proven) proven_ = true;
  // What was uploaded while the sessions were read is as young as can be, and nothing odd.
  for (const auto& [created, shown] : future_) {
    if (created <= read_until) continue;
    ++undated_;
    if (odd_dates_.size() < max_shown_dates && !shown.empty()) odd_dates_.push_back(shown);
  }
  Plan plan;
  refused_.assign(candidates_.size(), false);
  claim_along(ways);
  refuse_other_spellings(ways);
  refuse_twins();
  refuse_partly_named();
  leave_all_where_nothing_is_proven();
  protect_shared_directories();
  plan.failures = std::move(failures_);
  if (rules_.again) wanted_.clear();
  for (const auto& id : wanted_) {
    plan.failures.push_back({"session " + id, no_such_session(id), ErrorKind::session});
  }
  form_units(plan);
  if (!plan.sessions.empty() && !proven_) {
    plan.warnings.push_back(fmt::format(
        "{}: none of the {} in {} has its directory here; if this is the wrong folder, their "
        "directories stay where they are",
        rules_.uploads, count_text(seen_, "session", "sessions"), rules_.database));
  }
  choose_directories(plan);
  plan.kept = std::move(kept_);
  plan.sessions_seen = seen_;
  plan.proven = proven_;
  plan.kept_by_name = keep_.size() - unmet_.size();
  for (const auto& id : unmet_) {
    plan.warnings.push_back(fmt::format(
        "--keep {}: there is no such session in {}; an id counts as a whole", id, rules_.database));
  }
  if (undated_ > 0) {
    plan.warnings.push_back(fmt::format(
        "{} kept: created_at is missing, cannot be read or is in the future: {}{}; correct that, "
        "or delete it by its id (--session)",
        count_text(undated_, "session is", "sessions are"), fmt::join(odd_dates_, ", "),
        undated_ > odd_dates_.size() ? fmt::format(" and {} more", undated_ - odd_dates_.size())
                                     : ""));
  }
  return plan;
}

/// A part of an id in --keep is meant for somebody: whoever it may be stays.
void Planner::refuse_partly_named() {
  if (unmet_.empty()) return;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto id = ascii_lowered(candidates_[i].id);
    // No id is longer that a person would shorten.
    for (std::size_t length = 1; length < std::min<std::size_t>(id.size(), 64); ++length) {
      const auto part = id.substr(0, length);
      if (!unmet_.contains(part)) continue;
      refuse(i);
      failures_.push_back({fmt::format("session {}", candidates_[i].id),
                           fmt::format("--keep {} is only the beginning of its id; it is left "
                                       "whole, write all of it",
                                       part),
                           ErrorKind::session});
      break;
    }
  }
}

std::string Planner::no_such_session(const std::string& id) const {
  const auto there_is_none = "there is no such session in " + rules_.database;
  const auto* entry = entries_.find(id);
  if (entry != nullptr && entry->kind == EntryKind::directory) {
    return there_is_none +
           ", only a directory of that name; --orphans-only removes what has no "
           "session";
  }
  if (id.find_first_of(", ") != std::string::npos) {
    return there_is_none + "; give one id at a time, each with a --session of its own";
  }
  if (is_uuid(id) && id != ascii_lowered(id)) {
    return there_is_none + "; an id is in lower case: " + ascii_lowered(id);
  }
  if (id.size() < 36 && has_only_letters_of_uuids(id)) {
    return there_is_none + "; an id is given as a whole, all 36 characters of it";
  }
  return there_is_none + "; look for its id with --dry-run --hours 0";
}

std::span<const std::uint64_t> Planner::claims_of(std::size_t candidate) const {
  const auto begin = candidate == 0 ? 0 : claims_ends_[candidate - 1];
  return std::span(claims_).subspan(begin, claims_ends_[candidate] - begin);
}

void Planner::refuse(std::size_t candidate) {
  refused_[candidate] = true;
  for (const auto hash : claims_of(candidate)) survivors_.add(hash);
}

/// The entry that the file system takes this name for, where it folds more than ASCII case.
const Entry* Planner::other_spelling_of(const Entry& passed) const {
  if (passed.inode == 0 || entries_.find(passed.name) != nullptr) return nullptr;
  const auto& entries = entries_.sorted();
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry* entry) {
    return entry->inode == passed.inode && folded_hash(entry->name) != folded_hash(passed.name);
  });
  return found == entries.end() ? nullptr : *found;
}

/// What is on the way, under each name that it has in the folder.
std::vector<std::uint64_t> Planner::claims_on(const std::vector<Entry>& way) const {
  std::vector<std::uint64_t> hashes;
  for (const auto& entry : way) {
    hashes.push_back(folded_hash(entry.name));
    const auto* listed = other_spelling_of(entry);
    if (listed != nullptr) hashes.push_back(folded_hash(listed->name));
  }
  return hashes;
}

void Planner::claim(const std::vector<Entry>& way) {
  for (const auto hash : claims_on(way)) survivors_.add(hash);
}

/// Who claims a name claims what it leads through.
void Planner::claim_along(const Ways& ways) {
  if (ways.empty()) return;
  std::unordered_multimap<std::uint64_t, std::uint64_t> along;
  for (const auto& [name, way] : ways) {
    const auto hash = folded_hash(name);
    for (const auto led_to : claims_on(way)) along.emplace(hash, led_to);
    if (!is_common_parent(hash)) continue;
    const auto [first, last] = along.equal_range(hash);
    for (auto at = first; at != last; ++at) parents_[at->second] = parents_[hash];
  }
  std::vector<std::uint64_t> claims;
  std::size_t begin = 0;
  for (auto& end : claims_ends_) {
    for (; begin < end; ++begin) {
      claims.push_back(claims_[begin]);
      const auto [first, last] = along.equal_range(claims_[begin]);
      for (auto at = first; at != last; ++at) claims.push_back(at->second);
    }
    end = claims.size();
  }
  claims_ = std::move(claims);
  std::vector<std::uint64_t> kept;
  for (const auto& [hash, led_to] : along) {
    if (survivors_.contain(hash)) kept.push_back(led_to);
  }
  for (const auto hash : kept) survivors_.add(hash);
}

/// Whether a candidate's directory may go was asked of an entry of that very name.
void Planner::refuse_other_spellings(const Ways& ways) {
  if (ways.empty()) return;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto name = candidates_[i].directory;
    const auto way = ways.find(name);
    if (way == ways.end() || way->second.empty()) continue;
    const auto* listed = other_spelling_of(way->second.front());
    if (listed == nullptr) continue;
    refuse(i);
    failures_.push_back(
        {in_folder(name),
         fmt::format("here it is spelled {}; session {} is left whole, correct its images_dir in "
                     "the database",
                     listed->name, candidates_[i].id),
         ErrorKind::session});
  }
}

/// A directory that many name on the way to theirs, such as `uploads` in uploads, is everybody's:
/// it would make one unit of them all.
bool Planner::is_common_parent(std::uint64_t hash) const {
  constexpr std::uint64_t few = 2;
  const auto parent = parents_.find(hash);
  return parent != parents_.end() && parent->second > few;
}

void Planner::protect_shared_directories() {
  // A candidate that is kept claims in its turn: who shares a directory with it is kept, too.
  PositionsByHash by_directory(candidates_.size());
  std::vector<std::size_t> to_keep;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto hash = folded_hash(candidates_[i].directory);
    by_directory.add(hash, i);
    if (survivors_.contain(hash) || is_common_parent(hash)) to_keep.push_back(i);
  }
  if (to_keep.empty()) return;
  by_directory.sort();
  while (!to_keep.empty()) {
    const auto kept = to_keep.back();
    to_keep.pop_back();
    if (refused_[kept]) continue;
    refuse(kept);
    failures_.push_back(
        {in_folder(candidates_[kept].directory),
         fmt::format("another session claims this directory too; session {} is left "
                     "whole",
                     candidates_[kept].id),
         ErrorKind::session});
    for (const auto claim : claims_of(kept)) by_directory.take(claim, to_keep);
  }
}

/// A candidate of which another row is kept, or that stands twice: deleting it by its id would take
/// the other row along.
void Planner::refuse_twins() {
  if (candidates_.empty()) return;
  std::sort(kept_ids_.begin(), kept_ids_.end());
  PositionsByHash by_id(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) by_id.add(exact_hash(candidates_[i].id), i);
  by_id.sort();
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto hash = exact_hash(candidates_[i].id);
    if (const auto first = *by_id.first(hash); first != i) {
      refuse(first);
      refuse(i);
      failures_.push_back(stands_twice(candidates_[i].id));
    } else if (std::binary_search(kept_ids_.begin(), kept_ids_.end(), hash)) {
      refuse(i);
      failures_.push_back(stands_twice(candidates_[i].id));
    }
  }
}

/// Union-find over candidates: who claims the directory of another goes with it, or not at all.
/// Afterwards their units are the positions of their roots.
void Planner::unite_sharers() {
  const auto find = [&](std::uint32_t i) {
    while (candidates_[i].unit != i) {
      i = candidates_[i].unit = candidates_[candidates_[i].unit].unit;
    }
    return i;
  };
  PositionsByHash by_directory(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    candidates_[i].unit = static_cast<std::uint32_t>(i);
    if (!refused_[i]) by_directory.add(folded_hash(candidates_[i].directory), i);
  }
  by_directory.sort();
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (refused_[i]) continue;
    for (const auto claim : claims_of(i)) {
      const auto other = by_directory.first(claim);
      if (!other) continue;
      const auto [low, high] = std::minmax(
          {find(static_cast<std::uint32_t>(i)), find(static_cast<std::uint32_t>(*other))});
      candidates_[high].unit = low;
    }
  }
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    candidates_[i].unit = find(static_cast<std::uint32_t>(i));
  }
}

void Planner::form_units(Plan& plan) {
  unite_sharers();
  plan.texts = texts_;
  // All in place: a second list of them would be what takes the most memory of a pass.
  auto& sessions = plan.sessions;
  sessions = std::exchange(candidates_, {});
  std::size_t going = 0;
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (!refused_[i]) {
      sessions[going++] = sessions[i];
    } else if (rules_.audits) {
      kept_.push_back(kept_of(sessions[i]));
    }
  }
  sessions.resize(going);
  // Where nobody shares they are in order, and sorting takes memory.
  const auto by_unit = [](const auto& a, const auto& b) { return a.unit < b.unit; };
  if (!std::is_sorted(sessions.begin(), sessions.end(), by_unit)) {
    std::stable_sort(sessions.begin(), sessions.end(), by_unit);
  }
  std::uint32_t units = 0;
  std::uint32_t last_root = sessions.empty() ? 0 : sessions.front().unit;
  for (auto& session : sessions) {
    if (session.unit != last_root) ++units;
    last_root = std::exchange(session.unit, units);
  }
}

}  // namespace calib
