#include "store/postgresql/deletion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace calib::postgresql {
namespace {

/// Puts one DELETE of everything together. Where all goes in one statement, what foreign keys say
/// is looked at when all of it is gone: no order is right for every schema.
class Deletion {
 public:
  Deletion(const Knowledge& knowledge, const OwnersByKey& sessions, const OwnersByKey& other_keys)
      : knowledge_(knowledge),
        schema_(knowledge.schema),
        sessions_(sessions),
        other_keys_(other_keys) {
    for (const auto& [id, owner] : sessions) ids_.push_back(id);
    all_ = ids_;
    for (const auto& [key, owner] : other_keys) all_.push_back(key);
  }

  /// How many sessions went; the records are added to `counts`.
  std::int64_t run(Connection& connection, const Closure& closure, RecordCounts& counts) {
    const auto& direct = knowledge_.direct;
    for (const auto& table : direct) width_ = std::max(width_, table.keys.size());
    for (std::size_t i = 0; i < direct.size(); ++i) {
      if (direct[i].plain) add_plain(i);
    }
    for (const auto& deletion : closure.deletions([&](const auto& v) { return parameter(v); })) {
      const auto name = fmt::format("g{}", parts_.size());
      parts_.push_back(fmt::format("{} AS ({})", name, deletion));
      add_result(std::to_string(by_place), {}, name);
    }
    if (!ids_.empty()) {
      parts_.push_back(fmt::format(
          "s AS (DELETE FROM {} s WHERE s.id OPERATOR(pg_catalog.=) ANY ({}::{}[]) RETURNING 1)",
          schema_.sessions().sql, parameter(array_of(ids_)), schema_.sessions().type_of("id")));
      add_result(std::to_string(of_sessions), {}, "s");
    }
    if (parts_.empty()) return 0;
    const auto rows = connection.query(
        fmt::format("WITH {} {}", fmt::join(parts_, ", "), fmt::join(results_, " UNION ALL ")),
        parameters_);
    std::int64_t sessions = 0;
    std::int64_t placed = 0;
    for (int row = 0; row < rows.count(); ++row) {
      const auto part = rows.number(row, 0);
      if (part == of_sessions) sessions = rows.number(row, 1);
      if (part == by_place) placed += rows.number(row, 1);
      if (part >= 0) count(static_cast<std::size_t>(part), rows, row, counts);
    }
    if (placed != static_cast<std::int64_t>(closure.size()) || any_kept(connection)) {
      throw connection.failure(PassError::Kind::refused, trigger_keeps);
    }
    return sessions;
  }

 private:
  // Results that are not those of a plain table.
  static constexpr int of_sessions = -1;
  static constexpr int by_place = -2;

  std::string parameter(const std::string& value) {
    parameters_.push_back(value);
    return fmt::format("${}", parameters_.size());
  }

  /// Which rows of a plain table go, as SQL for each of its keys.
  std::vector<std::string> conditions_of(const DirectTable& direct) {
    std::vector<std::string> conditions;
    for (const auto position : direct.keys) {
      const auto& key = schema_.keys[position];
      conditions.push_back(fmt::format(
          "c.{} OPERATOR(pg_catalog.=) ANY ({}::{}[])", quoted_name(key.from.front()),
          parameter(array_of(key.is_session_id ? all_ : ids_)), schema_.sessions().type_of("id")));
    }
    return conditions;
  }

  void add_plain(std::size_t index) {
    const auto& direct = knowledge_.direct[index];
    const auto conditions = conditions_of(direct);
    std::vector<std::string> returned;
    std::vector<std::string> names;
    for (const auto position : direct.keys) {
      names.push_back(fmt::format("k{}", names.size()));
      returned.push_back(fmt::format("c.{}::pg_catalog.text AS {}",
                                     quoted_name(schema_.keys[position].from.front()),
                                     names.back()));
    }
    const auto name = fmt::format("p{}", index);
    parts_.push_back(fmt::format("{} AS (DELETE FROM {} c WHERE {} RETURNING {})", name,
                                 schema_.tables[direct.table].sql, fmt::join(conditions, " OR "),
                                 fmt::join(returned, ", ")));
    add_result(std::to_string(index), names, name);
  }

  /// Whether rows of plain tables are still there: a trigger can keep them, and nobody is told. To
  /// look takes as long as to delete, so it is done only where there is such a trigger; none can
  /// come from here on.
  bool any_kept(Connection& connection) {
    const auto triggers = connection.query(
        "SELECT 1 FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid "
        "OPERATOR(pg_catalog.=) t.tgrelid WHERE NOT t.tgisinternal AND t.tgenabled "
        "OPERATOR(pg_catalog.<>) 'D' AND pg_catalog.int2and(t.tgtype, 11::pg_catalog.int2) "
        "OPERATOR(pg_catalog.=) 11 AND (c.relispartition OR c.oid OPERATOR(pg_catalog.=) ANY "
        "($1::pg_catalog.oid[]))",
        {schema_.oids()});
    if (triggers.count() == 0) return false;
    parameters_.clear();
    std::vector<std::string> kept;
    for (const auto& direct : knowledge_.direct) {
      if (!direct.plain) continue;
      kept.push_back(fmt::format("EXISTS (SELECT 1 FROM {} c WHERE {})",
                                 schema_.tables[direct.table].sql,
                                 fmt::join(conditions_of(direct), " OR ")));
    }
    if (kept.empty()) return false;
    return connection.query(fmt::format("SELECT {}", fmt::join(kept, " OR ")), parameters_)
               .text(0, 0) == "t";
  }

  void add_result(const std::string& number, const std::vector<std::string>& names,
                  const std::string& from) {
    std::string columns;
    std::string group = names.empty() ? "" : fmt::format(" GROUP BY {}", fmt::join(names, ", "));
    for (const auto& name : names) columns += ", " + name;
    for (auto i = names.size(); i < width_; ++i) columns += ", NULL::pg_catalog.text";
    results_.push_back(
        fmt::format("SELECT {}, pg_catalog.count(*){} FROM {}{}", number, columns, from, group));
  }

  void count(std::size_t index, const Rows& rows, int row, RecordCounts& counts) const {
    const auto& direct = knowledge_.direct[index];
    for (std::size_t i = 0; i < direct.keys.size(); ++i) {
      const auto value = rows.text(row, static_cast<int>(i) + 2);
      auto found = sessions_.find(value);
      if (found == sessions_.end()) {
        if (!schema_.keys[direct.keys[i]].is_session_id) continue;
        found = other_keys_.find(value);
        if (found == other_keys_.end()) continue;
      }
      counts.at(found->second, knowledge_.column_of(direct.table)) +=
          static_cast<std::uint32_t>(rows.number(row, 1));
      return;
    }
  }

  const Knowledge& knowledge_;
  const Schema& schema_;
  const OwnersByKey& sessions_;
  const OwnersByKey& other_keys_;
  std::vector<std::string> ids_;
  std::vector<std::string> all_;
  std::size_t width_ = 0;
  std::vector<std::string> parts_;
  std::vector<std::string> results_;
  std::vector<std::string> parameters_;
};

}  // namespace

std::int64_t delete_rows(Connection& connection, const Knowledge& knowledge, const Closure& closure,
                         const OwnersByKey& sessions, const OwnersByKey& other_keys,
                         RecordCounts& counts) {
  return Deletion(knowledge, sessions, other_keys).run(connection, closure, counts);
}

}  // namespace calib::postgresql
