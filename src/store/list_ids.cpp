#include "store/list_ids.hpp"

#include <algorithm>
#include <set>
#include <string_view>

#include "model/session.hpp"
#include "store/session_store.hpp"

namespace calib {
namespace {

/// Somebody has pressed a key and waits.
constexpr std::chrono::milliseconds patience{500};

bool is_plain_word(std::string_view id) {
  return !id.empty() && id.front() != '-' && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace

std::string session_ids(const DatabaseLocation& database, const StopFlag& stop) {
  std::set<std::string> ids;  // a visit may come twice
  open_store(database, Access::read_only, patience, stop)
      ->visit_sessions([&](const SessionRow& row) {
        if (row.id_is_text && is_plain_word(row.id)) ids.emplace(row.id);
      });
  std::string lines;
  for (const std::string& id : ids) lines += id + '\n';
  return lines;
}

}  // namespace calib
