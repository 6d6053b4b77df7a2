// Folders and sessions to plan with, as values: no file and no database is touched.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/staged_name.hpp"
#include "plan/plan.hpp"

namespace calib::test {

inline constexpr std::chrono::sys_days october_14{std::chrono::year{2025} / 10 / 14};
inline constexpr Instant noon = Instant{october_14} + std::chrono::hours{12};
inline constexpr const char* expired = "2025-10-01 00:00:00.000000";
inline constexpr const char* young = "2025-10-14 11:00:00.000000";
inline constexpr const char* cutoff_text = "2025-10-13 12:00:00.000000";

inline constexpr const char* one_uuid = "0d1f6d0e-1111-4000-8000-00000000000a";
inline constexpr const char* another_uuid = "0d1f6d0e-2222-4000-8000-00000000000b";

/// What an interrupted pass leaves of `name`: of long ago, of this database, of another one.
inline std::string staged(const std::string& name) { return staged_entry(name, ""); }
inline constexpr const char* our_mark = "00000000000000aa";
inline std::string staged_by_us(const std::string& name) { return staged_entry(name, our_mark); }
inline std::string staged_by_others(const std::string& name) {
  return staged_entry(name, "00000000000000bb");
}

struct PlannedSession {
  std::string id;
  std::optional<std::string> created_at = expired;
  std::optional<std::string> images_dir = {};
  bool has_images_dir = true;
  bool id_is_text = true;
  std::uint64_t fingerprint = 0;
  std::string unreadable_images_dir = {};  ///< its bytes, where it is no text
};

/// A session as an upload leaves it, in `uploads/<id>`.
inline PlannedSession session(const std::string& id,
                              std::optional<std::string> created_at = expired) {
  return {id, std::move(created_at), "uploads/" + id};
}

/// One with any images_dir.
inline PlannedSession session_in(const std::string& id, const std::string& images_dir,
                                 std::optional<std::string> created_at = expired) {
  return {id, std::move(created_at), images_dir};
}

/// What a plan is made from. `--hours 24` at noon, unless a test says otherwise.
struct Situation {
  std::vector<Entry> listing;
  std::vector<PlannedSession> sessions;
  std::vector<std::string> mounts;
  Ways ways = {};  ///< where names lead, of which the planner may ask
  Rules rules{Mode::expired, noon,           noon - std::chrono::hours{24}, {},
              Named::no,     "/srv/uploads", "/srv/calibration.db",         false,
              our_mark};

  Situation& directories(const std::vector<std::string>& names) {
    for (const auto& name : names) listing.push_back({name, EntryKind::directory, 0});
    return *this;
  }
  /// A link in the folder that leads through these entries of it.
  Situation& link(const std::string& name, const std::vector<std::string>& leads_through) {
    auto& way = ways[name];
    way.push_back({name, EntryKind::link, 1});
    for (const auto& passed : leads_through) way.push_back({passed, EntryKind::directory, 1});
    return entry(name, EntryKind::link);
  }
  Situation& entry(const std::string& name, EntryKind kind) {
    listing.push_back({name, kind, 0});
    return *this;
  }
};

inline Plan plan_of(const Situation& situation) {
  Planner planner(situation.rules, FolderSpellings("/srv/uploads", "/mnt/disk/pictures", "/srv"),
                  situation.listing, situation.mounts);
  for (const auto& session : situation.sessions) {
    SessionRow row;
    row.id = session.id;
    row.id_is_text = session.id_is_text;
    if (session.created_at) row.created_at = *session.created_at;
    if (session.images_dir) row.images_dir = *session.images_dir;
    row.claimed = session.images_dir ? *session.images_dir : session.unreadable_images_dir;
    row.has_images_dir = session.has_images_dir;
    row.fingerprint = session.fingerprint;
    planner.add(row);
  }
  Ways answers;
  for (const auto& name : planner.names_to_follow()) {
    if (const auto way = situation.ways.find(name); way != situation.ways.end()) {
      answers.insert(*way);
    }
  }
  return planner.finish(situation.rules.now, answers);
}

inline std::vector<std::string> doomed_of(const Plan& plan) {
  std::vector<std::string> ids;
  for (const auto& session : plan.sessions) ids.emplace_back(session.id);
  return ids;
}

/// `path: error` of each failure.
inline std::vector<std::string> failures_of(const Plan& plan) {
  std::vector<std::string> result;
  for (const auto& failure : plan.failures) result.push_back(failure.path + ": " + failure.error);
  return result;
}

using Names = std::vector<std::string>;

}  // namespace calib::test
