// The ids of sessions that an option names, one by one or in a file.
#pragma once

#include <string>
#include <vector>

#include "cli/option_values.hpp"

namespace calib {

/// The text itself, or where it is `@FILE`, the lines of FILE (`@-`: standard input, once in the
/// life of the process), of at most 64 MiB. White space around an id, empty lines and lines that
/// begin with `#` do not count. Waits for whoever writes into a pipe; a signal ends the process
/// meanwhile. Throws UsageError.
std::vector<std::string> ids_of(const Setting& setting);

}  // namespace calib
