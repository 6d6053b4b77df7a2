// Claims that come while the pass runs, where there are too many sessions to be read under the
// lock.
#include "new_claims.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "catch.hpp"
#include "store_fixture.hpp"

using namespace calib;
using namespace calib::test;
using namespace std::chrono_literals;

namespace {

/// A store of which somebody uses the database just before each of its transactions begins.
class BusyStore : public SessionStore {
 public:
  BusyStore(SessionStore& store, std::function<void()> before_begin)
      : store_(store), before_begin_(std::move(before_begin)) {}
  void visit_sessions(const SessionVisitor& visit) override { store_.visit_sessions(visit); }
  void look_again(const SessionVisitor& visit) override { store_.look_again(visit); }
  Survey survey(std::span<const DoomedKey> doomed, Leaked leaked) override {
    return store_.survey(doomed, leaked);
  }
  std::unique_ptr<StoreTransaction> begin(std::chrono::milliseconds wait) override {
    before_begin_();
    return store_.begin(wait);
  }
  std::vector<bool> present(std::span<const OwnerIndex> owners) override {
    return store_.present(owners);
  }
  void make_durable() override { store_.make_durable(); }
  std::optional<std::uint64_t> free_bytes() override { return store_.free_bytes(); }
  std::uint64_t vacuum() override { return store_.vacuum(); }
  [[nodiscard]] std::vector<std::string> remarks() const override { return store_.remarks(); }

 private:
  SessionStore& store_;
  std::function<void()> before_begin_;
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
  const int most_written = GENERATE(1, 100);
  BusyStore busy(pass.store(), [&] {
    if (++begun > most_written) return;
    database.execute("UPDATE sessions SET images_dir = 'uploads/taken-" + std::to_string(begun) +
                     "' WHERE id = '" + uuid(5) + "'");
  });

  const std::vector<DoomedSession> none;
  NewClaims claims(none);
  const auto transaction = claims.begin(busy, 2s);
  claims.look(*transaction);

  CHECK(claims.contain("taken-" + std::to_string(std::min(begun, most_written))));
  CHECK(begun <= 3);
}

TEST_CASE("what a transaction that was taken back has seen is seen again", "[store][claims]") {
  const auto database = with_sessions(60'000);
  StorePass pass(database);
  pass.look({});
  const std::vector<DoomedSession> none;
  NewClaims first(none);
  NewClaims second(none);
  database.execute("UPDATE sessions SET images_dir = 'uploads/taken' WHERE id = '" + uuid(5) + "'");
  {
    const auto transaction = pass.begin();
    first.look(*transaction);
  }
  const auto transaction = second.begin(pass.store(), 2s);
  second.look(*transaction);
  CHECK(first.contain("taken"));
  CHECK(second.contain("taken"));
}
