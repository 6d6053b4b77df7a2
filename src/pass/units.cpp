#include "pass/units.hpp"

#include <fmt/format.h>

#include <utility>

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

std::vector<std::uint32_t> records_of(const std::vector<std::string>& tables,
                                      const RecordCounts& counts, OwnerIndex owner) {
  std::vector<std::uint32_t> records;
  records.reserve(tables.size());
  for (std::size_t table = 0; table < tables.size(); ++table) {
    records.push_back(counts.at(owner, table));
  }
  return records;
}

void add_leaked(const std::vector<std::string>& tables, const RecordCounts& counts,
                OwnerIndex owner, std::map<std::string, std::uint64_t>& rows) {
  for (std::size_t table = 0; table < tables.size(); ++table) {
    if (const auto leaked = counts.at(owner, table); leaked > 0) rows[tables[table]] += leaked;
  }
}

SessionLine line_of(const DoomedSession& session, std::vector<std::uint32_t> records) {
  return {session.id, session.created_at, parse_timestamp(session.created_at), session.directory,
          {},         std::move(records)};
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
