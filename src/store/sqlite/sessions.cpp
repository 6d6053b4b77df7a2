#include "store/sqlite/sessions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "base/hash.hpp"
#include "store/session_keys.hpp"
#include "store/sqlite/pieces.hpp"
#include "store/sqlite/row_function.hpp"

namespace calib::sqlite {
namespace {

/// What SessionRow::fingerprint is of: values one after the other.
class Fingerprint {
 public:
  void add(int type, std::string_view bytes) {
    value_ = value_ * 31 + exact_hash(bytes) + static_cast<std::uint64_t>(type) + bytes.size();
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;
};

/// Two rows that swap their directories have fingerprints of the same sum, for values are added up
/// in them; what this makes of the two has another one. From MurmurHash3 (fmix64).
std::uint64_t scattered(std::uint64_t fingerprint) {
  auto bits = fingerprint;
  bits = (bits ^ bits >> 33U) * 0xff51afd7ed558ccdU;
  bits = (bits ^ bits >> 33U) * 0xc4ceb9fe1a85ec53U;
  return bits ^ bits >> 33U;
}

/// SQLite has no bytes for an empty value.
std::string_view bytes_of(const void* bytes, int size) {
  if (bytes == nullptr) return "";
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

/// The columns of the fingerprint, in its order, and how many they are.
std::string fingerprinted_columns(const Schema& schema) {
  return schema.has_images_dir ? "id, created_at, images_dir" : "id, created_at";
}
int fingerprinted_count(const Schema& schema) { return schema.has_images_dir ? 3 : 2; }

}  // namespace

std::string session_columns(const Schema& schema) {
  std::string columns = fingerprinted_columns(schema);
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
  Fingerprint fingerprint;
  const auto raw = [&](int column) {
    const auto value = row.getColumn(column);
    // The type first: reading a number as bytes turns it into text.
    const int type = value.getType();
    // As text where it is text: a database in UTF-16 would hand out other bytes as a blob.
    const bool is_text = type == SQLite::TEXT;
    const auto* bytes = is_text ? value.getText() : value.getBlob();
    const auto view = bytes_of(bytes, value.getBytes());
    fingerprint.add(type, view);
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
    const int next = first + fingerprinted_count(schema);
    result.id_as_text = text_of(row, next);
    if (schema.has_images_dir) result.claimed_as_text = text_of(row, next + 1);
  }
  result.fingerprint = fingerprint.value();
  return result;
}

std::optional<std::int64_t> rowid_of(SQLite::Statement& row, const Table& table) {
  if (!table.has_rowid) return std::nullopt;
  return row.getColumn(0).getInt64();
}

void SeenSessions::add(std::uint64_t fingerprint, std::optional<std::int64_t> rowid) {
  ++rows_;
  sum_ += scattered(fingerprint);
  if (rowid) highest_ = std::max(rowid, highest_);
}

void SeenSessions::remove(std::uint64_t fingerprint) {
  --rows_;
  sum_ -= scattered(fingerprint);
}

bool SeenSessions::stand(Connection& connection, const Schema& schema) const {
  const auto& table = schema.tables[schema.sessions];
  SeenSessions found;
  const auto count = static_cast<std::size_t>(fingerprinted_count(schema));
  RowFunction function(connection, count, [&](std::span<sqlite3_value*> values) {
    Fingerprint fingerprint;
    for (auto* value : values) {
      // The type first: reading a number as bytes turns it into text.
      const int type = sqlite3_value_type(value);
      const void* bytes =
          type == SQLITE_TEXT ? sqlite3_value_text(value) : sqlite3_value_blob(value);
      fingerprint.add(type, bytes_of(bytes, sqlite3_value_bytes(value)));
    }
    found.add(fingerprint.value(), std::nullopt);
    return false;
  });
  // What was added since is no change of what was seen.
  std::string up_to;
  if (table.has_rowid) {
    if (!highest_) return true;
    up_to = fmt::format("{} <= {} AND ", quoted_name(table.identity.front()), *highest_);
  }
  function.run([&] {
    SQLite::Statement rows(connection.database(),
                           fmt::format("SELECT 1 FROM main.sessions WHERE {}{}({})", up_to,
                                       RowFunction::name, fingerprinted_columns(schema)));
    while (rows.executeStep()) {
    }
  });
  return found.rows_ == rows_ && found.sum_ == sum_;
}

std::optional<std::int64_t> highest_session(Connection& connection, const Schema& schema) {
  const auto& table = schema.tables[schema.sessions];
  if (!table.has_rowid) return std::nullopt;
  const auto highest = connection.database().execAndGet(
      fmt::format("SELECT max({}) FROM main.sessions", quoted_name(table.identity.front())));
  if (highest.isNull()) return std::nullopt;
  return highest.getInt64();
}

void visit_sessions(Connection& connection, const Schema& schema, std::optional<std::int64_t> above,
                    SeenSessions& seen, const SessionVisitor& visit) {
  const auto& table = schema.tables[schema.sessions];
  const auto rowid = table.has_rowid ? quoted_name(table.identity.front()) : "NULL";
  SQLite::Statement rows(
      connection.database(),
      fmt::format("SELECT {}, {} FROM main.sessions{}", rowid, session_columns(schema),
                  above ? fmt::format(" WHERE {} > {}", rowid, *above) : ""));
  while (rows.executeStep()) {
    const auto row = session_row(rows, 1, schema);
    seen.add(row.fingerprint, rowid_of(rows, table));
    visit(row);
  }
}

}  // namespace calib::sqlite
