#include "base/timestamp.hpp"

#include <chrono>
#include <limits>
#include <string_view>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using namespace std::string_view_literals;
using calib::Instant;
using calib::parse_timestamp;

namespace {

constexpr Instant noon = std::chrono::sys_days{2025y / 10 / 14} + 12h;

}  // namespace

TEST_CASE("the app's own timestamps are read as UTC") {
  CHECK(parse_timestamp("2025-10-14 10:44:04.320609") == noon - 12h + 10h + 44min + 4s + 320609us);
  CHECK(parse_timestamp("2025-10-14 12:00:00.000000") == noon);
  CHECK(parse_timestamp("2025-10-14 12:00:00") == noon);
  CHECK(parse_timestamp("1969-12-31 23:59:59.999999") == Instant{-1us});
}

TEST_CASE("ISO 8601 relatives are read") {
  CHECK(parse_timestamp("2025-10-14T12:00:00") == noon);
  CHECK(parse_timestamp("2025-10-14 12:00") == noon);
  CHECK(parse_timestamp("2025-10-14T12:00Z") == noon);
  CHECK(parse_timestamp("2025-10-14T12:00:00.5") == noon + 500ms);
  CHECK(parse_timestamp("2025-10-14 12:00:00.25Z") == noon + 250ms);
}

TEST_CASE("zones are applied") {
  CHECK(parse_timestamp("2025-10-14T14:00:00+02:00") == noon);
  CHECK(parse_timestamp("2025-10-14T14:00:00+0200") == noon);
  CHECK(parse_timestamp("2025-10-14T14:00:00+02") == noon);
  CHECK(parse_timestamp("2025-10-14T14:00+02") == noon);
  CHECK(parse_timestamp("2025-10-14 08:30:00.000001-03:30") == noon + 1us);
  CHECK(parse_timestamp("2025-10-15T11:59:00+23:59") == noon);
  CHECK(parse_timestamp("2025-10-13T12:01:00-23:59") == noon);
  CHECK(parse_timestamp("2025-10-14T12:00:00-00:00") == noon);
}

TEST_CASE("fractions finer than a microsecond are rounded up") {
  CHECK(parse_timestamp("2025-10-14 12:00:00.0000010") == noon + 1us);
  CHECK(parse_timestamp("2025-10-14 12:00:00.0000011") == noon + 2us);
  CHECK(parse_timestamp("2025-10-14 12:00:00.00000100000000000000000000000000001") == noon + 2us);
  CHECK(parse_timestamp("2025-10-14 11:59:59.9999991Z") == noon);
}

TEST_CASE("the calendar is checked") {
  CHECK(parse_timestamp("2024-02-29 00:00:00"));
  CHECK_FALSE(parse_timestamp("2025-02-29 00:00:00"));
  CHECK_FALSE(parse_timestamp("2025-04-31 00:00:00"));
  CHECK_FALSE(parse_timestamp("2025-13-01 00:00:00"));
  CHECK_FALSE(parse_timestamp("2025-00-01 00:00:00"));
  CHECK_FALSE(parse_timestamp("2025-01-00 00:00:00"));
  CHECK_FALSE(parse_timestamp("2025-10-14 24:00:00"));
  CHECK_FALSE(parse_timestamp("2025-10-14 12:60:00"));
  CHECK_FALSE(parse_timestamp("2025-10-14 12:00:60"));
}

TEST_CASE("years reach from 1 to 9999, after the zone, too") {
  CHECK_FALSE(parse_timestamp("0000-12-31 23:59:59"));
  CHECK_FALSE(parse_timestamp("0000-12-31 23:59:59-00:01"));
  CHECK(parse_timestamp("0001-01-01 00:00:00"));
  CHECK_FALSE(parse_timestamp("0001-01-01 00:00:00+00:01"));
  CHECK(parse_timestamp("9999-12-31 23:59:59.999999"));
  CHECK_FALSE(parse_timestamp("9999-12-31 23:59:59.9999991"));
  CHECK_FALSE(parse_timestamp("9999-12-31 23:59:59-00:01"));
}

TEST_CASE("anything else is no timestamp") {
  const auto text = GENERATE(
      ""sv, " "sv, "0"sv, "1760438644"sv, "now"sv, "NULL"sv, "2025-10-14"sv, "2025-10-14 "sv,
      "2025-10-14 12"sv, "2025-10-14 12:0"sv, "2025-10-14 12:00:"sv, "2025-10-14 12:00:0"sv,
      "2025-10-14 12:00:00."sv, "2025-10-14 12:00.5"sv, "2025-10-14 12:00:00,5"sv,
      " 2025-10-14 12:00:00"sv, "2025-10-14 12:00:00 "sv, "2025-10-14 12:00:00\n"sv,
      "2025-10-14  12:00:00"sv, "2025-10-14t12:00:00"sv, "2025-10-14T12:00:00z"sv,
      "2025-10-14_12:00:00"sv, "20251014T120000"sv, "2025-1-14 12:00:00"sv, "25-10-14 12:00:00"sv,
      "+2025-10-14 12:00:00"sv, "-025-10-14 12:00:00"sv, "2025-10-14 -1:00:00"sv,
      "2025/10/14 12:00:00"sv, "2025-10-14 12:00:00 UTC"sv, "2025-10-14 12:00:00 +02:00"sv,
      "2025-10-14 12:00:00+2"sv, "2025-10-14 12:00:00+02:"sv, "2025-10-14 12:00:00+02:0"sv,
      "2025-10-14 12:00:00+24:00"sv, "2025-10-14 12:00:00+02:60"sv, "2025-10-14 12:00:00+02:000"sv,
      "2025-10-14 12:00:00+"sv, "2025-10-14 12:00:00Z0"sv, "2025-10-14 12:00:00Z+02"sv,
      "2025-10-14 12:00:00\0"sv, "2025-10-14\0 12:00:00"sv, "2025-10-14 12:00:00\0Z"sv,
      "12025-10-14 12:00:00"sv, "2025-10-14 12:00:00.1.2"sv, "2025-10-14 12:00:00.1e3"sv);
  CAPTURE(text);
  CHECK_FALSE(parse_timestamp(text));
}

TEST_CASE("instants are written for programs and for people") {
  CHECK(calib::format_iso(noon + 44min + 4s + 320609us) == "2025-10-14T12:44:04.320609Z");
  CHECK(calib::format_iso(noon) == "2025-10-14T12:00:00.000000Z");
  CHECK(calib::format_iso(Instant{-1us}) == "1969-12-31T23:59:59.999999Z");
  CHECK(calib::format_human(noon + 44min + 4s + 320609us) == "2025-10-14 12:44:04 UTC");
  CHECK(calib::format_human(*parse_timestamp("0001-01-01 00:00:00")) == "0001-01-01 00:00:00 UTC");
}

TEST_CASE("instants that no calendar writes show as the nearest that it does") {
  CHECK(calib::format_iso(Instant::min()) == "0001-01-01T00:00:00.000000Z");
  CHECK(calib::format_iso(Instant::max()) == "9999-12-31T23:59:59.999999Z");
}

TEST_CASE("what is written is read back") {
  for (const Instant instant : {noon, noon + 1us, Instant{0us}, Instant{-1us}}) {
    CHECK(parse_timestamp(calib::format_iso(instant)) == instant);
  }
}

TEST_CASE("hours go back in time") {
  CHECK(calib::hours_before(noon, 0) == noon);
  CHECK(calib::hours_before(noon, 24) == noon - 24h);
  CHECK(calib::hours_before(noon, 0.5) == noon - 30min);
  CHECK(calib::hours_before(noon, 0.1) == noon - 6min);
  CHECK(calib::hours_before(noon, 1.0 / 3'600'000'000) == noon - 1us);
  CHECK(calib::hours_before(noon, 8760) == noon - 365 * 24h);
}

TEST_CASE("hours before the calendar began give its first instant") {
  const Instant earliest = *parse_timestamp("0001-01-01 00:00:00");
  CHECK(calib::hours_before(noon, 1e8) == earliest);
  CHECK(calib::hours_before(noon, 1e300) == earliest);
  CHECK(calib::hours_before(noon, std::numeric_limits<double>::max()) == earliest);
  CHECK(calib::hours_before(earliest, 0) == earliest);
  CHECK(calib::hours_before(earliest + 2h, 1) == earliest + 1h);
}

TEST_CASE("ages have one unit and are never rounded up") {
  CHECK(calib::age_text(-5s) == "0 s");
  CHECK(calib::age_text(0s) == "0 s");
  CHECK(calib::age_text(34s + 999ms) == "34 s");
  CHECK(calib::age_text(60s) == "1 min");
  CHECK(calib::age_text(12min + 59s) == "12 min");
  CHECK(calib::age_text(60min) == "1 h");
  CHECK(calib::age_text(5h + 59min) == "5 h");
  CHECK(calib::age_text(47h + 59min) == "47 h");
  CHECK(calib::age_text(48h) == "2.0 d");
  CHECK(calib::age_text(72h + 7h) == "3.2 d");
  CHECK(calib::age_text(100 * 24h - 1us) == "99.9 d");
  CHECK(calib::age_text(100 * 24h) == "100 d");
  CHECK(calib::age_text(410 * 24h + 23h) == "410 d");
  CHECK(calib::age_text(std::chrono::microseconds::max()) == "106751991 d");
}
