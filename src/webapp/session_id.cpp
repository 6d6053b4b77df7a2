#include "webapp/session_id.hpp"

#include <algorithm>
#include <cstddef>

namespace calib {
namespace {

constexpr std::string_view stereo_prefix = "stereo_";
constexpr std::size_t uuid_length = 36;

constexpr bool is_hexadecimal(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

bool is_uuid(std::string_view text) {
  constexpr std::string_view shape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  return std::equal(text.begin(), text.end(), shape.begin(), shape.end(), [](char c, char wanted) {
    return wanted == 'x' ? is_hexadecimal(c) : c == '-';
  });
}

bool has_only_letters_of_uuids(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_hexadecimal(c) || c == '-'; });
}

std::optional<std::pair<std::string_view, std::string_view>> stereo_halves(std::string_view key) {
  if (key.size() != stereo_prefix.size() + 2 * uuid_length + 1 || !key.starts_with(stereo_prefix)) {
    return std::nullopt;
  }
  const auto left = key.substr(stereo_prefix.size(), uuid_length);
  const auto right = key.substr(stereo_prefix.size() + uuid_length + 1);
  if (key[stereo_prefix.size() + uuid_length] != '_' || !is_uuid(left) || !is_uuid(right)) {
    return std::nullopt;
  }
  return std::pair{left, right};
}

}  // namespace calib
