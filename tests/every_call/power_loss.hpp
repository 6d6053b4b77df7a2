// Losing the power, again and again: what a pass does is recorded once, and looked at after each
// change with every choice of what had come to the disk.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "every_call/fault_scenario.hpp"
#include "every_call/unsynced_disk.hpp"
#include "support/catch.hpp"
#include "support/change_log.hpp"
#include "support/sampling.hpp"

namespace calib::test {

/// Loses the power of a disk again and again, and looks at each state that it has not seen yet.
class PowerLoss {
 public:
  explicit PowerLoss(FaultScenario& scenario) : scenario_(scenario) {}

  /// After each of these changes from this one on, and before it. `disk` has them all then.
  void after_each(UnsyncedDisk& disk, const std::vector<Change>& changes,
                  UnsyncedDisk::Choice choice, const std::string& where, Cut cut = by_power_loss,
                  std::size_t from = 0) {
    if (from == 0) look_at(disk, choice, where + ", before any change", cut);
    for (std::size_t i = 0; i < changes.size(); ++i) {
      disk.apply(changes[i]);
      if (i + 1 < from || i % static_cast<std::size_t>(stride) != 0) continue;
      look_at(disk, choice, fmt::format("{}, after change {} ({})", where, i + 1, changes[i].path),
              cut);
    }
  }

  /// When the pass has ended. What was wrong before the power went is no news.
  void after_the_end(const UnsyncedDisk& disk, UnsyncedDisk::Choice choice,
                     const std::string& where, Cut cut) {
    cut.late = true;
    known_ = scenario_.faults(disk.seen(), cut);
    const auto before = std::exchange(seen_, {});
    look_at(disk, choice, where + ", at the end", cut);
    seen_ = before;
    known_.clear();
  }

  /// The states that were looked at.
  [[nodiscard]] const std::vector<DiskState>& states() const { return states_; }
  [[nodiscard]] int points() const { return points_; }

 private:
  void look_at(const UnsyncedDisk& disk, UnsyncedDisk::Choice choice, const std::string& where,
               Cut cut) {
    ++points_;
    const auto seed = static_cast<std::uint64_t>(points_);
    disk.visit_states(choice, seed, [&](const DiskState& state, const std::string& what) {
      if (!seen_.insert(hash_of(state)).second) return;
      if (!cut.late) states_.push_back(state);
      auto found = scenario_.faults(state, cut);
      for (auto& line : scenario_.next_pass_unsettled(state)) found.push_back(std::move(line));
      std::erase_if(found, [&](const std::string& line) {
        return std::find(known_.begin(), known_.end(), line) != known_.end();
      });
      if (found.empty()) return;
      std::string text = fmt::format("{}, with {}", where, what);
      for (const auto& line : found) text += "\n  " + line;
      FAIL_CHECK(text);
    });
  }

  FaultScenario& scenario_;
  std::unordered_set<std::uint64_t> seen_;
  std::vector<DiskState> states_;
  std::vector<std::string> known_;
  int points_ = 0;
};

/// What a pass does and says.
struct Recorded {
  std::vector<Change> changes;
  int status = 0;
  std::string err;
};

/// What stands there, but for the file that a WAL database is mapped into: what is written to
/// memory is no call.
inline DiskState without_memory(DiskState state) {
  std::erase_if(state, [](const auto& entry) { return entry.first.ends_with("-shm"); });
  return state;
}

class Recorder {
 public:
  explicit Recorder(FaultScenario& scenario) : scenario_(scenario) {}

  /// A pass from this state, with a rule for the interposer.
  Recorded pass(const DiskState& from, const std::string& rule = "") {
    fs::remove(log());
    const auto ran = scenario_.pass(from, rule, log());
    return {read_change_log(log(), scenario_.sandbox()), ran.status, ran.err};
  }
  /// A pass from what stands there now.
  Recorded next_pass() {
    fs::remove(log());
    const auto ran = scenario_.pass_on("", log());
    return {read_change_log(log(), scenario_.sandbox()), ran.status, ran.err};
  }

  /// Whether these changes lead from that state to what stands there now: whether the log has them
  /// all.
  void check_complete(const DiskState& from, const std::vector<Change>& changes) {
    UnsyncedDisk disk(from);
    for (const auto& change : changes) disk.apply(change);
    CHECK(without_memory(disk.seen()) == without_memory(scenario_.now()));
  }

 private:
  [[nodiscard]] fs::path log() const { return folder_.path() / "log"; }
  FaultScenario& scenario_;
  TempDir folder_{fast_folder()};
};

}  // namespace calib::test
