#include "store/session_keys.hpp"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "base/text.hpp"

namespace calib {
namespace {

constexpr std::string_view stereo_prefix = "stereo_";
constexpr std::size_t uuid_length = 36;

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

std::optional<std::pair<std::string_view, std::string_view>> stereo_halves(std::string_view key) {
  if (key.size() != stereo_prefix.size() + 2 * uuid_length + 1 || !key.starts_with(stereo_prefix)) {
    return std::nullopt;
  }
  const auto left = key.substr(stereo_prefix.size(), uuid_length);
  const auto right = key.substr(stereo_prefix.size() + uuid_length + 1);
  if (key[stereo_prefix.size() + uuid_length] != '_' || !is_uuid(left) || !is_uuid(right)) {
    return std::nullopt;
  }
  return std::pair{left, right};
}

void SessionKeys::add(std::string_view id) { standing_.push_back(folded_hash(id)); }

void SessionKeys::settle() { std::sort(standing_.begin(), standing_.end()); }

void SessionKeys::set_doomed(std::span<const DoomedKey> doomed) {
  keys_ = doomed;
  doomed_.clear();
  doomed_.reserve(doomed.size());
  for (std::size_t i = 0; i < doomed.size(); ++i) {
    doomed_.push_back({exact_hash(doomed[i].id), static_cast<OwnerIndex>(i)});
  }
  std::sort(doomed_.begin(), doomed_.end(), [&](const Doomed& a, const Doomed& b) {
    return std::tie(a.hash, keys_[a.owner].id) < std::tie(b.hash, keys_[b.owner].id);
  });
}

bool SessionKeys::stands(std::string_view id) const {
  return std::binary_search(standing_.begin(), standing_.end(), folded_hash(id));
}

std::optional<OwnerIndex> SessionKeys::doomed(std::string_view id) const {
  const auto wanted = std::pair(exact_hash(id), id);
  const auto found = std::lower_bound(
      doomed_.begin(), doomed_.end(), wanted, [&](const Doomed& doomed, const auto& key) {
        return std::tie(doomed.hash, keys_[doomed.owner].id) < std::tie(key.first, key.second);
      });
  if (found == doomed_.end() || keys_[found->owner].id != id) return std::nullopt;
  return found->owner;
}

SessionKeys::Match SessionKeys::match_session_id(std::string_view key) const {
  Match match;
  if (match.first = doomed(key); match.first) return match;
  if (stands(key)) return match;
  if (const auto halves = stereo_halves(key)) {
    match.first = doomed(halves->first);
    match.second = doomed(halves->second);
    // The first one is whose turn comes first.
    if (!match.first || (match.second && *match.second < *match.first)) {
      std::swap(match.first, match.second);
    }
    if (match.first == match.second) match.second.reset();
    match.leaked = !match.first && (!stands(halves->first) || !stands(halves->second));
    return match;
  }
  match.leaked = is_uuid(key);
  return match;
}

}  // namespace calib
