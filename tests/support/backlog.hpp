// An app where something of every kind is due, and what a pass that is cut short may leave of it.
#pragma once

#include <string>
#include <vector>

#include "support/tool_run.hpp"

namespace calib::test {

/// Every row of every table, and every path in uploads with its contents: two equal ones hold the
/// same, however many passes it took and whenever they ran.
std::string state_of(const App& app);

/// The lines that only one of two states has.
std::vector<std::string> difference(const std::string& one, const std::string& other);

/// Two expired sessions, two live ones, an orphaned directory, leaked rows, and stereo rows of an
/// expired session and of the live ones alone.
class Backlog : public App {
 public:
  explicit Backlog(Journal journal = Journal::rollback);

  [[nodiscard]] const std::vector<std::string>& due() const { return due_; }
  [[nodiscard]] const std::vector<std::string>& live() const { return live_; }
  [[nodiscard]] const std::string& leaked_key() const { return leaked_; }
  /// Makes `app` the same as this one is now.
  void copy_to(const App& app) const { app.become(*this); }
  /// The state that a pass leaves which nothing interrupts.
  [[nodiscard]] std::string settled() const;
  /// What is wrong with `app`, which was a copy of this one when a pass began that was cut short:
  /// live sessions harmed, expired ones that are neither whole nor gone. None, where all is well.
  [[nodiscard]] std::vector<std::string> faults(const App& app) const;
  /// Whether all that was due is still in the database of `app`.
  [[nodiscard]] bool has_all_records(const App& app) const;
  /// Whether the images of a session stand in full in this directory.
  static bool has_all_images(const fs::path& directory);

 private:
  std::vector<std::string> due_;
  std::vector<std::string> live_;
  std::string leaked_;
};

/// The tool on `app` with one thread, so that its calls come in the same order every time.
Ran run_pass(const App& app, std::vector<std::string> arguments = {},
             const std::string& interpose = "");

/// The same, as a process to be stopped on its way.
std::vector<std::string> pass_arguments(const App& app, std::vector<std::string> arguments = {});

constexpr int killed = 128 + 9;

}  // namespace calib::test
