#include "base/timestamp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace calib {
namespace {

using std::chrono::days;
using std::chrono::floor;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::year_month_day;

/// What Python's datetime can hold, and what ISO 8601 writes in four digits.
constexpr Instant earliest = sys_days{std::chrono::year{1} / 1 / 1};
constexpr Instant latest =
    Instant{sys_days{std::chrono::year{9999} / 12 / 31}} + days{1} - microseconds{1};

/// Takes pieces off the front of a text. Once a piece is not what was asked for, every later one
/// fails, too.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }

  /// Exactly `width` digits.
  unsigned number(std::size_t width) {
    const std::string_view digits = rest_.substr(0, width);
    if (digits.size() != width || !std::all_of(digits.begin(), digits.end(), is_digit)) {
      good_ = false;
      return 0;
    }
    rest_.remove_prefix(width);
    unsigned value = 0;
    for (const char c : digits) value = value * 10 + value_of(c);
    return value;
  }

  bool accept(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) good_ = false;
  }

  /// The digits after the decimal point, at least one, any number; rounded up to microseconds.
  microseconds fraction() {
    std::int64_t value = 0;
    std::size_t width = 0;
    bool finer = false;
    for (; !rest_.empty() && is_digit(rest_.front()); rest_.remove_prefix(1), ++width) {
      const unsigned digit = value_of(rest_.front());
      if (width < 6) value = value * 10 + digit;
      if (width >= 6 && digit != 0) finer = true;
    }
    if (width == 0) good_ = false;
    for (; width < 6; ++width) value *= 10;
    return microseconds{value + (finer ? 1 : 0)};
  }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static unsigned value_of(char c) { return static_cast<unsigned>(c - '0'); }

  std::string_view rest_;
  bool good_ = true;
};

std::optional<sys_days> scan_date(Scanner& scan) {
  const std::chrono::year year{static_cast<int>(scan.number(4))};
  scan.expect('-');
  const std::chrono::month month{scan.number(2)};
  scan.expect('-');
  const std::chrono::day day{scan.number(2)};
  const year_month_day date{year, month, day};
  if (!scan.good() || !date.ok() || year < std::chrono::year{1}) return std::nullopt;
  return sys_days{date};
}

std::optional<microseconds> scan_time_of_day(Scanner& scan) {
  const unsigned hour = scan.number(2);
  scan.expect(':');
  const unsigned minute = scan.number(2);
  unsigned second = 0;
  microseconds fraction{0};
  if (scan.accept(':')) {
    second = scan.number(2);
    if (scan.accept('.')) fraction = scan.fraction();
  }
  if (!scan.good() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return hours{hour} + minutes{minute} + seconds{second} + fraction;
}

/// The zone's distance from UTC, up to the end of the text. `Z` is upper-case, as Python and
/// JavaScript write it.
std::optional<minutes> scan_zone(Scanner& scan) {
  if (scan.at_end()) return minutes{0};
  if (scan.accept('Z')) return scan.at_end() ? std::optional(minutes{0}) : std::nullopt;

  const bool west = scan.accept('-');
  if (!west) scan.expect('+');
  const unsigned hour = scan.number(2);
  unsigned minute = 0;
  if (!scan.at_end()) {
    scan.accept(':');
    minute = scan.number(2);
  }
  if (!scan.good() || !scan.at_end() || hour > 23 || minute > 59) return std::nullopt;
  const minutes offset = hours{hour} + minutes{minute};
  return west ? -offset : offset;
}

struct Fields {
  year_month_day date{};
  std::chrono::hh_mm_ss<microseconds> time{};
};

/// File systems hold times that no calendar writes; such a one shows as the end it lies beyond.
Fields fields_of(Instant instant) {
  const Instant shown = std::clamp(instant, earliest, latest);
  const sys_days day = floor<days>(shown);
  return {year_month_day{day}, std::chrono::hh_mm_ss<microseconds>{shown - day}};
}

std::string format_seconds(const Fields& fields, char separator) {
  return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", static_cast<int>(fields.date.year()),
                     static_cast<unsigned>(fields.date.month()),
                     static_cast<unsigned>(fields.date.day()), separator,
                     fields.time.hours().count(), fields.time.minutes().count(),
                     fields.time.seconds().count());
}

}  // namespace

std::optional<Instant> parse_timestamp(std::string_view text) {
  Scanner scan(text);
  const auto date = scan_date(scan);
  if (!date) return std::nullopt;
  if (!scan.accept(' ')) scan.expect('T');
  const auto time_of_day = scan_time_of_day(scan);
  if (!time_of_day) return std::nullopt;
  const auto zone = scan_zone(scan);
  if (!zone) return std::nullopt;

  const Instant instant = Instant{*date} + *time_of_day - *zone;
  // The zone, or rounding up, may have led out of the years that can be written back.
  if (instant < earliest || instant > latest) return std::nullopt;
  return instant;
}

std::string format_iso(Instant instant) {
  const Fields fields = fields_of(instant);
  return fmt::format("{}.{:06}Z", format_seconds(fields, 'T'), fields.time.subseconds().count());
}

std::string format_human(Instant instant) {
  return format_seconds(fields_of(instant), ' ') + " UTC";
}

std::string format_minute(Instant instant) {
  auto text = format_human(instant);
  constexpr std::string_view zone = " UTC";
  constexpr std::size_t seconds_size = 3;  // ":44"
  text.erase(text.size() - zone.size() - seconds_size, seconds_size);
  return text;
}

Instant hours_before(Instant now, double hours) {
  constexpr double microseconds_per_hour = 3.6e9;
  const double wanted = hours * microseconds_per_hour;
  // Compared as floating point: what is too large must never be converted. `earliest` serves as
  // the limit because no parsed timestamp lies before it, and it can still be written in JSON.
  if (now <= earliest || wanted >= static_cast<double>((now - earliest).count())) return earliest;
  return now - microseconds{std::llround(wanted)};
}

std::string age_text(microseconds age) {
  if (age < seconds{0}) return "0 s";
  if (age < minutes{1}) return fmt::format("{} s", floor<seconds>(age).count());
  if (age < hours{1}) return fmt::format("{} min", floor<minutes>(age).count());
  // Hours up to two days: they are what --hours is compared with.
  if (age < hours{48}) return fmt::format("{} h", floor<hours>(age).count());
  const auto whole_days = floor<days>(age);
  if (whole_days >= days{100}) return fmt::format("{} d", whole_days.count());
  const auto tenths = (age - whole_days) * 10 / days{1};
  return fmt::format("{}.{} d", whole_days.count(), tenths);
}

}  // namespace calib
