#include "postgresql_deletion.hpp"

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
      parts_.push_back(fmt::format("g{} AS ({})", parts_.size(), deletion));
    }
    if (!ids_.empty()) {
      parts_.push_back(fmt::format(
          "s AS (DELETE FROM {} s WHERE s.id OPERATOR(pg_catalog.=) ANY ({}::{}[]) RETURNING 1)",
          schema_.sessions().sql, parameter(array_of(ids_)), schema_.sessions().type_of("id")));
      add_result("-1", {}, "s");
    }
    if (parts_.empty()) return 0;
    // Without a result of its own a statement is no SELECT.
    if (results_.empty()) add_result("-2", {}, "(SELECT 1) nothing");
    const auto rows = connection.query(
        fmt::format("WITH {} {}", fmt::join(parts_, ", "), fmt::join(results_, " UNION ALL ")),
        parameters_);
    std::int64_t sessions = 0;
    for (int row = 0; row < rows.count(); ++row) {
      const auto part = rows.number(row, 0);
      if (part == -1) sessions = rows.number(row, 1);
      if (part >= 0) count(static_cast<std::size_t>(part), rows, row, counts);
    }
    return sessions;
  }

 private:
  std::string parameter(const std::string& value) {
    parameters_.push_back(value);
    return fmt::format("${}", parameters_.size());
  }

  void add_plain(std::size_t index) {
    const auto& direct = knowledge_.direct[index];
    std::vector<std::string> conditions;
    std::vector<std::string> returned;
    std::vector<std::string> names;
    for (const auto position : direct.keys) {
      const auto& key = schema_.keys[position];
      const auto& keys = key.is_session_id ? all_ : ids_;
      const auto column = "c." + quoted_name(key.from.front());
      conditions.push_back(fmt::format("{} OPERATOR(pg_catalog.=) ANY ({}::{}[])", column,
                                       parameter(array_of(keys)),
                                       schema_.sessions().type_of("id")));
      names.push_back(fmt::format("k{}", names.size()));
      returned.push_back(fmt::format("{}::pg_catalog.text AS {}", column, names.back()));
    }
    const auto name = fmt::format("p{}", index);
    parts_.push_back(fmt::format("{} AS (DELETE FROM {} c WHERE {} RETURNING {})", name,
                                 schema_.tables[direct.table].sql, fmt::join(conditions, " OR "),
                                 fmt::join(returned, ", ")));
    add_result(std::to_string(index), names, name);
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
