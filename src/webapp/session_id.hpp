// What the ids look like that the app makes.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

namespace calib {

/// Whether `text` is 8-4-4-4-12 hexadecimal digits, of either case and any version.
bool is_uuid(std::string_view text);

/// Whether it is made of hexadecimal digits and dashes alone, as a part of a UUID is.
bool has_only_letters_of_uuids(std::string_view text);

/// The two sessions that `stereo_<uuid>_<uuid>` names; nothing where `key` is not of that form.
std::optional<std::pair<std::string_view, std::string_view>> stereo_halves(std::string_view key);

}  // namespace calib
