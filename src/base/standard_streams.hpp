// Standard input, output and error, as the tool needs them.
#pragma once

#include <string_view>
#include <system_error>

namespace calib {

/// Fills closed descriptors among 0, 1 and 2, so that no database or folder that is opened later
/// gets one of these numbers and is written into. Writing to a filled one still fails.
void keep_standard_descriptors();

/// Whether `descriptor` is a terminal on which a line can be drawn anew, and in colors: not one
/// that calls itself dumb.
bool is_screen(int descriptor);

/// Writes all of `text` to `descriptor`, past interruptions and short writes.
std::error_code write_all(int descriptor, std::string_view text);

}  // namespace calib
