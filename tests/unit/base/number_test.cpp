#include "base/number.hpp"

#include <charconv>
#include <cmath>
#include <random>
#include <string>
#include <string_view>

#include "support/catch.hpp"

using calib::read_number;

namespace {

/// What this library has and another one lacks.
bool read_by_library(std::string_view text, double& value) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stopped == end && std::isfinite(value);
}

void check_same(const std::string& text) {
  CAPTURE(text);
  double expected = 0;
  double value = 0;
  const bool is_number = read_by_library(text, expected);
  REQUIRE(read_number(text, value) == is_number);
  if (is_number) REQUIRE(value == expected);
}

}  // namespace

TEST_CASE("a number is read as std::from_chars reads it") {
  for (const auto* const text :
       {"0",      "24",     "0.5",   ".5",     "1.",       "1e3",   "1E+3", "-2",
        "-0",     "00012",  "0e999", "1e-310", "4e-324",   "",      ".",    "-",
        "+1",     " 1",     "1 ",    "1,5",    "1e",       "1e+",   "0x10", "1e400",
        "1e-400", "2e-324", "inf",   "nan",    "infinity", "1.2.3", "1-2",  "--1"}) {
    check_same(text);
  }
  std::mt19937 random(21);
  const std::string_view letters = "0123456789012345.eE+-x in";
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto length = random() % 8; length > 0; --length)
      text += letters[random() % letters.size()];
    check_same(text);
  }
}

TEST_CASE("what is no number leaves the value alone") {
  double value = 7;
  CHECK_FALSE(read_number("seven", value));
  CHECK_FALSE(read_number(std::string_view("1\0", 2), value));
  CHECK(value == 7);
}
