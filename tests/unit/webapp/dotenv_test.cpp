#include "webapp/dotenv.hpp"

#include <optional>
#include <string>
#include <utility>

#include "support/catch.hpp"

using calib::dotenv_value;
using calib::DotenvError;
using Catch::Matchers::ContainsSubstring;

namespace {

using Text = std::string;

struct Case {
  Text text;
  std::optional<Text> value;
};

void check(const Case& expected) {
  CAPTURE(expected.text);
  CHECK(dotenv_value(expected.text, "KEY") == expected.value);
}

}  // namespace

TEST_CASE("dotenv: plain values") {
  check(GENERATE(Case{"", std::nullopt}, Case{"OTHER=1\n", std::nullopt}, Case{"KEY=a", "a"},
                 Case{"KEY=a\n", "a"}, Case{"KEY=a\r\n", "a"}, Case{"KEY=a\rOTHER=b", "a"},
                 Case{"KEY=", ""}, Case{"KEY=\nOTHER=b", ""}, Case{"  KEY = a b \t\n", "a b"},
                 Case{"export KEY=a", "a"}, Case{"export\t KEY=a", "a"}, Case{"exportKEY=a", {}},
                 Case{"export=a\nKEY=b", "b"}, Case{"'KEY'=a", "a"}, Case{"KEYS=a", {}},
                 Case{"MY_KEY=a", {}}, Case{"key=a", {}}, Case{"# KEY=a\n", {}},
                 Case{"#\n\n  # x\nKEY=a", "a"}, Case{"KEY=a=b", "a=b"}, Case{"KEY=$a", "$a"}));
}

TEST_CASE("dotenv: comments end unquoted values only after white space") {
  check(GENERATE(Case{"KEY=a # b", "a"}, Case{"KEY=a\t#b", "a"}, Case{"KEY=a#b", "a#b"},
                 Case{"KEY=a#b #c", "a#b"}, Case{"KEY=#b", "#b"}, Case{"KEY=a\u00a0#b", "a"},
                 Case{"KEY= #a\nKEY=b", "b"}, Case{"OTHER= #a\nKEY=b", "b"},
                 Case{"KEY='a # b'", "a # b"}, Case{"KEY=\"a # b\" # c", "a # b"},
                 Case{"KEY='a'#b", "a"}));
}

TEST_CASE("dotenv: quotes and escapes") {
  check(GENERATE(Case{"KEY='a\"b'", "a\"b"}, Case{"KEY=\"a'b\"", "a'b"}, Case{"KEY=''", ""},
                 Case{R"(KEY='a\'b\\c\n')", R"(a'b\c\n)"},
                 Case{R"(KEY="a\"b\\c\n\t")", "a\"b\\c\n\t"},
                 Case{R"(KEY="\a\b\f\r\v\'")", "\a\b\f\r\v'"}, Case{R"(KEY="\x\$")", R"(\x\$)"},
                 Case{R"(KEY=a\nb)", R"(a\nb)"}, Case{"KEY=a'b'", "a'b'"},
                 Case{"KEY='a\nb'", "a\nb"}, Case{"KEY='a\r\nb'", "a\nb"},
                 Case{R"(OTHER='\\x'
KEY=a)",
                      "a"}));
}

TEST_CASE("dotenv: a quoted value may hide what looks like a statement") {
  check(GENERATE(Case{"OTHER='\nKEY=a\n'\n", {}}, Case{"OTHER='\nKEY=a\n", "a"},
                 Case{"OTHER=\"x\" junk\nKEY=a", "a"}, Case{"=x\nKEY=a", "a"}));
}

TEST_CASE("dotenv: the last one wins") {
  check(GENERATE(Case{"KEY=a\nKEY=b\n", "b"}, Case{"KEY=a\nKEY=\n", ""},
                 Case{"KEY=a\nKEY\n", std::nullopt}));
}

TEST_CASE("dotenv: a statement that sets the name and is not understood is an error") {
  const Text text = GENERATE(Text{"\nKEY='a\n"}, Text{"\nKEY=\"a"}, Text{"\nKEY 'a'"},
                             Text{"KEY=a\nKEY='b' c"}, Text{"\nKEY: a"}, Text{"\nexport KEY a"});
  CAPTURE(text);
  REQUIRE_THROWS_AS(dotenv_value(text, "KEY"), DotenvError);
  REQUIRE_THROWS_WITH(dotenv_value(text, "KEY"), ContainsSubstring("line 2"));
}

TEST_CASE("dotenv: other statements that are not understood are skipped") {
  check(GENERATE(Case{"KEYS: a\nKEY=b", "b"}, Case{"KEY_2 a\nKEY=b", "b"},
                 Case{"set KEY=a\n", std::nullopt}));
}

TEST_CASE("dotenv: expansion and byte order marks are not guessed at") {
  REQUIRE_THROWS_WITH(dotenv_value("A=1\nKEY=${A}/x", "KEY"),
                      ContainsSubstring("${") && ContainsSubstring("line 2"));
  REQUIRE_THROWS_AS(dotenv_value("KEY='${A:-b}'", "KEY"), DotenvError);
  CHECK(dotenv_value("KEY=${A}\nKEY=b", "KEY") == "b");
  CHECK(dotenv_value("OTHER=${A}\nKEY=b", "KEY") == "b");
  REQUIRE_THROWS_WITH(dotenv_value("\xef\xbb\xbfKEY=a", "KEY"),
                      ContainsSubstring("byte order mark"));
}

TEST_CASE("dotenv: white space is Python's, beyond ASCII too") {
  for (const Text space :
       {"\t", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x1f", " ", "\u0085", "\u00a0", "\u1680",
        "\u2000", "\u2005", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    CAPTURE(space);
    check({space + "export" + space + "KEY" + space + "=" + space + "a" + space + "#b", "a"});
    check({"KEY=a" + space + "b" + space, "a" + space + "b"});
    check({"KEY='a" + space + "'" + space + "#b", "a" + space});
  }
  for (const Text other :
       {"\b", "\x0e", "\x7f", "\u0084", "\u00ad", "\u180e", "\u200b", "\u2060", "\ufeff", "é"}) {
    CAPTURE(other);
    check({"KEY=" + other + "a" + other + "#b" + other, other + "a" + other + "#b" + other});
    check({"OTHER=a\n" + other + "KEY=b", std::nullopt});
  }
}

TEST_CASE("dotenv: what makes python-dotenv fail is an error") {
  for (const Text bytes :
       {"\x80", "\xc0\x80", "\xe2\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    CAPTURE(bytes);
    REQUIRE_THROWS_WITH(dotenv_value("KEY=a\n# " + bytes, "KEY"), ContainsSubstring("UTF-8"));
  }
  REQUIRE_THROWS_WITH(dotenv_value(Text("KEY=a\n#\0", 8), "KEY"), ContainsSubstring("NUL"));
  REQUIRE_THROWS_WITH(dotenv_value("KEY=a\n'B=C'=d", "KEY"), ContainsSubstring("line 2"));
}

TEST_CASE("dotenv: what releases of python-dotenv read differently is an error") {
  // Up to 1.2.2 a backslash escapes a quote only; since 1.2.4 a # may come at once.
  for (const Text text : {R"(KEY='a\')", R"(OTHER='\\'
KEY='a')",
                          R"(OTHER="\\"
KEY="a")",
                          "KEY='\\\n'"}) {
    CAPTURE(text);
    REQUIRE_THROWS_AS(dotenv_value(text, "KEY"), DotenvError);
  }
  check({R"(KEY='\\'
OTHER=a)",
         R"(\)"});
  REQUIRE_THROWS_WITH(dotenv_value("KEY= # b", "KEY"), ContainsSubstring("line 1"));
  REQUIRE_THROWS_AS(dotenv_value("KEY=\u00a0#b", "KEY"), DotenvError);
}

TEST_CASE("dotenv: errors do not tell values") {
  REQUIRE_THROWS_WITH(dotenv_value("KEY='secret", "KEY"), !ContainsSubstring("secret"));
  REQUIRE_THROWS_WITH(dotenv_value("KEY=secret${A}", "KEY"), !ContainsSubstring("secret"));
}
