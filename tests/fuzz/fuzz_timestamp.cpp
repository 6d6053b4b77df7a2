// Any text as a created_at. What is read as a time must be the time that SQLite and the calendar of
// the standard library make of it.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <optional>

#include "base/timestamp.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using namespace calib;
using namespace calib::test;
using std::chrono::microseconds;

/// What SQLite makes of it, in milliseconds since 1970; nothing where it is no time to SQLite.
std::optional<double> by_sqlite(const std::string& text) {
  static const SQLite::Database database(":memory:");
  static SQLite::Statement query(database, "SELECT (julianday(?1) - 2440587.5) * 86400000.0");
  query.reset();
  query.bind(1, text);
  query.executeStep();
  const auto column = query.getColumn(0);
  return column.isNull() ? std::nullopt : std::optional(column.getDouble());
}

/// Zones that SQLite does not know: without a colon or minutes, and beyond 14 hours.
bool is_zone_of_our_own(std::string_view text) {
  const auto sign = text.find_last_of("+-");
  if (sign == std::string_view::npos || sign < 11) return false;
  const auto zone = text.substr(sign + 1);
  return zone.size() != 5 || zone.substr(0, 2) >= "14";
}

void check_against_sqlite(const std::string& text, const std::optional<Instant>& instant) {
  if (!instant) return;
  // SQLite rounds to milliseconds, and so out of the year 9999.
  constexpr std::chrono::sys_days end{std::chrono::year{10000} / 1 / 1};
  if (is_zone_of_our_own(text) || Instant{end} - *instant < std::chrono::milliseconds{1}) return;
  const auto sqlite = by_sqlite(text);
  require(sqlite.has_value(), "no time is read where SQLite reads none: " + text);
  const auto ours = static_cast<double>(instant->time_since_epoch().count()) / 1000.0;
  require(std::abs(ours - *sqlite) < 1.5, fmt::format("{} is {} ms, not {}", text, *sqlite, ours));
}

void check_round_trip(Instant instant) {
  require(parse_timestamp(format_iso(instant)) == instant, "what is written is read back");
  // The same instant, written with the standard library's calendar as the app does.
  const auto day = std::chrono::floor<std::chrono::days>(instant);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(instant - day);
  const auto text =
      fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", int(date.year()),
                  unsigned(date.month()), unsigned(date.day()), time.hours().count(),
                  time.minutes().count(), time.seconds().count(), time.subseconds().count());
  require(parse_timestamp(text) == instant, "the app's own form is read as it is: " + text);
  require(parse_timestamp(text + "+00:00") == instant, "a zone of nothing changes nothing");
  const auto later = parse_timestamp(text + "-00:01");
  require(!later || *later - instant == std::chrono::minutes{1}, "west is later");
}

/// Any instant from the year 1 to 9999.
Instant instant_of(std::uint64_t number) {
  constexpr std::chrono::sys_days first{std::chrono::year{1} / 1 / 1};
  constexpr std::chrono::sys_days end{std::chrono::year{10000} / 1 / 1};
  constexpr auto range = static_cast<std::uint64_t>(microseconds{end - first}.count());
  return Instant{first} + microseconds{static_cast<std::int64_t>(number % range)};
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz_text(data, size));
  const auto instant = parse_timestamp(text);
  if (text.find('\0') != std::string::npos) {
    require(!instant, "a NUL is in no time");
    return 0;
  }
  check_against_sqlite(text, instant);
  if (instant) {
    ++fuzz_hits;
    check_round_trip(*instant);
    for (const auto* beside : {" ", "x", "Z"}) {
      require(!parse_timestamp(beside + text), "nothing stands before a time");
    }
    require(!parse_timestamp(text + " "), "nothing stands after a time");
    // One digit more makes it no earlier, and no later than a microsecond.
    if (text.find('.') != std::string::npos && text.find_first_of("Z+-", 11) == std::string::npos) {
      const auto finer = parse_timestamp(text + "5");
      const auto digits = text.size() - text.find('.') - 1;
      require(!finer || *finer >= *instant, "a finer fraction is no earlier");
      require(!finer || digits < 6 || *finer - *instant <= microseconds{1}, "nor much later");
    }
  }
  std::uint64_t numbers[2] = {};
  std::memcpy(numbers, data, std::min(size, sizeof numbers));
  const auto one = instant_of(numbers[0]);
  const auto other = instant_of(numbers[1]);
  check_round_trip(one);
  require((one < other) == (format_iso(one) < format_iso(other)), "texts order as instants do");
  return 0;
}
