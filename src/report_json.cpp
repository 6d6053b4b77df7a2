#include <cstddef>
#include <nlohmann/json.hpp>

#include "report.hpp"
#include "text.hpp"

namespace calib {
namespace {

using Json = nlohmann::ordered_json;

// Every text goes through valid_utf8: names on disk are bytes, and what a reader gets must show
// which bytes, not a row of replacement characters.

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json instant_or_null(const std::optional<Instant>& instant) {
  return instant ? Json(format_iso(*instant)) : Json(nullptr);
}

Json strings_json(const std::vector<std::string>& strings) {
  Json array = Json::array();
  for (const std::string& string : strings) array.push_back(valid_utf8(string));
  return array;
}

Json session_json(const SessionLine& session, const std::vector<std::string>& tables) {
  Json records = Json::object();
  for (std::size_t at = 0; at < session.records.size() && at < tables.size(); ++at) {
    if (session.records[at] != 0) records[tables[at]] = session.records[at];
  }
  return {{"id", valid_utf8(session.id)},
          {"created_at",
           session.created_at.empty() ? Json(nullptr) : Json(valid_utf8(session.created_at))},
          {"directory", valid_utf8(session.directory)},
          {"files", session.usage.files},
          {"allocated_bytes", session.usage.allocated_bytes},
          {"apparent_bytes", session.usage.apparent_bytes},
          {"records", std::move(records)}};
}

Json sessions_json(const Report& report) {
  std::vector<std::string> tables;
  tables.reserve(report.tables.size());
  for (const std::string& table : report.tables) tables.push_back(valid_utf8(table));

  Json array = Json::array();
  for (const SessionLine* session : largest_first(report.sessions)) {
    array.push_back(session_json(*session, tables));
  }
  return array;
}

Json orphans_json(const Report& report) {
  Json array = Json::array();
  for (const OrphanLine* orphan : largest_first(report.orphans)) {
    array.push_back({{"name", valid_utf8(orphan->name)},
                     {"changed_at", instant_or_null(orphan->changed)},
                     {"files", orphan->usage.files},
                     {"allocated_bytes", orphan->usage.allocated_bytes},
                     {"apparent_bytes", orphan->usage.apparent_bytes}});
  }
  return array;
}

Json orphaned_records_json(const Report& report) {
  Json records = Json::object();
  for (const auto& [table, rows] : report.orphaned_records) {
    if (rows != 0) records[valid_utf8(table)] = rows;
  }
  return records;
}

Json errors_json(const Report& report) {
  Json array = Json::array();
  for (const Failure& failure : report.errors) {
    array.push_back({{"path", valid_utf8(failure.path)}, {"error", valid_utf8(failure.error)}});
  }
  return array;
}

}  // namespace

std::string json_report(const Report& report) {
  const bool by_age = report.mode == Mode::expired;
  const Json document = {
      {"message", valid_utf8(message(report))},
      {"deleted_sessions", report.sessions.size()},
      {"deleted_orphaned_directories", report.orphans.size()},
      {"dry_run", report.dry_run == DryRun::yes},
      {"status", exit_status(report)},
      {"hours", by_age ? Json(report.hours) : Json(nullptr)},
      {"cutoff", by_age ? instant_or_null(report.cutoff) : Json(nullptr)},
      {"database", valid_utf8(report.database)},
      {"uploads", valid_utf8(report.uploads)},
      {"sessions", sessions_json(report)},
      {"orphans", orphans_json(report)},
      {"orphaned_records", orphaned_records_json(report)},
      {"recovered", {{"restored", report.recovery.restored}, {"purged", report.recovery.purged}}},
      {"kept",
       {{"sessions", report.kept.sessions},
        {"directories", report.kept.directories},
        {"allocated_bytes", or_null(report.kept.allocated_bytes)}}},
      {"freed_bytes", report.freed_bytes},
      {"uploads_allocated_bytes", or_null(report.total_bytes)},
      {"vacuumed_bytes", or_null(report.vacuumed_bytes)},
      {"duration_seconds", std::chrono::duration<double>(report.duration).count()},
      {"warnings", strings_json(report.warnings)},
      {"errors", errors_json(report)},
      {"version", CALIB_CLEANUP_VERSION}};
  // ASCII only: C1 controls and characters that turn text around are escaped, too; DEL is left.
  auto text = document.dump(2, ' ', true, Json::error_handler_t::replace) + '\n';
  for (auto at = text.find('\x7f'); at != std::string::npos; at = text.find('\x7f', at)) {
    text.replace(at, 1, "\\u007f");
  }
  return text;
}

}  // namespace calib
