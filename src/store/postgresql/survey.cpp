#include "store/postgresql/survey.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace calib::postgresql {
namespace {

// Keys that the server is asked about at once: their text is in memory several times meanwhile.
constexpr std::size_t keys_at_once = 5000;

class Surveyor {
 public:
  Surveyor(Connection& connection, Knowledge& knowledge, const SessionKeys& keys, Leaked leaked)
      : connection_(connection), knowledge_(knowledge), keys_(keys), leaked_(leaked) {}

  Survey run() {
    knowledge_.leaked_keys = {};
    knowledge_.stereo_keys.clear();
    for (const auto table : knowledge_.counted_tables) {
      survey_.tables.push_back(knowledge_.schema.tables[table].name);
    }
    survey_.counts = RecordCounts(knowledge_.doomed.size(), survey_.tables.size());
    for (const auto& direct : knowledge_.direct) scan(direct);
    leaked_owners_.clear();
    knowledge_.leaked_keys = survey_.leaked_keys;
    refuse_not_leaked();
    if (knowledge_.needs_closure) add_deeper_rows();
    for (const auto& unplaced : knowledge_.schema.unplaced) look_at(unplaced);
    return std::move(survey_);
  }

 private:
  /// The sessions were read before the rows, so an upload may have come in between.
  void refuse_not_leaked() {
    const auto keys = knowledge_.leaked_keys;
    for (std::size_t first = 0; first < keys.size(); first += keys_at_once) {
      const auto some = keys.subspan(first, std::min(keys_at_once, keys.size() - first));
      const auto back = not_leaked(connection_, knowledge_.schema, some);
      for (std::size_t i = 0; i < some.size() && !back.empty(); ++i) {
        if (!back.contains(some[i])) continue;
        const auto owner = static_cast<OwnerIndex>(knowledge_.doomed.size() + first + i);
        survey_.refused.push_back({owner, Refusal::Reason::changed, {}});
      }
    }
  }

  /// The server counts, so that what comes over the network is a row for each session.
  void scan(const DirectTable& direct) {
    std::vector<std::string> values;
    std::vector<std::string> names;
    std::string large = "false";
    for (const auto position : direct.keys) {
      const auto column = "c." + quoted_name(knowledge_.schema.keys[position].from.front());
      names.push_back(fmt::format("k{}", names.size()));
      values.push_back(fmt::format("{} AS {}", limited(column), names.back()));
      large += " OR " + too_large(column);
    }
    connection_.stream(
        fmt::format("SELECT count(*), bool_or(large), {0} FROM (SELECT {1}, {2} AS large FROM {3} "
                    "c) rows GROUP BY {0}",
                    fmt::join(names, ", "), fmt::join(values, ", "), large,
                    knowledge_.schema.tables[direct.table].sql),
        {}, [&](const Rows& rows) { visit(direct, rows); });
  }

  /// A column that no key places. Values that are too large are no ids.
  void look_at(const Schema::Unplaced& unplaced) {
    const auto& column = unplaced.column;
    if (!unplaced.unread.empty()) {
      survey_.unplaced.push_back({column.what, column.remedy, {}, 0, 0, 0, unplaced.unread});
      return;
    }
    UnplacedRows found(column, keys_, knowledge_.doomed.size());
    connection_.stream(
        fmt::format("SELECT k, count(*) FROM (SELECT {} AS k FROM {} c) rows GROUP BY k",
                    limited(unplaced_value(column, "c")), unplaced.sql),
        {}, [&](const Rows& rows) {
          found.add(rows.get(0, 0).value_or(""), static_cast<std::uint64_t>(rows.number(0, 1)));
        });
    for (const auto& id : not_leaked_as_text(connection_, knowledge_.schema, found.gone())) {
      found.is_not_gone(id);
    }
    if (auto result = found.result()) survey_.unplaced.push_back(std::move(*result));
  }

  void visit(const DirectTable& direct, const Rows& rows) {
    if (rows.get(0, 1) == "t") refuse_large_value(connection_);
    std::optional<OwnerIndex> counted;
    for (std::size_t i = 0; i < direct.keys.size(); ++i) {
      const auto text = rows.get(0, static_cast<int>(i) + 2).value_or("");
      if (text.empty()) continue;
      const auto match = match_of(direct.keys[i], text);
      auto owner = match.first;
      for (const auto& named : {match.first, match.second}) {
        if (named && knowledge_.doomed[*named].id != text) note_stereo(*named, text);
      }
      if (match.leaked && leaked_ == Leaked::wanted && !counted) owner = leaked_owner(text);
      if (!counted) counted = owner;
      if (owner && match.other_stays) {
        survey_.halved_pairs[*owner] += static_cast<std::uint64_t>(rows.number(0, 0));
      }
    }
    if (!counted || !direct.plain) return;
    survey_.counts.at(*counted, knowledge_.column_of(direct.table)) +=
        static_cast<std::uint32_t>(rows.number(0, 0));
  }

  [[nodiscard]] SessionKeys::Match match_of(std::size_t key, std::string_view text) const {
    if (knowledge_.schema.keys[key].is_session_id) return keys_.match_session_id(text);
    return {keys_.doomed(text), std::nullopt, false};
  }

  void note_stereo(OwnerIndex owner, std::string_view key) {
    auto& known = knowledge_.stereo_keys;
    const auto [first, last] = known.equal_range(owner);
    const bool is_known =
        std::any_of(first, last, [&](const auto& entry) { return entry.second == key; });
    if (!is_known) known.emplace(owner, key);
  }

  OwnerIndex leaked_owner(std::string_view key) {
    const auto next = knowledge_.doomed.size() + survey_.leaked_keys.size();
    const auto [position, is_new] = leaked_owners_.emplace(key, static_cast<OwnerIndex>(next));
    if (is_new) {
      survey_.leaked_keys.emplace_back(key);
      survey_.counts.add_owners(1);
    }
    return position->second;
  }

  /// Rows of the tables that a session's key does not tell all about, and who may not go for their
  /// sake.
  void add_deeper_rows() {
    std::vector<Closure::Start> starts;
    for (std::size_t i = 0; i < knowledge_.doomed.size() + knowledge_.leaked_keys.size(); ++i) {
      const auto owner = static_cast<OwnerIndex>(i);
      starts.push_back(
          {owner, std::string(knowledge_.key_of(owner)), knowledge_.is_session(owner)});
    }
    for (const auto& [owner, key] : knowledge_.stereo_keys) starts.push_back({owner, key, false});
    Closure closure(connection_, knowledge_.schema, knowledge_.covered, Closure::Lock::nothing);
    closure.find(starts);
    const auto held = take_held_out(closure);
    survey_.refused.insert(survey_.refused.end(), held.begin(), held.end());
    closure.count(survey_.counts, [&](std::size_t table) { return knowledge_.column_of(table); });
  }

  Connection& connection_;
  Knowledge& knowledge_;
  const SessionKeys& keys_;
  Leaked leaked_;
  Survey survey_;
  std::map<std::string, OwnerIndex, std::less<>> leaked_owners_;
};

}  // namespace

Survey survey_records(Connection& connection, Knowledge& knowledge, const SessionKeys& keys,
                      Leaked leaked) {
  return Surveyor(connection, knowledge, keys, leaked).run();
}

}  // namespace calib::postgresql
