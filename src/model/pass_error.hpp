// The one exception that ends a pass, or a step of it.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

#include "base/stop.hpp"

namespace calib {

/// What stops a pass.
class PassError : public std::runtime_error {
 public:
  enum class Kind {
    unusable,  ///< it cannot be used (missing, not this app's, I/O error …): status 3
    busy,      ///< locked for longer than was to be waited: status 4
    full,      ///< no room on the disk: fewer sessions at once may do
    refused,   ///< the database would not have this change (a constraint)
    stopped,   ///< the stop flag was set
    disturbed  ///< others were at work at the wrong moment: the same again will do
  };
  PassError(Kind kind, const std::string& text) : PassError(kind, "", text) {}
  /// `path` is the database or folder that `text` is about.
  PassError(Kind kind, const std::string& path, const std::string& text)
      : std::runtime_error(path.empty() ? text : path + ": " + text),
        kind_(kind),
        path_(path),
        text_(text) {}
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  Kind kind_;
  std::string path_;
  std::string text_;
};

/// Throws (stopped) where a stop was asked for.
void throw_if_requested(const StopFlag& stop);

/// The error (busy) of a lock that was waited for for so long; `holder` is who has it, where that
/// is told.
PassError still_locked(const std::string& path, std::chrono::steady_clock::duration waited,
                       const std::string& holder = {});

}  // namespace calib
