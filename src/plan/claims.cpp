#include "plan/claims.hpp"

#include <algorithm>

#include "base/hash.hpp"

namespace calib {

namespace {

template <typename Visitor>
void visit_claims(const SessionRow& row, const Visitor& visit) {
  visit(row.id);
  if (!row.id_as_text.empty()) visit(row.id_as_text);
  // Whatever its type: a value that names no directory may still claim one. A NUL ends a name in
  // the eyes of the file system, so what stands on either side of it claims, too.
  const auto is_end = [](char c) { return c == '/' || c == '\0'; };
  for (const auto claimed : {row.claimed, row.claimed_as_text}) {
    for (auto begin = claimed.begin(); begin != claimed.end();) {
      const auto end = std::find_if(begin, claimed.end(), is_end);
      if (end != begin) visit(std::string_view(begin, end));
      begin = end == claimed.end() ? end : end + 1;
    }
  }
}

}  // namespace

std::vector<std::uint64_t> Claims::of(const SessionRow& row) {
  std::vector<std::uint64_t> hashes;
  visit_claims(row, [&](std::string_view name) { hashes.push_back(folded_hash(name)); });
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  return hashes;
}

std::vector<std::string_view> Claims::names_of(const SessionRow& row) {
  std::vector<std::string_view> names;
  visit_claims(row, [&](std::string_view name) { names.push_back(name); });
  return names;
}

void Claims::sort() const {
  if (sorted_ == hashes_.size()) return;
  std::sort(hashes_.begin(), hashes_.end());
  hashes_.erase(std::unique(hashes_.begin(), hashes_.end()), hashes_.end());
  sorted_ = hashes_.size();
}

void Claims::add(std::uint64_t hash) {
  // Most rows claim their own name twice, and `uploads`, as the row before did.
  auto& recent = recent_[hash % recent_.size()];
  if (recent == hash) return;
  recent = hash;
  // What others claim as well goes out before room is made.
  if (hashes_.size() == hashes_.capacity()) {
    sort();
    hashes_.reserve(std::max(hashes_.capacity(), 2 * hashes_.size() + 1));
  }
  hashes_.push_back(hash);
}

void Claims::add(const SessionRow& row) {
  visit_claims(row, [this](std::string_view name) { add(folded_hash(name)); });
}

bool Claims::contain(std::string_view name) const { return contain(folded_hash(name)); }

bool Claims::contain(std::uint64_t hash) const {
  sort();
  return std::binary_search(hashes_.begin(), hashes_.end(), hash);
}

}  // namespace calib
