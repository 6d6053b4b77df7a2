#include "store/sqlite/knowledge.hpp"

#include <algorithm>

#include "store/session_keys.hpp"
#include "store/sqlite/pieces.hpp"
#include "webapp/session_id.hpp"

namespace calib::sqlite {

std::size_t Knowledge::column_of(std::size_t table) const {
  const auto found = std::find(counted_tables.begin(), counted_tables.end(), table);
  return static_cast<std::size_t>(found - counted_tables.begin());
}

std::int64_t read_data_version(Connection& connection) {
  return connection.database().execAndGet("PRAGMA main.data_version").getInt64();
}

std::int64_t read_schema_version(Connection& connection) {
  return connection.database().execAndGet("PRAGMA main.schema_version").getInt64();
}

void require_same_schema(Connection& connection, const Knowledge& knowledge) {
  if (read_schema_version(connection) == knowledge.schema_version) return;
  throw PassError(PassError::Kind::unusable, connection.path(),
                  "the database was changed in its structure (or vacuumed) while the pass read it; "
                  "run again");
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
