#include "webapp/images_dir.hpp"

#include <algorithm>

namespace calib {
namespace {

constexpr std::string_view usual_name = "uploads";
constexpr std::size_t max_name = 255;
constexpr std::size_t max_path = 4096;  // PATH_MAX

std::vector<std::string> owned_components(const std::filesystem::path& path) {
  const auto text = path.lexically_normal().string();
  const auto views = path_components(text);
  return {views.begin(), views.end()};
}

bool same(const std::vector<std::string>& a, const std::vector<std::string_view>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

std::vector<std::string_view> path_components(std::string_view path) {
  std::vector<std::string_view> components;
  components.reserve(4);
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto component = path.substr(0, end);
    if (!component.empty() && component != ".") components.push_back(component);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return components;
}

FolderSpellings::FolderSpellings(const std::filesystem::path& uploads,
                                 const std::filesystem::path& real,
                                 const std::filesystem::path& app_dir)
    : app_dir_(owned_components(app_dir)),
      absolute_{owned_components(std::filesystem::absolute(uploads)), owned_components(real)},
      relative_(uploads.is_relative() ? owned_components(uploads) : std::vector<std::string>{}) {}

bool FolderSpellings::contains(const std::vector<std::string_view>& components,
                               bool absolute) const {
  if (components.empty()) return false;
  if (!absolute && same(relative_, components)) return true;
  std::vector<std::string_view> whole;
  if (!absolute) whole.assign(app_dir_.begin(), app_dir_.end());
  whole.insert(whole.end(), components.begin(), components.end());
  return std::any_of(
      absolute_.begin(), absolute_.end(),
      [&](const std::vector<std::string>& spelling) { return same(spelling, whole); });
}

bool is_session_directory_name(std::string_view name) {
  return !name.empty() && name.size() <= max_name && name.front() != '.' && name != "lost+found" &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::optional<std::string> directory_name(std::string_view images_dir,
                                          const FolderSpellings& folder) {
  if (images_dir.size() >= max_path || images_dir.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  const bool absolute = images_dir.starts_with('/');
  auto components = path_components(images_dir);
  if (components.size() < 2 ||
      std::find(components.begin(), components.end(), "..") != components.end()) {
    return std::nullopt;
  }
  const auto name = components.back();
  components.pop_back();
  const bool usual = components.back() == usual_name && (absolute || components.size() == 1);
  if (!is_session_directory_name(name) || !(usual || folder.contains(components, absolute))) {
    return std::nullopt;
  }
  return std::string(name);
}

}  // namespace calib
