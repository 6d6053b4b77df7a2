#include "store/session_keys.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/hash.hpp"
#include "webapp/session_id.hpp"

namespace calib {
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
    const auto stays = [&](std::string_view id) { return stands(id) && !doomed(id); };
    match.other_stays =
        (match.first || match.leaked) && (stays(halves->first) || stays(halves->second));
    return match;
  }
  match.leaked = is_uuid(key);
  return match;
}

}  // namespace calib
