// An app folder, small enough for one pass at every call of another, in which each kind of step has
// something to do; and the judge of what a pass leaves of it that was killed or met errors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "every_call/disk_state.hpp"
#include "every_call/prepared_tool.hpp"
#include "support/in_memory.hpp"
#include "support/tool_run.hpp"

namespace calib::test {

inline const std::string& aside = aside_prefix;

/// What a state means: the rows that the database gives, once SQLite has rolled back or recovered
/// what a crash left, and what stands in uploads.
struct Contents {
  bool sound = false;             ///< PRAGMA integrity_check
  std::vector<std::string> rows;  ///< sorted
  DiskState uploads;              ///< what is aside without the mark
  std::string outside;
  std::optional<std::string> metrics;  ///< where there is a file; another pass, another text
};

/// How a pass came to leave a state.
struct Cut {
  bool by_error = false;  ///< some sessions may have stayed and others gone
  /// A rename may be lost whose transaction holds: then the directory is an orphan.
  bool by_power_loss = false;
  bool late = false;  ///< it had come to its end: no directory of anybody's is aside
};
constexpr Cut by_kill{};
constexpr Cut by_error{.by_error = true};
constexpr Cut by_power_loss{.by_power_loss = true};

/// Two expired sessions (one with a stereo row that it shares with a live one), a live session,
/// leaked rows; and, but for `sessions_only`, one that an interrupted pass moved aside and the app
/// has made anew, one that is just aside, an orphan with a directory in it, and what is left of a
/// session that is gone. `large` has more of each.
class FaultScenario {
 public:
  enum class Size { sessions_only, small, large };
  /// What the passes delete: expired sessions and orphans; orphans; one of the expired sessions.
  enum class Rule { expired, orphans_only, named };
  /// `all`: they also vacuum, write metrics, and print JSON.
  enum class Extras { no, all };
  struct Setup {
    Journal journal = Journal::rollback;
    Size size = Size::small;
    Rule rule = Rule::expired;
    Extras extras = Extras::no;
    int jobs = 1;
  };
  explicit FaultScenario(const Setup& setup);

  [[nodiscard]] const DiskState& start() const { return start_; }
  /// What a pass leaves that nothing interrupts.
  [[nodiscard]] const Contents& settled() const { return settled_; }
  [[nodiscard]] const fs::path& sandbox() const { return sandbox_.path(); }

  /// For a pass that a test runs itself.
  [[nodiscard]] const std::vector<std::string>& arguments() const { return arguments_; }
  [[nodiscard]] RunOptions options(const std::string& interpose, const fs::path& log = "") const;
  /// Puts this state where the passes run.
  void lay_out(const DiskState& state);

  /// One pass from this state, with a rule for the interposer, and a file for its log.
  Ran pass(const DiskState& from, const std::string& interpose = "", const fs::path& log = "");
  /// One pass from what stands there now.
  Ran pass_on(const std::string& interpose = "", const fs::path& log = "");
  [[nodiscard]] DiskState now() const;

  /// One pass from this state to its end; `look` gets what stands before each call that can change
  /// the world.
  Ran walk(const DiskState& from, const std::function<void(const DiskState&)>& look);

  Contents contents(const DiskState& state);

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
  void learn_what_goes(const std::vector<std::string>& keys);
  bool has_whole_metrics(const Contents& is) const;
  std::vector<std::string> faults_of_due(const Contents& is, Cut cut) const;
  /// What a pass says, and ends with, that has come to its end undisturbed from this state.
  std::vector<std::string> strange_end(const Ran& ran, const DiskState& from);

  Rule rule_;
  std::vector<std::string> arguments_;
  TempDir sandbox_{fast_folder()};
  TempDir scratch_{fast_folder()};
  std::optional<PreparedTool> tool_;
  std::unique_ptr<AppDatabase> server_database_;  ///< where the rows are not in the sandbox's files
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
