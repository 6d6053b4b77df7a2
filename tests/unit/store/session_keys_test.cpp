// What a session_id says: a session that goes, one that stays, or one that is gone.
#include "store/session_keys.hpp"

#include <set>

#include "base/hash.hpp"
#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"
#include "webapp/session_id.hpp"

using namespace calib;
using calib::test::stereo;

namespace {

const std::string living = "0d1f6d0e-0000-4000-8000-00000000000a";
const std::string doomed = "0d1f6d0e-0000-4000-8000-00000000000b";
const std::string other_doomed = "0d1f6d0e-0000-4000-8000-00000000000c";
const std::string lost = "0d1f6d0e-0000-4000-8000-00000000000d";

SessionKeys known_keys() {
  static const std::vector<DoomedKey> going{{doomed, 1}, {other_doomed, 2}, {"plain", 3}};
  SessionKeys keys;
  for (const auto& id :
       {living, doomed, other_doomed, std::string("plain"), std::string("stays")}) {
    keys.add(id);
  }
  keys.settle();
  keys.set_doomed(going);
  return keys;
}

struct Means {
  std::optional<OwnerIndex> first;
  std::optional<OwnerIndex> second;
  bool leaked = false;
};

void check(const std::string& key, const Means& means) {
  CAPTURE(key);
  const auto match = known_keys().match_session_id(key);
  CHECK(match.first == means.first);
  CHECK(match.second == means.second);
  CHECK(match.leaked == means.leaked);
}

std::string upper(std::string text) {
  for (auto& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

}  // namespace

TEST_CASE("a stereo key has two halves, and nothing else has", "[session_keys]") {
  const auto key = stereo(living, lost);
  const auto halves = stereo_halves(key);
  REQUIRE(halves);
  CHECK(halves->first == living);
  CHECK(halves->second == lost);
  CHECK(stereo_halves(stereo(upper(living), lost)));

  const auto cut = GENERATE_COPY(range(std::size_t{0}, key.size()));
  CHECK_FALSE(stereo_halves(std::string_view(key).substr(0, cut)));
  auto changed = key;
  changed[cut] = 'x';
  CHECK_FALSE(stereo_halves(changed));
  CHECK_FALSE(stereo_halves(key + "0"));
  CHECK_FALSE(stereo_halves("0" + key));
}

TEST_CASE("a key of a doomed session names it, and one of a living session names nobody",
          "[session_keys]") {
  check(doomed, {0, {}, false});
  check(other_doomed, {1, {}, false});
  check("plain", {2, {}, false});
  check(living, {});
  check("stays", {});
}

TEST_CASE("a dangling key leaks only where it is a UUID", "[session_keys]") {
  check(lost, {{}, {}, true});
  check(upper(lost), {{}, {}, true});
  for (const auto* const key : {"", "gone", "stereo_", "stereo_plain_stays", "0"}) check(key, {});
  check(lost + " ", {});
  check(lost + std::string(1, '\0'), {});
}

TEST_CASE(
    "a key in the other case is nobody's who goes, and does not leak while its session stands",
    "[session_keys]") {
  check(upper(living), {});
  check(upper(doomed), {});
  check("PLAIN", {});
  check(stereo(upper(living), living), {});
}

TEST_CASE("a stereo key names the doomed of its sessions, the first owner first",
          "[session_keys]") {
  check(stereo(doomed, living), {0, {}, false});
  check(stereo(living, doomed), {0, {}, false});
  check(stereo(living, other_doomed), {1, {}, false});
  check(stereo(doomed, other_doomed), {0, 1, false});
  // Rows count for the first of their owners: else a dry run and a real pass would count apart.
  check(stereo(other_doomed, doomed), {0, 1, false});
  check(stereo(doomed, doomed), {0, {}, false});
}

TEST_CASE("a stereo key leaks where either session is gone, unless the other one takes it along",
          "[session_keys]") {
  check(stereo(living, living), {});
  check(stereo(living, lost), {{}, {}, true});
  check(stereo(lost, living), {{}, {}, true});
  check(stereo(lost, lost), {{}, {}, true});
  check(stereo(lost, doomed), {0, {}, false});
  check(stereo(other_doomed, lost), {1, {}, false});
}

TEST_CASE("a session that has the name of a stereo key is a session", "[session_keys]") {
  const auto name = stereo(doomed, lost);
  const std::vector<DoomedKey> going{{doomed, 1}};
  SessionKeys keys;
  keys.add(doomed);
  keys.add(name);
  keys.settle();
  keys.set_doomed(going);
  const auto match = keys.match_session_id(name);
  CHECK_FALSE(match.first);
  CHECK_FALSE(match.leaked);
}

TEST_CASE("hashes ignore ASCII case, and nothing else", "[session_keys]") {
  CHECK(folded_hash("Uploads-AZ") == folded_hash("uPLOADS-az"));
  CHECK(folded_hash("\xc3\x84") != folded_hash("\xc3\xa4"));
  CHECK(folded_hash("[") != folded_hash("{"));
  CHECK(folded_hash("@") != folded_hash("`"));
  CHECK(folded_hash("a") != folded_hash(std::string("a\0", 2)));
  CHECK(exact_hash("A") != exact_hash("a"));
  CHECK(exact_hash("a") == folded_hash("A"));
}

TEST_CASE("each byte counts in a hash, and just the capitals are folded", "[session_keys]") {
  std::set<std::uint64_t> hashes;
  std::size_t count = 0;
  for (std::size_t length = 1; length <= 17; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(length, '-');
        text[at] = static_cast<char>(byte);
        const bool is_capital = byte >= 'A' && byte <= 'Z';
        auto lowered = text;
        if (is_capital) lowered[at] = static_cast<char>(byte + 0x20);
        REQUIRE(folded_hash(text) == exact_hash(lowered));
        if (byte == '-') continue;
        hashes.insert(exact_hash(text));
        ++count;
      }
    }
  }
  CHECK(hashes.size() == count);
}
