#include "units.hpp"

#include <fmt/format.h>

#include <optional>

namespace calib {

std::string owner_name(OwnerIndex owner, const std::vector<DoomedSession>& sessions,
                       const Survey& survey) {
  return owner < sessions.size() ? "session " + sessions[owner].id
                                 : "records of " + survey.leaked_keys[owner - sessions.size()];
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

std::vector<Unit> units_of(const std::vector<DoomedSession>& sessions, std::size_t leaked_keys,
                           const std::set<OwnerIndex>& refused) {
  std::vector<Unit> units;
  std::optional<std::uint32_t> last;
  bool left_out = false;
  const auto close = [&] {
    if (left_out) units.pop_back();
    left_out = false;
  };
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (last != sessions[i].unit) {
      close();
      units.emplace_back();
    }
    last = sessions[i].unit;
    units.back().owners.push_back(static_cast<OwnerIndex>(i));
    if (refused.contains(static_cast<OwnerIndex>(i))) left_out = true;
  }
  close();
  for (std::size_t i = 0; i < leaked_keys; ++i) {
    const auto owner = static_cast<OwnerIndex>(sessions.size() + i);
    if (!refused.contains(owner)) units.push_back({{owner}});
  }
  return units;
}

}  // namespace calib
