// The power goes after every single call that changes the disk, the tool's and SQLite's; after a
// pass that was killed before any of them, in the pass that cleans up; and a second time, in the
// pass after the first loss. Whatever of what was not synced has come to the disk then and whatever
// has not (unsynced_disk.hpp): nobody who stays is harmed, whoever goes is whole or gone, and the
// next pass leaves what one that nothing interrupted would have left.
#include "every_call/power_loss.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <optional>
#include <utility>

#include "support/backlog.hpp"
#include "support/catch.hpp"
#include "support/sampling.hpp"

using namespace calib::test;

namespace {

using Choice = UnsyncedDisk::Choice;

/// The same with everything that stands aside back at home.
DiskState at_home(const DiskState& state) {
  static const std::string folder = "app/uploads/";
  DiskState result;
  for (const auto& [path, text] : state) {
    if (!path.starts_with(folder + aside_prefix)) {
      result.emplace(path, text);
      continue;
    }
    const auto end = path.find('/', folder.size());
    result.emplace(folder + without_staging(path.substr(folder.size(), end - folder.size())) +
                       path.substr(std::min(end, path.size())),
                   text);
  }
  return result;
}

std::string name_of(const FaultScenario::Setup& setup) {
  return name_of(setup.journal) + (setup.extras == FaultScenario::Extras::all ? ", all" : "");
}

/// The power goes in a pass that nobody has interrupted; returns what that leaves.
std::vector<DiskState> lose_power(FaultScenario& scenario, Choice choice, const std::string& name,
                                  int floor_states) {
  Recorder recorder(scenario);
  const auto changes = recorder.pass(scenario.start()).changes;
  recorder.check_complete(scenario.start(), changes);
  PowerLoss loss(scenario);
  UnsyncedDisk disk(scenario.start());
  loss.after_each(disk, changes, choice, "the power went");
  loss.after_the_end(disk, choice, "the power went", by_power_loss);
  std::cout << fmt::format("{}: power lost at {} points, which leaves {} states\n", name,
                           loss.points(), loss.states().size());
  check_floor(static_cast<int>(loss.states().size()), floor_states);
  return loss.states();
}

/// A pass is killed before each call, and the power goes in the next one: what the first one has
/// done is seen by the second, synced or not.
void kill_and_lose_power(FaultScenario& scenario, Choice choice, const std::string& name,
                         int floor_states) {
  Recorder recorder(scenario);
  PowerLoss loss(scenario);
  int kills = 0;
  std::optional<std::size_t> changes_before;
  for (int n = 1;; n += stride) {
    const auto first = recorder.pass(scenario.start(), fmt::format("change:{}:kill", n));
    if (first.status != killed) break;
    ++kills;
    // Locking, and opening what is there, changes nothing on the disk.
    if (std::exchange(changes_before, first.changes.size()) == first.changes.size()) continue;
    UnsyncedDisk disk(scenario.start());
    for (const auto& change : first.changes) disk.apply(change);
    loss.after_each(disk, recorder.next_pass().changes, choice,
                    fmt::format("killed at call {}, then the power went", n));
  }
  std::cout << fmt::format(
      "{}: killed at {} calls, then power lost at {} points, which leaves {} states\n", name, kills,
      loss.points(), loss.states().size());
  check_floor(static_cast<int>(loss.states().size()), floor_states);
}

/// The power goes, and again in the pass after that. Of the states that the first loss leaves one
/// is gone on from every so often.
void lose_power_twice(FaultScenario& scenario, Choice first, Choice second, std::size_t every,
                      const std::string& name, int floor_states) {
  const auto states = lose_power(scenario, first, name, 1);
  Recorder recorder(scenario);
  PowerLoss loss(scenario);
  for (std::size_t i = 0; i < states.size(); i += every * static_cast<std::size_t>(stride)) {
    UnsyncedDisk disk(states[i]);
    loss.after_each(disk, recorder.pass(states[i]).changes, second,
                    fmt::format("the power went again (state {})", i));
  }
  std::cout << fmt::format("{}: power lost a second time at {} points, which leaves {} states\n",
                           name, loss.points(), loss.states().size());
  check_floor(static_cast<int>(loss.states().size()), floor_states);
}

/// Whether this change syncs the name of a journal that is new. SQLite goes on where that fails
/// (unixSync in its os_unix.c), so two things at once may undo it: a disk that cannot sync a
/// directory, and the power that goes before the journal does.
bool is_new_journal(const std::vector<Change>& changes, std::size_t at) {
  return at > 0 && at < changes.size() && changes[at].kind == Change::Kind::sync &&
         changes[at].path == "app/backend" && changes[at - 1].kind == Change::Kind::sync &&
         changes[at - 1].path.ends_with("-journal");
}

/// Each call that can change the world fails once, and the power goes at some time after that.
void fail_and_lose_power(FaultScenario& scenario, Choice choice, const std::string& name,
                         int floor_states) {
  constexpr Cut cut{.by_error = true, .by_power_loss = true};
  Recorder recorder(scenario);
  PowerLoss loss(scenario);
  int faults = 0;
  int unnoticed = 0;
  const auto usual = recorder.pass(scenario.start()).changes;
  for (int n = 1;; n += stride) {
    // One that is killed at the call says whether there are so many.
    if (recorder.pass(scenario.start(), fmt::format("change:{}:kill", n)).status != killed) break;
    const auto failing = recorder.pass(scenario.start(), fmt::format("change:{}:{}", n, EIO));
    ++faults;
    const auto same =
        std::mismatch(usual.begin(), usual.end(), failing.changes.begin(), failing.changes.end())
            .first -
        usual.begin();
    if (is_new_journal(usual, static_cast<std::size_t>(same))) {
      ++unnoticed;
      continue;
    }
    UnsyncedDisk disk(scenario.start());
    const auto where = fmt::format("call {} failed, then the power went", n);
    loss.after_each(disk, failing.changes, choice, where, cut, static_cast<std::size_t>(same));
    const bool is_told = failing.err.find("aside again after a power loss") != std::string::npos;
    if (!is_told) loss.after_the_end(disk, choice, where, cut);
  }
  std::cout << fmt::format("{}: {} faults, then power lost at {} points, which leaves {} states\n",
                           name, faults, loss.points(), loss.states().size());
  CHECK(unnoticed <= 1);
  check_floor(static_cast<int>(loss.states().size()), floor_states);
}

/// How a commit is made.
enum class Commit { removes_journal, clears_journal, writes_log };

/// What the app leaves that deletes its sessions' records, and not their directories: seen by
/// everybody, and not yet safe from a power loss.
UnsyncedDisk deleted_by_the_app(FaultScenario& scenario, Commit commit) {
  const std::string file = "app/backend/calibration.db";
  const bool wal = commit == Commit::writes_log;
  // The tool's own pass, killed when its commit can be seen and is not durable, has done the same;
  // but for the directories that it has put aside.
  for (int n = 1;; ++n) {
    const auto* rule = wal ? "fdatasync/calibration.db-wal:{}:kill" : "clear/-journal:{}:kill";
    REQUIRE(scenario.pass(scenario.start(), fmt::format(fmt::runtime(rule), n)).status == killed);
    auto synced = scenario.now();
    Change last;
    last.path = file + (wal ? "-wal" : "-journal");
    last.kind = Change::Kind::write;
    if (wal) {
      last.data = std::exchange(synced[last.path], "");
    } else if (commit == Commit::clears_journal) {
      last.data.resize(28);
    } else {
      last.kind = Change::Kind::unlink;
    }
    UnsyncedDisk disk(at_home(synced));
    disk.apply(last);
    if (scenario.contents(disk.seen()).rows == scenario.settled().rows) return disk;
  }
}

constexpr auto all_extras = FaultScenario::Extras::all;

FaultScenario::Setup with_extras(Journal journal) {
  FaultScenario::Setup setup;
  setup.journal = journal;
  setup.extras = all_extras;
  return setup;
}

}  // namespace

TEST_CASE("with a rollback journal the power lost at any call leaves sessions whole or gone",
          "[faults][power]") {
  FaultScenario scenario({Journal::rollback});
  lose_power(scenario, Choice::many, "rollback journal", 1100);
}

TEST_CASE("with a WAL the power lost at any call leaves sessions whole or gone",
          "[faults][power]") {
  FaultScenario scenario({Journal::wal});
  lose_power(scenario, Choice::many, "WAL", 1000);
}

TEST_CASE("a vacuum and the metrics survive the power lost at any call", "[faults][power]") {
  const auto setup = with_extras(GENERATE(Journal::rollback, Journal::wal));
  FaultScenario scenario(setup);
  lose_power(scenario, Choice::few, name_of(setup), 90);
}

TEST_CASE("the power lost in the pass after one that was killed leaves sessions whole or gone",
          "[faults][power][threads]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  FaultScenario scenario({journal});
  kill_and_lose_power(scenario, Choice::few, name_of(journal), 380);
}

TEST_CASE("a call that fails and then the power lost leave sessions whole or gone",
          "[faults][power]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  FaultScenario scenario({journal});
  fail_and_lose_power(scenario, Choice::few, name_of(journal), 550);
}

TEST_CASE("an orphan goes no sooner than its session is gone for good", "[faults][power]") {
  const auto commit = GENERATE(Commit::removes_journal, Commit::clears_journal, Commit::writes_log);
  const auto journal = commit == Commit::writes_log ? Journal::wal : Journal::rollback;
  FaultScenario scenario({journal});
  auto disk = deleted_by_the_app(scenario, commit);
  PowerLoss loss(scenario);
  const auto changes = Recorder(scenario).pass(disk.seen()).changes;
  loss.after_each(disk, changes, Choice::many, "the app has deleted");
  std::cout << fmt::format(
      "{}: power lost at {} points after the app has deleted, which leaves {} "
      "states\n",
      name_of(journal), loss.points(), loss.states().size());
  check_floor(static_cast<int>(loss.states().size()), 20);
}

TEST_CASE("the power lost twice leaves sessions whole or gone", "[faults][power]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  FaultScenario scenario({journal});
  lose_power_twice(scenario, Choice::few, Choice::few, 5, name_of(journal), 300);
}

TEST_CASE("the power lost in any pass, whatever is left", "[.][exhaustive]") {
  const auto journal = GENERATE(Journal::rollback, Journal::wal);
  const auto size = GENERATE(FaultScenario::Size::small, FaultScenario::Size::large);
  FaultScenario scenario({journal, size});
  kill_and_lose_power(scenario, Choice::many, name_of(journal), 1);
  lose_power_twice(scenario, Choice::many, Choice::few, 1, name_of(journal), 1);
}
