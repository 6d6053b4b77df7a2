// The real executable, loaded once for thousands of passes with the same arguments.
#pragma once

#include "support/tool_run.hpp"

namespace calib::test {

/// A process of the executable that stands before its main(). Each pass is a copy of it: what
/// loading it takes (most of a small pass, more under a sanitizer) is spent once.
class PreparedTool {
 public:
  /// The interposer's rules are each pass's own; `options` has the rest.
  PreparedTool(const std::vector<std::string>& arguments, RunOptions options);
  ~PreparedTool();
  PreparedTool(const PreparedTool&) = delete;
  PreparedTool& operator=(const PreparedTool&) = delete;
  PreparedTool(PreparedTool&&) = delete;
  PreparedTool& operator=(PreparedTool&&) = delete;

  /// One pass to its end, with rules for the interposer and a file for its log.
  Ran run(const std::string& interpose, const fs::path& log = "");

 private:
  unsigned seconds_;
  int socket_ = -1;
  std::optional<Running> process_;
};

}  // namespace calib::test
