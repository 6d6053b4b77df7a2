// The names of what is aside.
#include "base/staged_name.hpp"

#include "support/catch.hpp"

using namespace calib;

TEST_CASE("a staged name says the directory's name and whose it is", "[marks]") {
  const auto* const name = GENERATE("a", "with@sign", "x@00000000000000a", "@", "a.b@0123");
  for (const auto* const mark : {"", "00000000000000aa", "0123456789abcdef"}) {
    const auto entry = staged_entry(name, mark);
    const auto staged = parse_staged(entry);
    REQUIRE(staged);
    CHECK(staged->name == name);
    CHECK(staged->mark == mark);
  }
}

TEST_CASE("what only looks like a mark is a part of the name", "[marks]") {
  const auto* const entry =
      GENERATE(".calib-cleanup.a@00000000000000AA", ".calib-cleanup.a@0000000000000000a",
               ".calib-cleanup.a#00000000000000aa", ".calib-cleanup.@00000000000000aa");
  const auto staged = parse_staged(entry);
  REQUIRE(staged);
  CHECK(staged->mark.empty());
  CHECK(staged->name == std::string_view(entry).substr(staged_prefix.size()));
  CHECK_FALSE(parse_staged("a@00000000000000aa"));
  CHECK_FALSE(parse_staged(".calib-cleanup"));
}

TEST_CASE("a mark is the same in every release", "[marks]") {
  CHECK(mark_of("") == "cbf29ce484222325");
  CHECK(mark_of("a") == "af63dc4c8601ec8c");
  CHECK(mark_of("sqlite 12 1760438644.320609000") != mark_of("sqlite 13 1760438644.320609000"));
}
