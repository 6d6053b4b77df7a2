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

/// The same of sessions that are to be kept, in lower case. What is no whole id protects nobody,
/// and he would hear of it too late: a list of none, several in one text, quotes, a part of a UUID
/// are refused. Throws UsageError.
std::vector<std::string> ids_to_keep(const Setting& setting);

}  // namespace calib
