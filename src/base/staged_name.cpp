#include "base/staged_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace calib {
namespace {

constexpr std::size_t mark_size = 16;

bool is_mark(std::string_view text) {
  return text.size() == mark_size && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

std::string staged_entry(std::string_view name, std::string_view mark) {
  auto entry = std::string(staged_prefix).append(name);
  if (!mark.empty()) entry.append(1, '@').append(mark);
  return entry;
}

std::optional<StagedName> parse_staged(std::string_view entry) {
  if (!entry.starts_with(staged_prefix)) return std::nullopt;
  entry.remove_prefix(staged_prefix.size());
  if (entry.size() > mark_size + 1) {
    const auto at = entry.size() - mark_size - 1;
    if (entry[at] == '@' && is_mark(entry.substr(at + 1))) {
      return StagedName{entry.substr(0, at), entry.substr(at + 1)};
    }
  }
  return StagedName{entry, {}};
}

std::string mark_of(std::string_view identity) {
  // FNV-1a: std::hash may give another number in each release.
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : identity) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace calib
