// One transaction of database and folder.
#include "pass/slice.hpp"

#include "support/catch.hpp"
#include "unit/pass/pass_fixture.hpp"

using namespace calib;
using namespace calib::test;
using namespace std::chrono_literals;

namespace {

using End = SliceResult::Outcome;

/// A slice of everything that is on the agenda.
class WholeSlice {
 public:
  explicit WholeSlice(PassFixture& fixture)
      : fixture_(fixture), pass_(fixture), agenda_(pass_.agenda()) {}

  SliceResult run() {
    NewClaims claims(agenda_.plan.sessions, pass_.app.uploads, fixture_.stop);
    return Slice(agenda_, pass_.app, claims, budget_, counts_)
        .run(agenda_.units, 2s, fixture_.stop);
  }

  [[nodiscard]] std::vector<std::string> gone(const SliceResult& result) const {
    std::vector<std::string> ids;
    for (const auto owner : result.gone) ids.emplace_back(agenda_.plan.sessions[owner].id);
    return ids;
  }
  [[nodiscard]] bool is_aside(const std::string& name) const {
    return fixture_.stands(pass_.app.uploads.staged_entry_of(name));
  }
  [[nodiscard]] std::uint32_t rows_counted() const {
    std::uint32_t rows = 0;
    for (std::size_t owner = 0; owner < agenda_.plan.sessions.size(); ++owner) {
      for (std::size_t table = 0; table < agenda_.survey.tables.size(); ++table) {
        rows += counts_.at(static_cast<OwnerIndex>(owner), table);
      }
    }
    return rows;
  }

 private:
  PassFixture& fixture_;
  OpenedPass pass_;
  Agenda agenda_;
  LockBudget budget_;
  RecordCounts counts_{agenda_.plan.sessions.size() + agenda_.survey.leaked_keys.size(),
                       agenda_.survey.tables.size()};
};

}  // namespace

TEST_CASE("a slice that commits has records gone and directories aside", "[pass][slice]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add(uuid(2));
  fixture.add_young(uuid(3));
  WholeSlice slice(fixture);

  const auto result = slice.run();
  CHECK(result.outcome == End::committed);
  CHECK(result.changed);
  CHECK(result.taken == 2);
  CHECK(slice.gone(result) == std::vector{uuid(1), uuid(2)});
  REQUIRE(result.staged.size() == 2);
  CHECK(result.staged[0].name == uuid(1));
  CHECK(slice.is_aside(uuid(1)));
  CHECK(slice.is_aside(uuid(2)));
  CHECK(fixture.stands(uuid(3)));
  CHECK(slice.rows_counted() == 4);
  CHECK(fixture.count("sessions") == 1);
  CHECK(fixture.count("calibration_images") == 2);
}

TEST_CASE("a session that has changed is passed over, and its directory stays", "[pass][slice]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add(uuid(2));
  WholeSlice slice(fixture);
  fixture.database.execute("UPDATE sessions SET created_at = datetime('now') WHERE id = " +
                           literal(uuid(1)));

  const auto result = slice.run();
  CHECK(result.outcome == End::committed);
  CHECK(slice.gone(result) == std::vector{uuid(2)});
  CHECK(result.passed_over == PassedOver{{0, Refusal::Reason::changed}});
  REQUIRE(result.notes.warnings.size() == 1);
  CHECK_THAT(result.notes.warnings.front(), Catch::Matchers::ContainsSubstring(uuid(1)));
  CHECK(fixture.stands(uuid(1)));
  CHECK(fixture.count("calibration_images") == 2);
}

TEST_CASE("a session that a row holds comes back as held", "[pass][slice]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add(uuid(2));
  fixture.hold(uuid(1), "");
  WholeSlice slice(fixture);

  const auto result = slice.run();
  CHECK(result.outcome == End::committed);
  CHECK(slice.gone(result) == std::vector{uuid(2)});
  REQUIRE(result.held.size() == 1);
  CHECK(result.held[0].owners.front() == 0);
  REQUIRE(result.held_failures.size() == 1);
  CHECK_THAT(result.held_failures.front().error,
             Catch::Matchers::ContainsSubstring("holders.keeper"));
  CHECK(fixture.stands(uuid(1)));
}

TEST_CASE("a directory that another session claims by now stays with its own", "[pass][slice]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add(uuid(2));
  WholeSlice slice(fixture);
  fixture.database.execute("INSERT INTO sessions VALUES (" + literal(uuid(9)) + ", " +
                           literal("uploads/" + uuid(1)) + ", datetime('now'))");

  const auto result = slice.run();
  CHECK(slice.gone(result) == std::vector{uuid(2)});
  REQUIRE(result.notes.errors.size() == 1);
  CHECK(result.notes.errors.front().path == fixture.uploads_path() / uuid(1));
  CHECK(fixture.stands(uuid(1)));
  CHECK(fixture.count("sessions") == 2);
}

TEST_CASE("a slice that the database refuses leaves everything in its place", "[pass][slice]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  fixture.add(uuid(2));
  fixture.refuse_to_delete(uuid(2));
  const auto before = fixture.database.rows();
  WholeSlice slice(fixture);

  const auto result = slice.run();
  CHECK(result.outcome == End::too_much);
  REQUIRE(result.error);
  CHECK(result.error->kind() == PassError::Kind::refused);
  CHECK(result.restored);
  CHECK_FALSE(result.changed);
  CHECK(result.gone.empty());
  CHECK(result.staged.empty());
  CHECK(slice.rows_counted() == 0);
  CHECK(fixture.database.rows() == before);
  CHECK(fixture.stands(uuid(1)));
  CHECK(fixture.stands(uuid(2)));
}

TEST_CASE("a slice that is stopped takes everything back", "[pass][slice]") {
  PassFixture fixture;
  fixture.add(uuid(1));
  const auto before = fixture.database.rows();
  WholeSlice slice(fixture);
  fixture.stop.request(SIGTERM);

  // Whether it comes to a transaction or not, nobody is gone.
  try {
    CHECK(slice.run().outcome == End::ended);
  } catch (const PassError& error) {
    CHECK(error.kind() == PassError::Kind::stopped);
  }
  CHECK(fixture.database.rows() == before);
  CHECK(fixture.stands(uuid(1)));
}
