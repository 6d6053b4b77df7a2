// The real executable, run on a test's app folder.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/app_fixture.hpp"

namespace calib::test {

/// Who runs the tool: `nobody` is an ordinary user also where the tests run as root.
enum class As { myself, nobody };

struct RunOptions {
  std::map<std::string, std::string> environment = {};  ///< besides PATH, LC_ALL=C and TZ=UTC0
  std::optional<fs::path> directory = {};               ///< to run in
  As as = As::myself;
  std::string interpose = {};       ///< for the interposer: see support/interposer/rules.hpp
  std::int64_t clock_wrong_by = 0;  ///< seconds that its clock is fast
  std::optional<fs::path> stdout_file = {};  ///< instead of the pipe; "" closes it
  unsigned seconds = 0;  ///< after which SIGALRM ends it, where it hangs; 0: never
  std::optional<unsigned> open_files = {};  ///< RLIMIT_NOFILE
  std::optional<unsigned> file_bytes = {};  ///< RLIMIT_FSIZE
  std::string executable = {};              ///< instead of the one that is tested
  bool own_group = false;                   ///< a job of its own, as a shell makes one
  bool measures_memory = false;             ///< else Ran::peak_bytes is 0
};

struct Ran {
  int status = -1;          ///< exit status; 128 + signal where one ended it
  bool has_exited = false;  ///< no signal ended it, but it itself
  std::string out;
  std::string err;
  std::uint64_t peak_bytes = 0;  ///< the most that it had in memory, where that is measured
  [[nodiscard]] nlohmann::json json() const { return nlohmann::json::parse(out); }
};

/// The executable, running. Killed where it still runs when this goes.
class Running {
 public:
  Running(const std::vector<std::string>& arguments, const RunOptions& options);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  Running(Running&&) = delete;
  Running& operator=(Running&&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// Waits until the interposer has stopped it (SIGSTOP). False where it ended instead.
  [[nodiscard]] bool wait_until_stopped();
  /// Lets it go on, if it is stopped, and waits for its end.
  Ran finish();
  /// What a process with this wait status has come to that printed to where this one prints. The
  /// next such process prints from the beginning.
  Ran outcome(int wait_status);

 private:
  [[nodiscard]] bool is_stopped() const;

  int out_ = -1;  // files without a name
  int err_ = -1;
  pid_t pid_ = -1;
  std::optional<int> ended_;
  bool measures_memory_;
  std::uint64_t peak_bytes_ = 0;
};

/// Run with the interposer told of this point; ended where it hangs.
RunOptions at(const std::string& point);

/// No arguments; no differences.
inline const std::vector<std::string> none;

/// Runs it to its end.
Ran run_tool(const std::vector<std::string>& arguments, const RunOptions& options = {});
/// The same with `--app-dir <app>`.
Ran run_on(const App& app, std::vector<std::string> arguments, const RunOptions& options = {});

/// A JSON document without what differs from one run to the next: times, ages, the disk.
nlohmann::json without_times(nlohmann::json document);

/// Whether `line` is a whole line of `text`.
bool has_line(const std::string& text, const std::string& line);
std::vector<std::string> lines_of(const std::string& text);

}  // namespace calib::test
