#include "base/hash.hpp"

#include <cstddef>
#include <cstring>

namespace calib {
namespace {

constexpr std::uint64_t each_byte = 0x0101010101010101U;

/// The capitals among eight ASCII characters made small; other bytes stay.
std::uint64_t folded(std::uint64_t word) {
  // Bit 7 of each byte is free for the carry: a character below 0x80 is at least N where adding
  // 0x80 - N sets it.
  const auto low = word & (0x7f * each_byte);
  const auto from_a = low + (0x80 - 'A') * each_byte;
  const auto past_z = low + (0x80 - 'Z' - 1) * each_byte;
  const auto capitals = from_a & ~past_z & ~word & (0x80 * each_byte);
  return word | capitals >> 2U;  // 0x20, by which they differ
}

/// Every session and every row is hashed: eight bytes at a time, each word mixed in by a
/// multiplication that loses nothing, whose high half then changes the low one.
template <typename Fold>
std::uint64_t hash_of(std::string_view bytes, const Fold& fold) {
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U;  // 2^64 by the golden ratio
  std::uint64_t hash = bytes.size() * golden;
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ fold(word)) * golden;
    hash ^= hash >> 32U;
  };
  std::uint64_t word = 0;
  for (; bytes.size() >= sizeof word; bytes.remove_prefix(sizeof word)) {
    std::memcpy(&word, bytes.data(), sizeof word);
    mix(word);
  }
  if (!bytes.empty()) {
    word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    mix(word);
  }
  return hash;
}

}  // namespace

std::uint64_t folded_hash(std::string_view bytes) {
  return hash_of(bytes, [](std::uint64_t word) { return folded(word); });
}

std::uint64_t exact_hash(std::string_view bytes) {
  return hash_of(bytes, [](std::uint64_t word) { return word; });
}

}  // namespace calib
