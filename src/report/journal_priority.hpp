// What systemd's journal is told of each line: its priority, as sd-daemon(3) writes it.
#pragma once

#include <string>
#include <string_view>

namespace calib {

/// Of syslog(3), those that the tool has use for.
enum class Priority { error = 3, warning = 4, information = 6 };

/// Whether lines say their priority.
enum class Priorities { left_out, shown };

/// `shown` where `descriptor` is connected to the journal. `journal_stream` is the environment's
/// JOURNAL_STREAM, null where it is not set: `device:inode` of that connection, decimal
/// (systemd.exec(5)). A process that a service starts inherits the variable, but not always the
/// connection, so both numbers are compared.
Priorities priorities_for(int descriptor, const char* journal_stream);

/// `text` with `<N>` before each line that is not empty.
std::string with_priority(std::string_view text, Priority priority);

}  // namespace calib
