#include "sqlite_knowledge.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "session_keys.hpp"
#include "sqlite_pieces.hpp"

namespace calib::sqlite {

std::size_t Knowledge::column_of(std::size_t table) const {
  const auto found = std::find(counted_tables.begin(), counted_tables.end(), table);
  return static_cast<std::size_t>(found - counted_tables.begin());
}

std::string session_columns(const Schema& schema) {
  std::string columns = schema.has_images_dir ? "id, created_at, images_dir" : "id, created_at";
  if (!schema.is_utf16) return columns;
  const auto as_text = [](const char* column) {
    return fmt::format(", CASE typeof({0}) WHEN 'blob' THEN CAST({0} AS TEXT) END", column);
  };
  columns += as_text("id");
  if (schema.has_images_dir) columns += as_text("images_dir");
  return columns;
}

SessionRow session_row(SQLite::Statement& row, int first, const Schema& schema) {
  struct Raw {
    std::string_view bytes;
    bool is_text;
  };
  std::uint64_t fingerprint = 0;
  const auto raw = [&](int column) {
    const auto value = row.getColumn(column);
    // The type first: reading a number as bytes turns it into text.
    const int type = value.getType();
    // As text where it is text: a database in UTF-16 would hand out other bytes as a blob.
    const bool is_text = type == SQLite::TEXT;
    const auto* bytes = is_text ? value.getText() : static_cast<const char*>(value.getBlob());
    const auto size = static_cast<std::size_t>(value.getBytes());
    const std::string_view view(bytes == nullptr ? "" : bytes, bytes == nullptr ? 0 : size);
    fingerprint = fingerprint * 31 + exact_hash(view) + static_cast<std::uint64_t>(type) + size;
    return Raw{view, is_text};
  };
  const auto whole = [](std::string_view value) {
    return value.find('\0') == std::string_view::npos;
  };
  SessionRow result;
  result.has_images_dir = schema.has_images_dir;
  const auto id = raw(first);
  result.id = id.bytes;
  result.id_is_text = id.is_text && !id.bytes.empty() && whole(id.bytes);
  if (const auto created = raw(first + 1); created.is_text) result.created_at = created.bytes;
  if (schema.has_images_dir) {
    const auto directory = raw(first + 2);
    result.claimed = directory.bytes;
    if (directory.is_text && whole(directory.bytes)) result.images_dir = directory.bytes;
  }
  if (schema.is_utf16) {
    const int next = first + (schema.has_images_dir ? 3 : 2);
    result.id_as_text = text_of(row, next);
    if (schema.has_images_dir) result.claimed_as_text = text_of(row, next + 1);
  }
  result.fingerprint = fingerprint;
  return result;
}

void visit_all_sessions(Connection& connection, const Schema& schema, const SessionVisitor& visit) {
  SQLite::Statement rows(connection.database(),
                         fmt::format("SELECT {} FROM main.sessions", session_columns(schema)));
  while (rows.executeStep()) visit(session_row(rows, 0, schema));
}

std::int64_t read_data_version(Connection& connection) {
  return connection.database().execAndGet("PRAGMA main.data_version").getInt64();
}

std::int64_t read_schema_version(Connection& connection) {
  return connection.database().execAndGet("PRAGMA main.schema_version").getInt64();
}

RunStatement::RunStatement(Connection& connection, const Knowledge& knowledge,
                           const std::string& sql)
    : knowledge_(knowledge),
      statement_(connection.database(), sql),
      takes_owner_(statement_.getBindParameterCount() == 4) {}

std::uint32_t RunStatement::execute(const Run& run) {
  statement_.bind(1, run.first);
  statement_.bind(2, run.last);
  statement_.bind(3, std::string(knowledge_.key_of(run.owner)));
  if (takes_owner_) statement_.bind(4, static_cast<std::int64_t>(run.owner));
  const int changed = statement_.exec();
  statement_.reset();
  return static_cast<std::uint32_t>(changed);
}

bool LeakCheck::stands(std::string_view id) {
  look_.bind(1, std::string(id));
  const bool found = look_.executeStep();
  look_.reset();
  return found;
}

bool LeakCheck::is_leaked(std::string_view key) {
  if (stands(key)) return false;
  const auto halves = stereo_halves(key);
  return !halves || !stands(halves->first) || !stands(halves->second);
}

}  // namespace calib::sqlite
