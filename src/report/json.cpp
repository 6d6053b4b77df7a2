#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "report/audit.hpp"
#include "report/report.hpp"

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

/// Null where it has none that can be meant.
Json age_or_null(const std::optional<Instant>& created, Instant now) {
  if (!created || *created > now) return nullptr;
  return std::chrono::duration_cast<std::chrono::seconds>(now - *created).count();
}

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(valid_utf8(text));
}

std::string_view why_name(Stays why) {
  switch (why) {
    case Stays::young:
      return "young";
    case Stays::kept_by_name:
      return "kept_by_name";
    case Stays::undated:
      return "undated";
    case Stays::future:
      return "future";
    case Stays::not_asked:
      return "not_asked";
    case Stays::left_whole:
      break;
  }
  return "left_whole";
}

Json kept_json(const KeptSession& session, Instant now) {
  return {{"id", valid_utf8(session.id)},
          {"created_at", text_or_null(session.created_at)},
          {"age_seconds", age_or_null(session.created(), now)},
          {"directory", text_or_null(session.directory)},
          {"files", session.usage.files},
          {"allocated_bytes", session.usage.allocated_bytes},
          {"apparent_bytes", session.usage.apparent_bytes},
          {"why", why_name(session.why)}};
}

Json age_json(const AgeRow& row) {
  return {{"from_hours", row.from_hours},
          {"to_hours", or_null(row.to_hours)},
          {"sessions", row.sessions},
          {"allocated_bytes", row.allocated_bytes},
          {"freed_bytes", row.freed_bytes}};
}

Json disk_json(const std::optional<DiskSpace>& disk) {
  if (!disk) return nullptr;
  return {{"bytes", disk->bytes},
          {"used_bytes", disk->used_bytes},
          {"available_bytes", disk->available_bytes}};
}

Json directories_json(const std::optional<Directories>& directories) {
  if (!directories) return nullptr;
  return {{"directories", directories->count},
          {"allocated_bytes", or_null(directories->allocated_bytes)}};
}

Json session_json(const SessionLine& session, const std::vector<std::string>& tables, Instant now) {
  Json records = Json::object();
  for (std::size_t at = 0; at < session.records.size() && at < tables.size(); ++at) {
    if (session.records[at] != 0) records[tables[at]] = session.records[at];
  }
  return {{"id", valid_utf8(session.id)},
          {"created_at", text_or_null(session.created_at)},
          {"age_seconds", age_or_null(session.created, now)},
          {"directory", valid_utf8(session.directory)},
          {"files", session.usage.files},
          {"allocated_bytes", session.usage.allocated_bytes},
          {"apparent_bytes", session.usage.apparent_bytes},
          {"records", std::move(records)}};
}

Json orphan_json(const OrphanLine& orphan) {
  return {{"name", valid_utf8(orphan.name)},
          {"changed_at", instant_or_null(orphan.changed)},
          {"files", orphan.usage.files},
          {"allocated_bytes", orphan.usage.allocated_bytes},
          {"apparent_bytes", orphan.usage.apparent_bytes}};
}

Json orphaned_records_json(const Report& report) {
  Json records = Json::object();
  for (const auto& [table, rows] : report.orphaned_records) {
    if (rows != 0) records[valid_utf8(table)] = rows;
  }
  return records;
}

Json error_json(const Failure& failure) {
  return {{"path", valid_utf8(failure.path)}, {"error", valid_utf8(failure.error)}};
}

std::string rest_like(const std::string& warning, std::uint64_t count) {
  return fmt::format("{}; … and {} more of that kind", warning, count - 1);
}

Failure rest_like(const Failure& failure, std::uint64_t count) {
  return {failure.path, rest_like(failure.error, count), failure.kind};
}

/// What is kept, and one for each kind of which more is not.
template <typename List>
std::vector<typename List::value_type> with_rest(const List& list) {
  std::vector<typename List::value_type> all = list;
  list.for_each_rest([&](const auto& like, std::uint64_t count) {
    all.push_back(count == 1 ? like : rest_like(like, count));
  });
  return all;
}

/// `value` as text, to stand `indent` columns from the left.
std::string dumped(const Json& value, std::size_t indent) {
  std::string text;
  // ASCII only: C1 controls and characters that turn text around are escaped, too; DEL is left.
  for (const char c : value.dump(2, ' ', true, Json::error_handler_t::replace)) {
    if (c == '\x7f') {
      text += "\\u007f";
      continue;
    }
    text += c;
    if (c == '\n') text.append(indent, ' ');  // in a value it is escaped
  }
  return text;
}

/// One object, written member by member as Json::dump() would write it in one piece.
class Document {
 public:
  explicit Document(const TextSink& write) : write_(write) {}

  void member(const std::string& key, const Json& value) {
    begin_member(key);
    put(dumped(value, 2));
  }

  void members(const Json& object) {
    for (const auto& [key, value] : object.items()) member(key, value);
  }

  template <typename List, typename ToJson>
  void list(const std::string& key, const List& list, const ToJson& to_json) {
    begin_member(key);
    put("[");
    const char* separator = "\n    ";
    for (const auto& element : list) {
      put(std::exchange(separator, ",\n    "));
      put(dumped(to_json(element), 4));
    }
    put(std::size(list) == 0 ? "]" : "\n  ]");
  }

  void end() {
    put("\n}\n");
    write_(part_);
  }

 private:
  static constexpr std::size_t part_size = 64UL * 1024;

  void begin_member(const std::string& key) {
    put(std::exchange(before_member_, ",\n  "));
    put(dumped(key, 0));
    put(": ");
  }

  void put(std::string_view text) {
    part_ += text;
    if (part_.size() < part_size) return;
    write_(part_);
    part_.clear();
  }

  const TextSink& write_;
  std::string part_;
  const char* before_member_ = "{\n  ";
};

/// What only a dry run looks at.
void write_audit(Document& document, const Report& report) {
  if (report.outcome != Outcome::done) {
    for (const auto* key :
         {"kept_sessions", "by_age", "undated", "unclaimed_kept", "database_bytes", "disk"}) {
      document.member(key, nullptr);
    }
    return;
  }
  document.list("kept_sessions", largest_first(report.kept_sessions),
                [&](const KeptSession* session) { return kept_json(*session, report.started); });
  const auto audit = audit_of(report);
  document.list("by_age", audit.ages, age_json);
  document.members(
      {{"undated", {{"sessions", audit.undated}, {"allocated_bytes", audit.undated_bytes}}},
       {"unclaimed_kept",
        {{"directories", report.unclaimed_kept_count},
         {"allocated_bytes", report.unclaimed_kept.allocated_bytes}}},
       {"database_bytes", or_null(report.database_bytes)},
       {"disk", disk_json(report.disk)}});
}

}  // namespace

void json_report(const Report& report, const TextSink& write) {
  const bool by_age = report.mode == Mode::expired;
  std::vector<std::string> tables;
  tables.reserve(report.tables.size());
  for (const std::string& table : report.tables) tables.push_back(valid_utf8(table));

  Document document(write);
  document.members({{"message", valid_utf8(message(report))},
                    {"deleted_sessions", deleted_sessions(report)},
                    {"deleted_orphaned_directories", deleted_directories(report)},
                    {"dry_run", report.dry_run == DryRun::yes},
                    {"status", exit_status(report)},
                    {"hours", by_age ? Json(report.hours) : Json(nullptr)},
                    {"cutoff", by_age ? instant_or_null(report.cutoff) : Json(nullptr)},
                    {"proof", report.proof.empty() ? Json(nullptr) : Json(report.proof)},
                    {"database", valid_utf8(report.database)},
                    {"uploads", valid_utf8(report.uploads)}});
  document.list("sessions", largest_first(report.sessions), [&](const SessionLine* session) {
    return session_json(*session, tables, report.started);
  });
  document.list("orphans", largest_first(report.orphans),
                [](const OrphanLine* orphan) { return orphan_json(*orphan); });
  if (report.dry_run == DryRun::yes) write_audit(document, report);
  document.members(
      {{"orphaned_records", orphaned_records_json(report)},
       {"halved_stereo_results", report.halved_pairs},
       {"recovered", {{"restored", report.recovery.restored}, {"purged", report.recovery.purged}}},
       {"kept",
        {{"sessions", or_null(report.kept.sessions)},
         {"directories", or_null(report.kept.directories)},
         {"allocated_bytes", or_null(report.kept.allocated_bytes)}}},
       {"staged", directories_json(report.staged)},
       {"spared_orphans", directories_json(report.spared)},
       {"freed_bytes", report.freed_bytes},
       {"uploads_allocated_bytes", or_null(report.total_bytes)},
       {"database_free_bytes", or_null(report.database_free_bytes)},
       {"vacuumed_bytes", or_null(report.vacuumed_bytes)},
       {"duration_seconds", std::chrono::duration<double>(report.duration).count()}});
  document.list("warnings", with_rest(report.warnings),
                [](const std::string& warning) { return Json(valid_utf8(warning)); });
  document.list("errors", with_rest(report.errors), error_json);
  document.member("version", CALIB_CLEANUP_VERSION);
  document.end();
}

}  // namespace calib
