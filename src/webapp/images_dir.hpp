// From what a session says of its directory to a name in the uploads folder. Pure: no file is
// looked at, and what the database says is never used as a path.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace calib {

/// The ways in which `images_dir` may spell the uploads folder, apart from `uploads/…`.
class FolderSpellings {
 public:
  /// `uploads` as the user gave it, and `real`, where it really is; relative `images_dir` values
  /// start in `app_dir` (absolute).
  FolderSpellings(const std::filesystem::path& uploads, const std::filesystem::path& real,
                  const std::filesystem::path& app_dir);

  /// Whether these components spell the folder.
  [[nodiscard]] bool contains(const std::vector<std::string_view>& components, bool absolute) const;

 private:
  std::vector<std::string> app_dir_;
  std::vector<std::vector<std::string>> absolute_;
  std::vector<std::string> relative_;
};

/// `path` cut at its slashes; empty components and `.` left out.
std::vector<std::string_view> path_components(std::string_view path);

/// Whether an entry of this name may be a session's directory: one component of at most 255 bytes,
/// not hidden, not `lost+found`, no NUL.
bool is_session_directory_name(std::string_view name);

/// The entry of the uploads folder that `images_dir` names: `uploads/<name>`, `/…/uploads/<name>`
/// or `<uploads folder>/<name>`. Nothing for all else: other places, `..`, deeper paths, the folder
/// itself, names that is_session_directory_name() refuses.
std::optional<std::string> directory_name(std::string_view images_dir,
                                          const FolderSpellings& folder);

}  // namespace calib
