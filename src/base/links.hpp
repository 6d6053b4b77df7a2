// Where links lead that lead nowhere.
#pragma once

#include <filesystem>

namespace calib {

/// Where the links on the way to `path` lead in the end, whether or not anything is there; `path`
/// itself, in its normal form, where there is none.
std::filesystem::path behind_links(std::filesystem::path path);

}  // namespace calib
