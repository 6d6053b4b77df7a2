#include "pass/new_claims.hpp"

#include <utility>

#include "base/hash.hpp"
#include "base/text.hpp"

namespace calib {
namespace {

// Others may write between the look and the transaction, each time. Then all is looked at in the
// transaction, however long it takes: a claim that is missed costs somebody a directory.
constexpr int max_looks = 3;

// To look each of them up takes a few milliseconds.
constexpr std::size_t few_names = 1000;

}  // namespace

NewClaims::Begun NewClaims::begin(SessionStore& store, std::chrono::milliseconds wait) {
  for (int looks = 1;; ++looks) {
    look(store);
    auto transaction = store.begin(wait);
    // Before the question, which may take a part of the time for which the lock may be held.
    const auto since = std::chrono::steady_clock::now();
    if (!uploads_.is_in_place()) {
      throw PassError(PassError::Kind::unusable, uploads_.path(),
                      "the uploads folder was replaced or moved away while the pass ran (this "
                      "path leads to another folder by now, or to none); run again");
    }
    if (looks == max_looks || transaction->can_look_quickly()) {
      return {std::move(transaction), since};
    }
  }
}

void NewClaims::look(SessionStore& store) {
  has_news_ = has_many_names_;
  store.reread_sessions([this](const SessionRow& row) { add(row); });
  follow_links();
  // Not under the lock.
  claims_.sort();
}

void NewClaims::look(StoreTransaction& transaction) {
  transaction.visit_new_sessions([this](const SessionRow& row) { add(row); });
  follow_links();
}

void NewClaims::add(const SessionRow& row) {
  if (is_planned(row)) return;
  has_news_ = true;
  claims_.add(row);
  if (has_many_names_) return;
  for (const auto name : Claims::names_of(row)) {
    names_.emplace(name);
    names_.insert(ascii_lowered(name));
  }
  has_many_names_ = names_.size() > few_names;
  if (has_many_names_) names_.clear();
}

/// What a claimed link leads through is claimed. Each time anew: the app makes the row first, and
/// whoever puts a link in the place of a directory does it later still.
void NewClaims::follow_links() {
  const auto follow = [this](const std::string& name) {
    const auto way = uploads_.way_of(name, stop_);
    if (way.empty() || way.front().kind != EntryKind::link) return;
    for (const auto& entry : way) claims_.add(folded_hash(entry.name));
  };
  for (const auto& name : names_) follow(name);
  if (!has_many_names_ || !std::exchange(has_news_, false)) return;
  for (const auto& entry : uploads_.list()) {
    if (entry.kind == EntryKind::link && claims_.contain(entry.name)) follow(entry.name);
  }
}

bool NewClaims::is_planned(const SessionRow& row) {
  if (!by_fingerprint_) {
    by_fingerprint_.emplace(planned_.size());
    for (std::size_t i = 0; i < planned_.size(); ++i) {
      by_fingerprint_->add(planned_[i].fingerprint, i);
    }
    by_fingerprint_->sort();
  }
  // Of two that share a fingerprint one counts as new, and protects what it claims.
  const auto position = by_fingerprint_->first(row.fingerprint);
  return position && planned_[*position].id == row.id;
}

}  // namespace calib
