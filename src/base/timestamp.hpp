// Instants as the app writes them, and the arithmetic of --hours.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace calib {

/// A point in time, UTC. Microseconds are what SQLAlchemy stores.
using Instant = std::chrono::sys_time<std::chrono::microseconds>;

/// Reads `2025-10-14 10:44:04.320609` (SQLAlchemy's text) and its ISO 8601 relatives: `T` for the
/// space, seconds and fraction optional, a zone `Z`, `+HH:MM`, `+HHMM` or `+HH`; without a zone it
/// is UTC. A fraction finer than a microsecond is rounded up, for later is safer. Anything else
/// (a date alone, epoch numbers, year 0, second 60, white space around it) is nothing: who cannot
/// be sure of an age does not delete.
std::optional<Instant> parse_timestamp(std::string_view text);

/// `2025-10-14T10:44:04.320609Z`, for JSON.
std::string format_iso(Instant instant);

/// `2025-10-14 10:44:04 UTC`, for people.
std::string format_human(Instant instant);

/// The same to the minute: `2025-10-14 10:44 UTC`.
std::string format_minute(Instant instant);

/// now − `hours`; hours beyond the representable range give the earliest instant, before which
/// nothing was created. `hours` is finite and not negative.
Instant hours_before(Instant now, double hours);

/// An age in one unit: `34 s`, `12 min`, `5 h`, `3.2 d`, `410 d`; `0 s` where it is negative.
std::string age_text(std::chrono::microseconds age);

}  // namespace calib
