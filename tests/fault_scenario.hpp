// An app folder, small enough for one pass at every call of another, in which each kind of step has
// something to do; and the judge of what a pass leaves of it that was killed or met errors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "app_fixture.hpp"
#include "disk_state.hpp"

namespace calib::test {

/// What a state means: the rows that the database gives, once SQLite has rolled back or recovered
/// what a crash left, and what stands in uploads.
struct Contents {
  bool sound = false;             ///< PRAGMA integrity_check
  std::vector<std::string> rows;  ///< sorted
  DiskState uploads;
  std::string outside;
  friend bool operator==(const Contents&, const Contents&) = default;
};

/// Two expired sessions (one with a stereo row that it shares with a live one), a live session,
/// leaked rows; and, but for `sessions_only`, one that an interrupted pass moved aside and the app
/// has made anew, one that is just aside, an orphan with a directory in it, and what is left of a
/// session that is gone. `large` has more of each.
class FaultScenario {
 public:
  enum class Size { sessions_only, small, large };
  explicit FaultScenario(Journal journal, Size size = Size::small,
                         std::vector<std::string> more_arguments = {});

  [[nodiscard]] const DiskState& start() const { return start_; }
  [[nodiscard]] const fs::path& sandbox() const { return sandbox_.path(); }

  /// One pass from this state, with a rule for the interposer.
  Ran pass(const DiskState& from, const std::string& interpose = "");
  [[nodiscard]] DiskState now() const { return read_disk(sandbox()); }

  /// One pass from this state to its end; `look` gets what stands before each call that can change
  /// the world.
  Ran walk(const DiskState& from, const std::function<void(const DiskState&)>& look,
           const std::string& log = "");

  Contents contents(const DiskState& state);

  /// How a pass was cut short. Errors may keep some sessions and let others go; only with the power
  /// a rename gets lost whose transaction holds: then the directory is an orphan.
  enum class Cut { by_kill, by_error, by_power_loss };
  /// What is wrong with a state that such a pass leaves: a live session harmed, an expired one
  /// neither whole nor gone. None, where all is well.
  std::vector<std::string> faults(const DiskState& state, Cut cut);

  /// What is wrong where a pass has come to its end undisturbed; each state is looked at once.
  std::vector<std::string> unsettled(const DiskState& state);
  /// The same for what the next pass makes of this state.
  std::vector<std::string> next_pass_unsettled(const DiskState& state);

  /// What is wrong with what a pass did, and said of it, that met errors on its way.
  std::vector<std::string> broken_promises(const Ran& ran, const DiskState& state);

 private:
  RunOptions options(const std::string& interpose) const;
  std::vector<std::string> arguments_;
  TempDir sandbox_{fast_folder()};
  TempDir scratch_{fast_folder()};
  DiskState start_;
  Contents before_;
  Contents settled_;
  std::map<std::string, std::vector<std::string>> due_;  // session id or leaked key -> its rows
  std::unordered_map<std::uint64_t, std::pair<bool, std::vector<std::string>>> databases_;
  std::unordered_map<std::uint64_t, std::vector<std::string>> unsettled_;
  std::unordered_map<std::uint64_t, std::vector<std::string>> unsettled_next_;
};

/// The lines that only one of two has, marked.
std::vector<std::string> difference(const Contents& is, const Contents& expected);

}  // namespace calib::test
