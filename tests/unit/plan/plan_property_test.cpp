// Random folders and sessions, with fixed seeds: what must hold of every plan.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>

#include "base/text.hpp"
#include "plan/plan.hpp"
#include "support/catch.hpp"
#include "unit/plan/plan_fixture.hpp"
#include "webapp/session_id.hpp"

using namespace calib;
using namespace calib::test;

namespace {

/// A few names, so that claims meet often.
class RandomSituation {
 public:
  explicit RandomSituation(unsigned seed) : random_(seed) {
    for (std::size_t i = 0, end = below(9); i < end; ++i) add_session();
    std::set<std::string> taken;
    for (std::size_t i = 0, end = below(12); i < end; ++i) {
      auto name = one_in(4) ? any_staged_name() : any_name();
      if (!taken.insert(name).second) continue;
      if (one_in(12)) situation.mounts.push_back(name);
      situation.entry(std::move(name), one_in(6)   ? EntryKind::link
                                       : one_in(6) ? EntryKind::other
                                                   : EntryKind::directory);
    }
    situation.rules.mode = one_in(5) ? Mode::orphans_only : one_in(5) ? Mode::named : Mode::expired;
    if (situation.rules.mode == Mode::named) {
      for (int i = 0; i < 3; ++i) situation.rules.sessions.push_back(any_id());
    }
    situation.rules.uploads_named = !one_in(4);
    situation.rules.database_named = one_in(2) ? Named::by_option : Named::no;
  }

  Situation situation;

 private:
  std::size_t below(std::size_t end) { return random_() % end; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <std::size_t n>
  std::string any(const std::array<const char*, n>& of) {
    return of.at(below(n));
  }

  std::string any_name() {
    return any(std::array{"a", "B", "b", "c", "C", "d", "e", "uploads", one_uuid, another_uuid,
                          ".hidden", "lost+found"});
  }
  std::string any_staged_name() {
    return one_in(3)   ? staged_by_us(any_name())
           : one_in(2) ? staged_by_others(any_name())
                       : staged(any_name());
  }
  std::string any_id() { return one_in(3) ? any_name() : fmt::format("id{}", below(12)); }

  void add_session() {
    PlannedSession row;
    row.id = any_id();
    if (!ids_.insert(row.id).second) return;
    row.created_at = any(std::array{expired, expired, expired, young, cutoff_text, "never",
                                    "2031-01-01 00:00:00", "2025-10-13T11:59:59"});
    if (one_in(8)) row.created_at.reset();
    row.id_is_text = !one_in(12);
    if (!one_in(10)) {
      row.images_dir = one_in(2)   ? "uploads/" + any_name()
                       : one_in(2) ? fmt::format("/{}/uploads/{}", any_name(), any_name())
                       : one_in(3) ? fmt::format("/{}/{}", any_name(), any_name())
                                   : "/mnt/disk/pictures/" + any_name();
    }
    situation.sessions.push_back(std::move(row));
  }

  std::mt19937 random_;
  std::set<std::string> ids_;
};

/// The contract's claims of a session, in plain words: its id, and every component of its path.
std::set<std::string> claims_of(const PlannedSession& session) {
  std::set<std::string> claims{ascii_lowered(session.id)};
  std::string path = session.images_dir.value_or("") + "/";
  for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/')) {
    if (end > 0) claims.insert(ascii_lowered(path.substr(0, end)));
    path.erase(0, end + 1);
  }
  return claims;
}

bool is_due(const Situation& situation, const PlannedSession& session) {
  const auto& wanted = situation.rules.sessions;
  if (situation.rules.mode == Mode::orphans_only) return false;
  if (situation.rules.mode == Mode::named) {
    return std::find(wanted.begin(), wanted.end(), session.id) != wanted.end();
  }
  if (!session.created_at) return false;
  const auto created = parse_timestamp(*session.created_at);
  return created && *created < situation.rules.cutoff;
}

bool is_directory(const Situation& situation, const std::string& name) {
  return std::any_of(situation.listing.begin(), situation.listing.end(), [&](const Entry& entry) {
    return entry.name == name && entry.kind == EntryKind::directory;
  });
}

void check_plan(const Situation& situation, const Plan& plan) {
  std::map<std::string, const DoomedSession*> doomed;
  for (const auto& session : plan.sessions) {
    CHECK(doomed.emplace(session.id, &session).second);
  }

  std::set<std::string> claimed_by_survivors;
  std::set<std::string> claimed;
  bool proven = false;
  for (const auto& session : situation.sessions) {
    const auto claims = claims_of(session);
    claimed.insert(claims.begin(), claims.end());
    const auto going = doomed.find(session.id);
    if (going == doomed.end()) {
      claimed_by_survivors.insert(claims.begin(), claims.end());
    } else {
      // Only who is due goes, by a directory of its own in the folder that is none of the others'.
      CHECK(is_due(situation, session));
      CHECK(session.id_is_text);
      CHECK(session.images_dir.has_value());
      CHECK(claims.contains(ascii_lowered(going->second->directory)));
      CHECK(is_session_directory_name(going->second->directory));
    }
    if (!session.images_dir) continue;
    const auto name = directory_name(*session.images_dir,
                                     FolderSpellings("/srv/uploads", "/mnt/disk/pictures", "/srv"));
    if (!name) continue;
    for (const auto& entry : {*name, staged(*name), staged_by_us(*name), staged_by_others(*name)}) {
      proven = proven || is_directory(situation, entry);
    }
  }

  for (const auto& session : plan.sessions) {
    CHECK_FALSE(claimed_by_survivors.contains(ascii_lowered(session.directory)));
    for (const auto& entry : situation.listing) {
      if (entry.name == session.directory) CHECK(entry.kind == EntryKind::directory);
    }
    const auto& mounts = situation.mounts;
    CHECK(std::find(mounts.begin(), mounts.end(), session.directory) == mounts.end());
  }
  // Sessions of different units have nothing to do with each other's directories.
  for (const auto& session : situation.sessions) {
    const auto going = doomed.find(session.id);
    if (going == doomed.end()) continue;
    const auto claims = claims_of(session);
    for (const auto& other : plan.sessions) {
      if (claims.contains(ascii_lowered(other.directory))) {
        CHECK(other.unit == going->second->unit);
      }
    }
  }
  for (std::size_t i = 1; i < plan.sessions.size(); ++i) {
    const auto before = plan.sessions[i - 1].unit;
    CHECK((plan.sessions[i].unit == before || plan.sessions[i].unit == before + 1));
  }

  // Where no directory of theirs is, the folder may not be mounted.
  const auto& rules = situation.rules;
  CHECK((proven || rules.uploads_named || rules.mode != Mode::expired || plan.sessions.empty()));

  const bool may_go =
      proven || (situation.sessions.empty() && situation.rules.database_named != Named::no);
  for (const auto& name : plan.orphans) {
    CHECK(situation.rules.mode != Mode::named);
    CHECK(may_go);
    CHECK((proven || is_uuid(name)));
    CHECK(is_directory(situation, name));
    CHECK(is_session_directory_name(name));
    CHECK_FALSE(claimed.contains(ascii_lowered(name)));
  }
  for (const auto& entry : plan.leftovers) {
    const auto staged = parse_staged(entry);
    CHECK((staged->mark == our_mark || (staged->mark.empty() && may_go)));
    CHECK(is_directory(situation, entry));
    CHECK_FALSE(claimed.contains(ascii_lowered(staged->name)));
  }
  for (const auto& entry : plan.restores) {
    CHECK(is_directory(situation, entry));
    CHECK(claimed.contains(ascii_lowered(parse_staged(entry)->name)));
  }
}

/// Every session that is due either goes or is named by a failure; so is every directory that no
/// session claims.
void check_nothing_is_forgotten(const Situation& situation, const Plan& plan) {
  std::string said;
  for (const auto& failure : failures_of(plan)) said += failure + "\n";
  for (const auto& session : situation.sessions) {
    if (!is_due(situation, session)) continue;
    const auto ids = doomed_of(plan);
    const bool goes = std::find(ids.begin(), ids.end(), session.id) != ids.end();
    const bool all_stay = said.find(" expired session") != std::string::npos;
    CHECK((goes || all_stay || said.find("session " + session.id) != std::string::npos));
  }
  std::set<std::string> claimed;
  for (const auto& session : situation.sessions) {
    for (const auto& claim : claims_of(session)) claimed.insert(claim);
  }
  for (const auto& entry : situation.listing) {
    if (entry.kind != EntryKind::directory || !is_session_directory_name(entry.name)) continue;
    if (claimed.contains(ascii_lowered(entry.name)) || situation.rules.mode == Mode::named)
      continue;
    const bool goes =
        std::find(plan.orphans.begin(), plan.orphans.end(), entry.name) != plan.orphans.end();
    // By itself, or among those of one kind.
    bool is_said = said.find("/srv/uploads/" + entry.name + ": ") != std::string::npos;
    for (const auto* before : {"(", ", "}) {
      for (const auto* after : {",", ")", " and "}) {
        is_said = is_said || said.find(before + entry.name + after) != std::string::npos;
      }
    }
    CHECK(goes != is_said);
  }
}

}  // namespace

TEST_CASE("no plan ever takes what a survivor claims, and none forgets who is due",
          "[plan][property]") {
  std::size_t went = 0;
  std::size_t failed = 0;
  std::size_t orphans = 0;
  std::size_t shared = 0;
  for (unsigned seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    const auto situation = RandomSituation(seed).situation;
    const auto plan = plan_of(situation);
    check_plan(situation, plan);
    check_nothing_is_forgotten(situation, plan);
    CHECK(plan.sessions_seen == situation.sessions.size());
    went += plan.sessions.size();
    failed += plan.failures.size();
    orphans += plan.orphans.size() + plan.leftovers.size();
    if (!plan.sessions.empty() && plan.sessions.back().unit + 1 < plan.sessions.size()) ++shared;
  }
  // Else the seeds would have stopped to cover what this is about.
  CHECK(went > 1000);
  CHECK(failed > 1000);
  CHECK(orphans > 500);
  CHECK(shared > 50);
}

TEST_CASE("a plan does not hang on the order in which the folder is listed", "[plan][property]") {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    auto situation = RandomSituation(seed).situation;
    const auto plan = plan_of(situation);
    std::reverse(situation.listing.begin(), situation.listing.end());
    const auto other = plan_of(situation);
    CHECK(doomed_of(plan) == doomed_of(other));
    CHECK(plan.orphans == other.orphans);
    CHECK(plan.leftovers == other.leftovers);
    CHECK(plan.restores == other.restores);
    CHECK(failures_of(plan) == failures_of(other));
    CHECK(plan.warnings == other.warnings);
  }
}

TEST_CASE("who goes does not hang on the order in which the database lists its sessions",
          "[plan][property]") {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    auto situation = RandomSituation(seed).situation;
    const auto plan = plan_of(situation);
    std::reverse(situation.sessions.begin(), situation.sessions.end());
    const auto other = plan_of(situation);
    const auto sorted = [](Names names) {
      std::sort(names.begin(), names.end());
      return names;
    };
    CHECK(sorted(doomed_of(plan)) == sorted(doomed_of(other)));
    CHECK(plan.orphans == other.orphans);
    CHECK(plan.restores == other.restores);
  }
}
