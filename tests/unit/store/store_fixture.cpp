#include "unit/store/store_fixture.hpp"

#include <SQLiteCpp/Backup.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

namespace calib::test {
namespace {

using Rows = std::map<std::string, std::vector<std::string>>;

std::string quoted(const std::string& name) {
  std::string result = "\"";
  for (const char c : name) {
    result += c;
    if (c == '"') result += c;
  }
  return result.append("\"");
}

Rows rows_of(SQLite::Database& database) {
  Rows result;
  SQLite::Statement tables(database, "SELECT name FROM sqlite_schema WHERE type = 'table'");
  while (tables.executeStep()) {
    const auto table = tables.getColumn(0).getString();
    std::vector<std::string> values;
    SQLite::Statement columns(database, "SELECT name FROM pragma_table_xinfo(?1)");
    columns.bind(1, table);
    while (columns.executeStep()) {
      values.push_back(fmt::format("quote({})", quoted(columns.getColumn(0).getString())));
    }
    auto& rows = result[table];
    SQLite::Statement select(
        database,
        fmt::format("SELECT {} FROM {}", fmt::join(values, " || ', ' || "), quoted(table)));
    while (select.executeStep()) rows.push_back(select.getColumn(0).getString());
    std::sort(rows.begin(), rows.end());
  }
  return result;
}

std::string list_of(const std::vector<std::string>& ids) {
  std::vector<std::string> literals;
  literals.reserve(ids.size());
  for (const auto& id : ids) literals.push_back(literal(id));
  return fmt::format("{}", fmt::join(literals, ", "));
}

}  // namespace

std::string uuid(unsigned number) {
  return fmt::format("{:08x}-0000-4000-8000-000000000000", number);
}

void outlast_a_piece() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(110);
  while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
}

WaitingWriter::WaitingWriter(const SessionDb& database, std::string sql)
    : thread_([this, &database, sql = std::move(sql)] {
        auto app = database.connect();
        app.setBusyTimeout(60'000);
        told_.wait();
        app.exec(sql);
        done_ = true;
      }) {}

void WaitingWriter::begin() {
  if (!std::exchange(has_begun_, true)) told_.count_down();
}

std::string stereo(const std::string& left, const std::string& right) {
  return fmt::format("stereo_{}_{}", left, right);
}

std::string literal(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    result += c;
    if (c == '\'') result += c;
  }
  return result.append("'");
}

SessionDb::SessionDb(const std::string& sql) {
  SQLite::Database database(path().string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  database.exec("PRAGMA synchronous=OFF");
  database.exec(sql);
}

SQLite::Database SessionDb::connect() const {
  SQLite::Database database(path().string(), SQLite::OPEN_READWRITE);
  database.exec("PRAGMA synchronous=OFF");  // no test takes the power away
  return database;
}

void SessionDb::execute(const std::string& sql) const { connect().exec(sql); }

std::int64_t SessionDb::number(const std::string& sql) const {
  return connect().execAndGet(sql).getInt64();
}

std::string SessionDb::text(const std::string& sql) const {
  return connect().execAndGet(sql).getString();
}

void SessionDb::add(const std::vector<std::string>& ids) const {
  auto database = connect();
  SQLite::Transaction transaction(database);
  SQLite::Statement insert(database,
                           "INSERT INTO sessions (id, images_dir, created_at) VALUES (?1, ?2, ?3)");
  for (const auto& id : ids) {
    insert.bind(1, id);
    insert.bind(2, "uploads/" + id);
    insert.bind(3, old_date);
    insert.exec();
    insert.reset();
  }
  transaction.commit();
}

Rows SessionDb::rows() const {
  auto database = connect();
  return rows_of(database);
}

std::unique_ptr<SessionStore> SessionDb::open(Access access) const {
  DatabaseLocation location;
  location.path = path();
  location.display = path().string();
  return open_store(location, access, std::chrono::seconds(2), *stop_);
}

Visited copy_of(const SessionRow& row) {
  Visited result;
  result.id = row.id;
  result.id_is_text = row.id_is_text;
  result.claimed = row.claimed;
  result.has_images_dir = row.has_images_dir;
  result.fingerprint = row.fingerprint;
  if (row.created_at) result.created_at = *row.created_at;
  if (row.images_dir) result.images_dir = *row.images_dir;
  return result;
}

std::vector<std::string> ids_of(const std::vector<Visited>& sessions) {
  std::vector<std::string> ids;
  for (const auto& session : sessions) ids.push_back(session.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

StorePass::StorePass(const SessionDb& database, Access access) : store_(database.open(access)) {}

void StorePass::look(const std::vector<std::string>& doomed, Leaked leaked) {
  const std::set<std::string> wanted(doomed.begin(), doomed.end());
  store_->visit_sessions([&](const SessionRow& row) { sessions_.push_back(copy_of(row)); });
  for (const auto& session : sessions_) {
    if (wanted.contains(session.id)) ids_.push_back(session.id);
  }
  for (const auto& id : ids_) {
    const auto session = std::find_if(sessions_.begin(), sessions_.end(),
                                      [&](const Visited& visited) { return visited.id == id; });
    doomed_.push_back({id, session->fingerprint});
  }
  survey_ = store_->survey(doomed_, leaked);
}

OwnerIndex StorePass::owner(const std::string& key) const {
  auto found = std::find(ids_.begin(), ids_.end(), key);
  if (found != ids_.end()) return static_cast<OwnerIndex>(found - ids_.begin());
  const auto leaked = std::find(survey_.leaked_keys.begin(), survey_.leaked_keys.end(), key);
  if (leaked == survey_.leaked_keys.end()) throw std::out_of_range("no owner " + key);
  return static_cast<OwnerIndex>(ids_.size() +
                                 static_cast<std::size_t>(leaked - survey_.leaked_keys.begin()));
}

std::vector<OwnerIndex> StorePass::owners(const std::vector<std::string>& keys) const {
  std::vector<OwnerIndex> result;
  result.reserve(keys.size());
  for (const auto& key : keys) result.push_back(owner(key));
  return result;
}

std::vector<OwnerIndex> StorePass::all() const {
  std::set<OwnerIndex> out;
  for (const auto& refusal : survey_.refused) {
    if (refusal.reason != Refusal::Reason::held) out.insert(refusal.owner);
  }
  std::vector<OwnerIndex> result;
  for (OwnerIndex owner = 0; owner < ids_.size() + survey_.leaked_keys.size(); ++owner) {
    if (!out.contains(owner)) result.push_back(owner);
  }
  return result;
}

Refused StorePass::named(const std::vector<Refusal>& refusals) const {
  Refused result;
  for (const auto& refusal : refusals) {
    const auto& key = refusal.owner < ids_.size()
                          ? ids_[refusal.owner]
                          : survey_.leaked_keys[refusal.owner - ids_.size()];
    switch (refusal.reason) {
      case Refusal::Reason::gone:
        result[key] = "gone";
        break;
      case Refusal::Reason::changed:
        result[key] = "changed";
        break;
      case Refusal::Reason::held:
        result[key] = "held by " + refusal.detail;
        break;
    }
  }
  return result;
}

Counted StorePass::named(const RecordCounts& counts) const {
  Counted result;
  for (OwnerIndex owner = 0; owner < ids_.size() + survey_.leaked_keys.size(); ++owner) {
    const auto& key = owner < ids_.size() ? ids_[owner] : survey_.leaked_keys[owner - ids_.size()];
    for (std::size_t table = 0; table < survey_.tables.size(); ++table) {
      if (const auto rows = counts.at(owner, table); rows > 0) {
        result[key][survey_.tables[table]] = rows;
      }
    }
  }
  return result;
}

RecordCounts StorePass::no_counts() const {
  return {ids_.size() + survey_.leaked_keys.size(), survey_.tables.size()};
}

std::unique_ptr<StoreTransaction> StorePass::begin() {
  return store_->begin(std::chrono::seconds(2));
}

Deleted delete_chosen(StorePass& pass, const std::vector<OwnerIndex>& owners) {
  Deleted result;
  result.surveyed = pass.surveyed();
  result.surveyed_refused = pass.named(pass.survey().refused);
  auto counts = pass.no_counts();
  const auto transaction = pass.begin();
  result.refused = pass.named(transaction->choose(owners));
  transaction->delete_records(counts);
  result.outcome = transaction->commit();
  result.rows = pass.named(counts);
  return result;
}

Deleted delete_sessions(const SessionDb& database, const std::vector<std::string>& doomed,
                        Leaked leaked) {
  StorePass pass(database);
  pass.look(doomed, leaked);
  return delete_chosen(pass, pass.all());
}

std::optional<Rows> rows_after_sqlites_own_cascade(const SessionDb& database,
                                                   const std::vector<std::string>& doomed) {
  SQLite::Database copy(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  auto original = database.connect();
  SQLite::Backup(copy, original).executeStep(-1);
  copy.exec("PRAGMA foreign_keys=ON");
  try {
    copy.exec(fmt::format("DELETE FROM sessions WHERE id IN ({})", list_of(doomed)));
  } catch (const SQLite::Exception& error) {
    if (error.getErrorCode() != SQLITE_CONSTRAINT) throw;
    return std::nullopt;
  }
  return rows_of(copy);
}

}  // namespace calib::test
