// The app at work: uploads, and its own hourly clean-up, in processes of their own.
#pragma once

#include <string>
#include <vector>

#include "support/child_process.hpp"
#include "support/tool_run.hpp"

namespace calib::test {

/// What becomes of an upload, when everybody is done.
struct Upload {
  std::string id;
  double age_hours = 0;  ///< what it is dated back by: an expired one is expired from the first on
};

inline constexpr int images_of_upload = 4;

/// Uploads these as the app does, one after the other, as fast as it can: the session is committed,
/// then its directory made, then the images written, then their rows committed. The process ends
/// with 0 where none was refused. Refused is what the app's user would be told of: the database
/// locked for longer than Python's driver waits, or a directory that is gone although the session
/// is younger than `hours`.
ChildProcess start_uploads(const App& app, std::vector<Upload> uploads, double hours);

/// What the app does hourly and at each start, without an end: every directory in uploads that has
/// no session goes, hidden ones included.
ChildProcess start_cleanups_of_the_app(const App& app);

enum class Look { at_all, at_live };

/// What is wrong at this moment: images that the database knows and the disk does not. The database
/// is locked meanwhile, so no pass is between moving a directory and its commit. `at_live` looks at
/// sessions of the last 24 hours alone.
std::vector<std::string> lost_files(const App& app, Look look);

}  // namespace calib::test
