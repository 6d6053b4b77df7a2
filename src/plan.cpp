#include "plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "session_keys.hpp"
#include "text.hpp"

namespace calib {

namespace {

Failure stands_twice(std::string_view id) {
  return {
      fmt::format("session {}", id),
      "it stands in the database twice, or was changed while it was read; it is left whole, run "
      "again",
      ErrorKind::session};
}

}  // namespace

std::vector<std::uint64_t> Claims::of(const SessionRow& row) {
  std::vector<std::uint64_t> hashes{folded_hash(row.id)};
  if (!row.id_as_text.empty()) hashes.push_back(folded_hash(row.id_as_text));
  // Whatever its type: a value that names no directory may still claim one. A NUL ends a name in
  // the eyes of the file system, so what stands on either side of it claims, too.
  for (auto rest : {row.claimed, row.claimed_as_text}) {
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\0'), rest.size());
      for (const auto component : path_components(rest.substr(0, end))) {
        hashes.push_back(folded_hash(component));
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return hashes;
}

void Claims::add(const SessionRow& row) {
  for (const auto hash : of(row)) hashes_.insert(hash);
}

bool Claims::contain(std::string_view name) const { return contain(folded_hash(name)); }

Planner::Planner(Rules rules, FolderSpellings folder, const std::vector<Entry>& listing,
                 const std::vector<std::string>& mounts, const std::vector<std::string>& in_use)
    : rules_(std::move(rules)),
      folder_(std::move(folder)),
      mounts_(mounts.begin(), mounts.end()),
      in_use_(in_use.begin(), in_use.end()),
      wanted_(rules_.sessions.begin(), rules_.sessions.end()) {
  entries_.reserve(listing.size());
  for (const auto& entry : listing) entries_.emplace(entry.name, entry.kind);
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

bool Planner::is_due(const SessionRow& row, const std::optional<Instant>& created) {
  switch (rules_.mode) {
    case Mode::orphans_only:
      return false;
    case Mode::named: {
      const auto wanted = wanted_.find(row.id);
      if (wanted == wanted_.end()) return false;
      wanted_.erase(wanted);
      return true;
    }
    case Mode::expired:
      break;
  }
  if (!created || *created > rules_.now) {
    if (created) future_.push_back(*created);
    if (!created) ++undated_;
    return false;
  }
  return *created < rules_.cutoff;
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
    return left(in_folder(*name), "something is mounted there, unmount it");
  }
  const auto entry = entries_.find(*name);
  if (entry == entries_.end() || entry->second == EntryKind::directory) return std::nullopt;
  return left(in_folder(*name), entry->second == EntryKind::link
                                    ? "this is a symbolic link, and links are not followed; remove "
                                      "it or put the directory in its place"
                                    : "this is no directory; remove it");
}

void Planner::note_proof(const std::optional<std::string>& name) {
  if (proven_ || !name) return;
  for (const auto& entry_name : {*name, std::string(staged_prefix) + *name}) {
    const auto entry = entries_.find(entry_name);
    if (entry != entries_.end() && entry->second == EntryKind::directory) proven_ = true;
  }
}

void Planner::add(const SessionRow& row) {
  ++seen_;
  const auto name = directory_of(row);
  if (row.images_dir) {
    auto components = path_components(*row.images_dir);
    if (!components.empty()) components.pop_back();
    for (const auto component : components) ++parents_[folded_hash(component)];
  }
  note_proof(name);
  const auto created = row.created_at ? parse_timestamp(*row.created_at) : std::nullopt;
  const auto [met, is_new] = met_.try_emplace(exact_hash(row.id), candidates_.size());
  if (!is_new && met->second < candidates_.size()) {
    refuse(candidates_[met->second]);
    keep(row);
    failures_.push_back(stands_twice(row.id));
    return;
  }
  if (!is_due(row, created)) {
    met_.erase(met);
    keep(row);
    return;
  }
  if (auto failure = obstacle(row, name)) {
    met_.erase(met);
    failures_.push_back(std::move(*failure));
    keep(row);
    return;
  }
  Candidate candidate;
  candidate.session.id = row.id;
  candidate.session.created_at = row.created_at.value_or("");
  candidate.session.created = created;
  if (*name != row.id) candidate.session.other_directory = *name;
  candidate.session.fingerprint = row.fingerprint;
  candidate.claims = Claims::of(row);
  candidates_.push_back(std::move(candidate));
}

void Planner::refuse(Candidate& candidate) {
  candidate.refused = true;
  for (const auto hash : candidate.claims) survivors_.add(hash);
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
  std::unordered_multimap<std::uint64_t, std::size_t> by_directory;
  std::vector<std::size_t> to_keep;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const auto hash = folded_hash(candidates_[i].session.directory());
    by_directory.emplace(hash, i);
    if (survivors_.contain(hash) || is_common_parent(hash)) to_keep.push_back(i);
  }
  while (!to_keep.empty()) {
    auto& candidate = candidates_[to_keep.back()];
    to_keep.pop_back();
    if (candidate.refused) continue;
    refuse(candidate);
    failures_.push_back(
        {in_folder(candidate.session.directory()),
         fmt::format("another session claims this directory too; session {} is left "
                     "whole",
                     candidate.session.id),
         ErrorKind::session});
    for (const auto claim : candidate.claims) {
      const auto [first, last] = by_directory.equal_range(claim);
      for (auto other = first; other != last; ++other) to_keep.push_back(other->second);
    }
  }
}

/// A candidate of which another row is kept: deleting it by its id would take that row along.
void Planner::refuse_twins() {
  std::sort(kept_ids_.begin(), kept_ids_.end());
  for (auto& candidate : candidates_) {
    if (candidate.refused ||
        !std::binary_search(kept_ids_.begin(), kept_ids_.end(), exact_hash(candidate.session.id))) {
      continue;
    }
    refuse(candidate);
    failures_.push_back(stands_twice(candidate.session.id));
  }
}

void Planner::form_units(Plan& plan) {
  // Union-find over candidates: who claims the directory of another goes with it, or not at all.
  std::vector<std::size_t> root(candidates_.size());
  std::iota(root.begin(), root.end(), std::size_t{0});
  const auto find = [&](std::size_t i) {
    while (root[i] != i) i = root[i] = root[root[i]];
    return i;
  };
  std::unordered_map<std::uint64_t, std::size_t> by_directory;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (!candidates_[i].refused) {
      by_directory.try_emplace(folded_hash(candidates_[i].session.directory()), i);
    }
  }
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].refused) continue;
    for (const auto claim : candidates_[i].claims) {
      const auto other = by_directory.find(claim);
      if (other == by_directory.end()) continue;
      const auto [low, high] = std::minmax({find(i), find(other->second)});
      root[high] = low;
    }
  }
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    root[i] = find(i);
    if (!candidates_[i].refused) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return root[a] < root[b]; });
  plan.sessions.reserve(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    auto& session = candidates_[order[i]].session;
    if (i > 0) {
      session.unit = plan.sessions.back().unit + (root[order[i]] == root[order[i - 1]] ? 0U : 1U);
    }
    plan.sessions.push_back(std::move(session));
  }
}

bool Planner::may_remove(const std::string& name) const {
  return proven_ || (seen_ == 0 && rules_.database_named == Named::yes && is_uuid(name));
}

Failure Planner::left_unproven(const std::string& entry) const {
  std::string why;
  if (seen_ > 0) {
    why = fmt::format(
        "no session claims it, but none of the {} in {} has its directory here either, so it may "
        "belong to another database; check --uploads and --database, and where they are right, "
        "remove it by hand",
        count_text(seen_, "session", "sessions"), rules_.database);
  } else if (rules_.database_named == Named::no) {
    why = fmt::format(
        "{} has no session at all, and an empty database proves nothing; if it is the right one, "
        "name it with --database",
        rules_.database);
  } else {
    why = fmt::format(
        "{} has no session at all, so only directories named by a UUID go; if it is not needed, "
        "remove it by hand",
        rules_.database);
  }
  return {in_folder(entry), why, ErrorKind::orphan};
}

void Planner::choose_directories(Plan& plan) {
  auto& claims = survivors_;
  for (const auto& candidate : candidates_) {
    for (const auto hash : candidate.claims) claims.add(hash);
  }
  std::vector<std::string_view> names;
  for (const auto& [name, kind] : entries_) {
    if (kind == EntryKind::directory) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const auto entry : names) {
    const bool staged = entry.starts_with(staged_prefix);
    const std::string name(staged ? entry.substr(staged_prefix.size()) : entry);
    if (!is_session_directory_name(name)) continue;
    if (claims.contain(name)) {
      if (staged) plan.restores.push_back(name);
      continue;
    }
    if (!staged && rules_.mode == Mode::named) continue;
    if (in_use_.contains(entry)) {
      plan.warnings.push_back(
          in_folder(entry) +
          ": no session claims it, but the database or the app itself is in it, "
          "so it stays; is this the right --uploads?");
      continue;
    }
    if (mounts_.contains(entry)) {
      plan.failures.push_back(
          {in_folder(entry), "something is mounted there; unmount it", ErrorKind::orphan});
    } else if (may_remove(name)) {
      (staged ? plan.leftovers : plan.orphans).push_back(name);
    } else {
      plan.failures.push_back(left_unproven(std::string(entry)));
    }
  }
}

Plan Planner::finish(Instant read_until) {
  // What was uploaded while the sessions were read is as young as can be, and nothing odd.
  undated_ += static_cast<std::uint64_t>(std::count_if(
      future_.begin(), future_.end(), [&](Instant created) { return created > read_until; }));
  Plan plan;
  refuse_twins();
  protect_shared_directories();
  plan.failures = std::move(failures_);
  for (const auto& id : wanted_) {
    plan.failures.push_back({"session " + id,
                             "there is no such session in " + rules_.database +
                                 "; look for its id with --dry-run --hours 0",
                             ErrorKind::session});
  }
  form_units(plan);
  if (!plan.sessions.empty() && !proven_) {
    plan.warnings.push_back(fmt::format(
        "{}: none of the {} in {} has its directory here; if this is the wrong folder, their "
        "directories stay where they are",
        rules_.uploads, count_text(seen_, "session", "sessions"), rules_.database));
  }
  choose_directories(plan);
  plan.sessions_seen = seen_;
  if (undated_ > 0) {
    plan.warnings.push_back(
        fmt::format("{} kept: created_at is missing, cannot be read or is in the future",
                    count_text(undated_, "session is", "sessions are")));
  }
  return plan;
}

}  // namespace calib
