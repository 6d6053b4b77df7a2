#include "uploads/in_use.hpp"

#include <fcntl.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/fd.hpp"
#include "base/system.hpp"
#include "model/pass_error.hpp"
#include "uploads/ways.hpp"

namespace calib {
namespace {

/// The entries directly in `folder` at or below which one of `paths` is, wherever links lead.
std::vector<std::string> entries_on_the_way(const std::filesystem::path& folder,
                                            const std::vector<std::filesystem::path>& paths) {
  std::vector<std::string> entries;
  Fd opened;
  static_cast<void>(
      system::open_to_look_up(AT_FDCWD, folder.c_str(), system::Links::follow, opened));
  for (const auto& path : paths) {
    // From the root, so that the folders in which the working directory lies are on the way, too.
    std::error_code error;
    const auto whole = std::filesystem::absolute(path, error);
    // A way that ends before the folder does not lead through it for us, who have it open.
    std::error_code ends;
    for (auto& entry : entries_on_way(opened.get(), AT_FDCWD, whole.string(), ends)) {
      entries.push_back(std::move(entry.name));
    }
    if (ends == std::errc::operation_not_supported) {
      throw PassError(PassError::Kind::unusable, whole.string(),
                      "whether this lies in the uploads folder cannot be told, for a folder on the "
                      "way may not be read; run as a user who may");
    }
  }
  return entries;
}

}  // namespace

std::vector<std::string> entries_in_use(const Options& options) {
  std::vector<std::filesystem::path> used{options.app_dir, options.app_dir / "backend",
                                          options.app_dir / ".env",
                                          options.app_dir / "backend" / ".env", "."};
  if (options.database.kind == DatabaseKind::sqlite) used.push_back(options.database.path);
  if (options.metrics) used.push_back(*options.metrics);
  if (options.config) used.push_back(*options.config);
  return entries_on_the_way(options.uploads, used);
}

}  // namespace calib
