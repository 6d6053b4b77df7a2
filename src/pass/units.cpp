#include "pass/units.hpp"

#include <fmt/format.h>

namespace calib {
namespace {

Unit unit_of(std::size_t first, std::size_t end) {
  return {{static_cast<OwnerIndex>(first), static_cast<OwnerIndex>(end)}};
}

}  // namespace

std::string owner_name(OwnerIndex owner, const std::vector<DoomedSession>& sessions,
                       const Survey& survey) {
  return owner < sessions.size() ? "session " + std::string(sessions[owner].id)
                                 : "records of " + survey.leaked_keys[owner - sessions.size()];
}

SessionLine line_of(const DoomedSession& session) {
  return {
      session.id, session.created_at, parse_timestamp(session.created_at), session.directory, {},
      {}};
}

Failure held_failure(const Refusal& refusal, const std::string& owner_name) {
  return {
      owner_name,
      refusal.detail == "sessions.id"
          ? "its id stands twice; it is left whole, delete the wrong row by hand"
          : fmt::format("a row that stays refers to it by {}; it is left whole, delete that row "
                        "first",
                        refusal.detail),
      ErrorKind::session};
}

Failure goes_along_failure(const std::string& owner_name) {
  return {owner_name, "it goes together with a session that is left whole, so it is left, too",
          ErrorKind::session};
}

std::vector<Unit> units_of(const std::vector<DoomedSession>& sessions, std::size_t leaked_keys,
                           const std::set<OwnerIndex>& refused) {
  std::vector<Unit> units;
  units.reserve(sessions.size() + leaked_keys);
  for (std::size_t first = 0, end = 0; first < sessions.size(); first = end) {
    bool left_out = false;
    for (; end < sessions.size() && sessions[end].unit == sessions[first].unit; ++end) {
      if (refused.contains(static_cast<OwnerIndex>(end))) left_out = true;
    }
    if (!left_out) units.push_back(unit_of(first, end));
  }
  for (auto owner = sessions.size(); owner < sessions.size() + leaked_keys; ++owner) {
    if (!refused.contains(static_cast<OwnerIndex>(owner)))
      units.push_back(unit_of(owner, owner + 1));
  }
  return units;
}

}  // namespace calib
