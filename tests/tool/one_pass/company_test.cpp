// The app uploads from several processes as fast as it can, beside passes in a loop, and beside its
// own clean-up: no upload is lost or refused, and no file of a session that stays is gone.
#include <fmt/format.h>

#include "support/busy_app.hpp"
#include "support/catch.hpp"
#include "support/scale.hpp"

using namespace calib::test;

namespace {

constexpr int uploaders = 3;
constexpr double long_ago = 48;

/// Runs the uploads of all uploaders, and passes for as long as one of them is at work.
class Company {
 public:
  Company(Journal journal, double hours) : app(AppSchema::current, journal), hours_(hours) {
    // So that the folder is proven from the first pass on.
    first_ = app.add_session(1);
  }

  void upload(int each, double age_hours) {
    auto& uploads = age_hours > 0 ? dated : live;
    for (int i = 0; i < each; ++i) uploads.push_back({new_uuid(), age_hours});
  }

  /// `arguments` take turns. On a machine that is quicker with uploads than with passes more is
  /// uploaded, until there were some passes beside it.
  void run(const std::vector<std::vector<std::string>>& arguments, Look look) {
    run_beside(live, dated, arguments, look);
    while (passes < 3) {
      const auto before = static_cast<std::ptrdiff_t>(live.size());
      upload(scaled(60), 0);
      run_beside({live.begin() + before, live.end()}, {}, arguments, look);
    }
  }

  void check_that_live_ones_are_whole() const {
    CHECK(app.is_whole(first_));
    for (const auto& upload : live) {
      INFO(upload.id);
      CHECK(app.has_session(upload.id));
      CHECK(app.rows_of(upload.id) == images_of_upload);
      CHECK(std::distance(fs::directory_iterator(app.uploads() / upload.id), {}) ==
            images_of_upload);
    }
    CHECK(lost_files(app, Look::at_all) == none);
    CHECK(app.is_sound());
  }

  void check_that_dated_ones_are_gone() const {
    for (const auto& upload : dated) {
      INFO(upload.id);
      CHECK(app.is_gone(upload.id));
    }
    CHECK(app.entries() == app.session_ids());
  }

  App app;
  std::vector<Upload> live;
  std::vector<Upload> dated;  ///< expired from the moment of their row
  std::vector<Ran> failed;    ///< passes that did not end with 0
  std::size_t passes = 0;

 private:
  void run_beside(const std::vector<Upload>& live_ones, const std::vector<Upload>& dated_ones,
                  const std::vector<std::vector<std::string>>& arguments, Look look) {
    std::vector<std::vector<Upload>> shares(uploaders);
    for (std::size_t i = 0; i < live_ones.size(); ++i) {
      shares[i % uploaders].push_back(live_ones[i]);
    }
    for (std::size_t i = 0; i < dated_ones.size(); ++i) {
      auto& share = shares[i % uploaders];
      share.insert(share.begin() + static_cast<std::ptrdiff_t>(2 * (i / uploaders)), dated_ones[i]);
    }
    std::vector<ChildProcess> at_work;
    at_work.reserve(uploaders);
    for (auto& share : shares) at_work.push_back(start_uploads(app, std::move(share), hours_));
    const auto is_any_running = [&] {
      bool any = false;
      for (auto& uploader : at_work) any = uploader.is_running() || any;
      return any;
    };
    while (is_any_running()) {
      const auto ran = run_on(app, arguments[passes++ % arguments.size()]);
      if (ran.status != 0) failed.push_back(ran);
      const auto lost = lost_files(app, look);
      REQUIRE(lost == none);
    }
    for (auto& uploader : at_work) CHECK(uploader.finish() == 0);
  }

  double hours_;
  std::string first_;
};

}  // namespace

TEST_CASE("uploads beside passes: live ones are neither lost nor refused, expired ones go",
          "[tool][company][threads]") {
  Company company(GENERATE(from_range(journals())), 24);
  company.upload(scaled(240), 0);
  company.upload(scaled(120), long_ago);

  company.run({{"--hours", "24"}, {"--orphans-only"}, {"--dry-run"}}, Look::at_all);

  for (const auto& ran : company.failed) CHECK(ran.err.empty());
  CHECK(company.failed.empty());
  CHECK(run_on(company.app, {"--hours", "24"}).status == 0);
  company.check_that_live_ones_are_whole();
  company.check_that_dated_ones_are_gone();
}

TEST_CASE("uploads that expire while they are under way go whole, and others are not refused",
          "[tool][company][threads]") {
  // 36 ms: some last longer than that.
  Company company(GENERATE(from_range(journals())), 0.00001);
  company.upload(scaled(240), 0);

  company.run({{"--hours", "0.00001"}}, Look::at_all);

  for (const auto& ran : company.failed) CHECK(ran.err.empty());
  CHECK(company.failed.empty());
  const auto& app = company.app;
  const auto ran = run_on(app, {"--hours", "0", "--database", app.database_option()});
  CHECK(ran.status == 0);
  CHECK(app.session_ids().empty());
  CHECK(app.entries().empty());
  CHECK(app.number("SELECT count(*) FROM calibration_images") == 0);
  CHECK(app.is_sound());
}

TEST_CASE(
    "uploads beside passes and the app's own clean-up: live ones are neither lost nor refused",
    "[tool][company][threads]") {
  Company company(GENERATE(from_range(journals())), 24);
  company.upload(scaled(180), 0);
  company.upload(scaled(90), long_ago);
  const auto cleanups = start_cleanups_of_the_app(company.app);

  company.run({{"--hours", "24"}, {"--orphans-only"}}, Look::at_live);

  // What the other one removes between two looks at it keeps its session for another time.
  for (const auto& ran : company.failed) {
    INFO(ran.err);
    CHECK(ran.status == 1);
    for (const auto& upload : company.live) CHECK(ran.err.find(upload.id) == std::string::npos);
  }
  CHECK(run_on(company.app, {"--hours", "24"}).status <= 1);
  CHECK(run_on(company.app, {"--hours", "24"}).status <= 1);
  company.check_that_live_ones_are_whole();
}
