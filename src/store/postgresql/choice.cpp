// Which owners a transaction takes: those whose rows it gets, unchanged and held by nobody.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/postgresql/transaction.hpp"

namespace calib::postgresql {
namespace {

using std::chrono::milliseconds;
using Kind = StoreError::Kind;

constexpr milliseconds row_poll{10};

}  // namespace

std::vector<std::string> Transaction::ids_of(const std::vector<OwnerIndex>& owners) const {
  std::vector<std::string> ids;
  ids.reserve(owners.size());
  for (const auto owner : owners) ids.emplace_back(knowledge_.key_of(owner));
  return ids;
}

/// Locks those rows that nobody else holds, and refuses the ones that changed. Returns whose rows
/// it did not get.
std::set<OwnerIndex> Transaction::lock_rows(const std::vector<OwnerIndex>& owners,
                                            std::vector<Refusal>& refusals) {
  const auto& schema = knowledge_.schema;
  const auto rows = connection_.query(
      fmt::format("SELECT u.n, {} FROM {} s JOIN pg_catalog.unnest($1::{}[]) WITH ORDINALITY AS "
                  "u(k, n) ON s.id = u.k FOR UPDATE OF s SKIP LOCKED",
                  session_columns(schema), schema.sessions().sql, schema.sessions().type_of("id")),
      {array_of(ids_of(owners))});
  std::set<OwnerIndex> missing(owners.begin(), owners.end());
  std::set<OwnerIndex> refused;
  const auto refuse = [&](OwnerIndex owner, Refusal::Reason reason, const char* detail) {
    if (refused.insert(owner).second) refusals.push_back({owner, reason, detail});
  };
  for (int row = 0; row < rows.count(); ++row) {
    const auto owner = owners[static_cast<std::size_t>(rows.number(row, 0) - 1)];
    // A second row of this id may be of any age; deleting by id would take it along.
    if (missing.erase(owner) == 0) refuse(owner, Refusal::Reason::held, "sessions.id");
    const auto found = session_row(connection_, schema, rows, row, 1);
    if (found.fingerprint != knowledge_.doomed[owner].fingerprint) {
      refuse(owner, Refusal::Reason::changed, "");
    }
  }
  for (const auto owner : owners) {
    if (!missing.contains(owner) && !refused.contains(owner)) chosen_.push_back(owner);
  }
  return missing;
}

std::vector<Refusal> Transaction::recheck_sessions(const std::vector<OwnerIndex>& owners) {
  std::vector<Refusal> refusals;
  auto missing = owners;
  while (!missing.empty()) {
    const auto left = lock_rows(missing, refusals);
    const std::vector<OwnerIndex> unlocked(left.begin(), left.end());
    const auto there = standing(connection_, knowledge_.schema, ids_of(unlocked));
    missing.clear();
    for (const auto owner : unlocked) {
      if (there.contains(std::string(knowledge_.key_of(owner)))) {
        missing.push_back(owner);
      } else {
        refusals.push_back({owner, Refusal::Reason::gone, {}});
      }
    }
    if (missing.empty()) break;
    if (patience_.count() <= 0) {
      throw connection_.failure(
          Kind::disturbed, fmt::format("another transaction holds the row of session {}; try again",
                                       knowledge_.key_of(missing.front())));
    }
    patience_ -= row_poll;
    connection_.pause(row_poll);
  }
  return refusals;
}

std::vector<Refusal> Transaction::recheck_leaked(const std::vector<OwnerIndex>& owners) {
  std::vector<Refusal> refusals;
  const auto keys = ids_of(owners);
  const auto back = not_leaked(connection_, knowledge_.schema, keys);
  for (std::size_t i = 0; i < owners.size(); ++i) {
    if (back.contains(keys[i])) {
      refusals.push_back({owners[i], Refusal::Reason::changed, {}});
    } else {
      chosen_.push_back(owners[i]);
    }
  }
  return refusals;
}

std::vector<Refusal> Transaction::choose(std::span<const OwnerIndex> owners) {
  chosen_.clear();
  ids_.clear();
  other_keys_.clear();
  std::vector<OwnerIndex> sessions;
  std::vector<OwnerIndex> leaked;
  for (const auto owner : owners) {
    (knowledge_.is_session(owner) ? sessions : leaked).push_back(owner);
  }
  auto refusals = recheck_sessions(sessions);
  auto back = recheck_leaked(leaked);
  refusals.insert(refusals.end(), back.begin(), back.end());
  std::sort(chosen_.begin(), chosen_.end());

  find_stereo_keys();
  for (const auto owner : chosen_) {
    (knowledge_.is_session(owner) ? ids_ : other_keys_).emplace(knowledge_.key_of(owner), owner);
  }
  for (const auto& [owner, key] : stereo_keys_) other_keys_.emplace(key, owner);
  if (!knowledge_.needs_closure) return refusals;
  start_closure();
  auto held = refuse_held();
  refusals.insert(refusals.end(), held.begin(), held.end());
  return refusals;
}

/// Those of the chosen; a session of that very name is one.
void Transaction::find_stereo_keys() {
  stereo_keys_.clear();
  std::vector<std::string> names;
  for (const auto owner : chosen_) {
    const auto [first, last] = knowledge_.stereo_keys.equal_range(owner);
    stereo_keys_.insert(first, last);
    for (auto key = first; key != last; ++key) names.push_back(key->second);
  }
  const auto sessions = standing(connection_, knowledge_.schema, names);
  std::erase_if(stereo_keys_, [&](const auto& key) { return sessions.contains(key.second); });
}

void Transaction::start_closure() {
  std::vector<Closure::Start> starts;
  for (const auto& [id, owner] : ids_) starts.push_back({owner, id, true});
  for (const auto& [owner, key] : stereo_keys_) starts.push_back({owner, key, false});
  for (const auto owner : chosen_) {
    if (knowledge_.is_session(owner)) continue;
    starts.push_back({owner, std::string(knowledge_.key_of(owner)), false});
  }
  closure_.find(starts);
}

std::vector<Refusal> Transaction::refuse_held() {
  auto held = take_held_out(closure_);
  drop_chosen(owners_of(held));
  return held;
}

std::vector<Refusal> Transaction::withdraw(std::span<const OwnerIndex> owners) {
  if (owners.empty()) return {};
  drop_chosen(owners);
  if (!knowledge_.needs_closure) return {};
  closure_.withdraw(owners);
  return refuse_held();
}

void Transaction::drop_chosen(std::span<const OwnerIndex> owners) {
  const std::set<OwnerIndex> out(owners.begin(), owners.end());
  std::erase_if(chosen_, [&](OwnerIndex owner) { return out.contains(owner); });
  std::erase_if(ids_, [&](const auto& id) { return out.contains(id.second); });
  std::erase_if(other_keys_, [&](const auto& key) { return out.contains(key.second); });
  std::erase_if(stereo_keys_, [&](const auto& key) { return out.contains(key.first); });
  // It may name another session of the chosen as well.
  for (const auto& [owner, key] : stereo_keys_) other_keys_.emplace(key, owner);
}

}  // namespace calib::postgresql
