// Claims that come while the pass runs, where there are too many sessions to be read under the
// lock.
#include "pass/new_claims.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "unit/store/store_fixture.hpp"

using namespace calib;
using namespace calib::test;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

/// A transaction that says when it was asked whether it can look quickly.
class AskedTransaction : public StoreTransaction {
 public:
  AskedTransaction(std::unique_ptr<StoreTransaction> real, Clock::time_point& asked)
      : real_(std::move(real)), asked_(asked) {}
  bool require_writable() override { return real_->require_writable(); }
  std::vector<Refusal> choose(std::span<const OwnerIndex> owners) override {
    return real_->choose(owners);
  }
  std::vector<Refusal> withdraw(std::span<const OwnerIndex> owners) override {
    return real_->withdraw(owners);
  }
  void visit_new_sessions(const SessionVisitor& visit) override {
    real_->visit_new_sessions(visit);
  }
  bool can_look_quickly() override {
    asked_ = Clock::now();
    return real_->can_look_quickly();
  }
  void delete_records(RecordCounts& counts) override { real_->delete_records(counts); }
  Sealed seal() override { return real_->seal(); }
  CommitOutcome commit() override { return real_->commit(); }
  [[nodiscard]] PassError commit_error() const override { return real_->commit_error(); }

 private:
  std::unique_ptr<StoreTransaction> real_;
  Clock::time_point& asked_;
};

/// A store of which somebody uses the database just before each of its transactions begins.
class BusyStore : public SessionStore {
 public:
  BusyStore(SessionStore& store, std::function<void()> before_begin)
      : store_(store), before_begin_(std::move(before_begin)) {}
  void visit_sessions(const SessionVisitor& visit) override { store_.visit_sessions(visit); }
  std::uint64_t count_sessions() override { return store_.count_sessions(); }
  void reread_sessions(const SessionVisitor& visit) override { store_.reread_sessions(visit); }
  Survey survey(std::span<const DoomedKey> doomed, Leaked leaked) override {
    return store_.survey(doomed, leaked);
  }
  std::unique_ptr<StoreTransaction> begin(std::chrono::milliseconds wait) override {
    before_begin_();
    auto transaction = store_.begin(wait);
    began_ = Clock::now();
    return std::make_unique<AskedTransaction>(std::move(transaction), asked_);
  }
  std::vector<bool> present(std::span<const OwnerIndex> owners) override {
    return store_.present(owners);
  }
  void make_durable() override { store_.make_durable(); }
  std::string mark() override { return store_.mark(); }
  std::optional<std::uint64_t> size_bytes() override { return store_.size_bytes(); }
  std::optional<std::uint64_t> free_bytes() override { return store_.free_bytes(); }
  std::uint64_t vacuum() override { return store_.vacuum(); }
  [[nodiscard]] std::vector<std::string> remarks() const override { return store_.remarks(); }

  /// When the last one began, and when one was last asked whether it can look quickly.
  [[nodiscard]] Clock::time_point began() const { return began_; }
  [[nodiscard]] Clock::time_point asked() const { return asked_; }

 private:
  SessionStore& store_;
  std::function<void()> before_begin_;
  Clock::time_point began_;
  Clock::time_point asked_;
};

SessionDb with_sessions(unsigned count) {
  SessionDb database(only_sessions);
  std::vector<std::string> ids;
  for (unsigned i = 0; i < count; ++i) ids.push_back(uuid(i));
  database.add(ids);
  return database;
}

}  // namespace

TEST_CASE("a claim made between the look and the lock is seen, however many sessions there are",
          "[store][claims]") {
  const auto database = with_sessions(GENERATE(10U, 60'000U));
  StorePass pass(database);
  pass.look({});
  int begun = 0;
  const int max_written = GENERATE(1, 100);
  BusyStore busy(pass.store(), [&] {
    if (++begun > max_written) return;
    database.execute("UPDATE sessions SET images_dir = 'uploads/taken-" + std::to_string(begun) +
                     "' WHERE id = '" + uuid(5) + "'");
  });

  const std::vector<DoomedSession> none;
  const TempDir folder;
  const UploadDir uploads(folder.path());
  const StopFlag stop;
  NewClaims claims(none, uploads, stop);
  const auto [transaction, since] = claims.begin(busy, 2s);
  claims.look(*transaction);

  CHECK(claims.contain("taken-" + std::to_string(std::min(begun, max_written))));
  CHECK(begun <= 3);
}

TEST_CASE("what a transaction that was taken back has seen is seen again", "[store][claims]") {
  const auto database = with_sessions(60'000);
  StorePass pass(database);
  pass.look({});
  const std::vector<DoomedSession> none;
  const TempDir folder;
  const UploadDir uploads(folder.path());
  const StopFlag stop;
  NewClaims first(none, uploads, stop);
  NewClaims second(none, uploads, stop);
  database.execute("UPDATE sessions SET images_dir = 'uploads/taken' WHERE id = '" + uuid(5) + "'");
  {
    const auto transaction = pass.begin();
    first.look(*transaction);
  }
  const auto begun = second.begin(pass.store(), 2s);
  second.look(*begun.transaction);
  CHECK(first.contain("taken"));
  CHECK(second.contain("taken"));
}

TEST_CASE("the time for which the lock is held begins before the sessions are compared",
          "[store][claims]") {
  const auto database = with_sessions(60'000);
  StorePass pass(database);
  pass.look({});
  BusyStore busy(pass.store(), [&] { database.execute("PRAGMA user_version = 5"); });
  const std::vector<DoomedSession> none;
  const TempDir folder;
  const UploadDir uploads(folder.path());
  const StopFlag stop;
  NewClaims claims(none, uploads, stop);
  const auto begun = claims.begin(busy, 2s);
  CHECK(busy.began() <= begun.since);
  CHECK(begun.since <= busy.asked());
}
