// The executable at work in a folder where directories and links change places all the time.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/scale.hpp"
#include "support/swap.hpp"
#include "support/tool_run.hpp"
#include "support/watch.hpp"

using namespace calib::test;

namespace {

constexpr int sessions = 4;
const int swaps_wanted = scaled(20'000);
const int rounds_wanted = scaled(20);

/// An app with expired sessions that come again after each pass, an orphan, and a link in the
/// folder for each directory that is to be swapped.
class Arena : public App {
 public:
  Arena() {
    fs::create_directories(outside() / "inner");
    std::ofstream(outside() / "inner" / "image_000.png") << "stays";
    for (int i = 0; i < sessions; ++i) names_.push_back(new_uuid());
    names_.emplace_back("orphan");
    add_session(1);
    // The mark of its database is what a pass that is killed leaves.
    const auto id = add_session(48);
    run_on(*this, {}, at(at_commit("kill")));
    mark_ = staged(id).filename().string().substr((aside_prefix + id).size());
    run_on(*this, {});
    if (mark_.empty() || !is_gone(id)) throw std::runtime_error("it has no mark");
  }

  [[nodiscard]] Swaps swaps() const {
    Swaps all;
    for (const auto& name : names_) {
      const auto staged = uploads() / (aside_prefix + name + mark_);
      for (const auto& directory : {uploads() / name, staged}) {
        all.emplace_back(directory, lure(name));
        all.emplace_back(directory / "inner", lure("inner " + name));
      }
    }
    return all;
  }

  /// Puts everything back into its place.
  void set_up() {
    for (const auto& name : names_) {
      for (const auto& link : {lure(name), lure("inner " + name)}) {
        const bool is_inner = link != lure(name);
        std::error_code taken;
        fs::create_symlink(is_inner ? outside() / "inner" : outside(), link, taken);
      }
      const auto directory = uploads() / name;
      const auto built = scratch("built");
      fs::create_directories(built / "inner");
      for (const auto* image : {"image_000.png", "inner/image_000.png"}) {
        std::ofstream(built / image) << "goes";
      }
      if ((::unlink(directory.c_str()) != 0 && errno == EISDIR) || !put(built, directory)) {
        fs::remove_all(built);
      }
      if (name == "orphan") continue;
      execute(fmt::format(
          "INSERT INTO sessions VALUES ('{0}', 'uploads/{0}', '{1}') ON CONFLICT DO NOTHING", name,
          hours_ago(48)));
    }
  }

 private:
  // Hidden, so that it is not an orphan itself.
  [[nodiscard]] fs::path lure(const std::string& name) const {
    return uploads() / (".lure " + name);
  }
  std::vector<std::string> names_;
  std::string mark_;  ///< with the @
};

}  // namespace

TEST_CASE("directories and links that change places while passes run lead nowhere",
          "[tool][files][untouched][swaps][threads][linux]") {
  Arena app;
  int deleted = 0;
  const Watch watch({app.outside(), app.outside() / "inner"});
  auto attacker = std::make_unique<Swapper>(app.swaps());
  for (int round = 0; attacker->swapped() < swaps_wanted || round < rounds_wanted || deleted == 0;
       ++round) {
    app.set_up();
    std::vector<std::string> arguments{"--json", "--jobs", round % 2 == 0 ? "1" : "3"};
    if (round % 4 == 3) arguments.emplace_back("--dry-run");
    const auto ran = run_on(app, arguments);
    INFO(ran.err);
    CHECK((ran.status == 0 || ran.status == 1));
    CHECK(diagnostics_of(ran).strays.empty());
    if (round % 4 != 3) deleted += ran.json().at("deleted_sessions").get<int>();
  }
  attacker.reset();

  CHECK_FALSE(watch.saw_something());
  CHECK(fs::file_size(app.outside() / "sentinel") > 0);
  CHECK(fs::file_size(app.outside() / "inner" / "image_000.png") == 5);
  CHECK(app.is_sound());
}
