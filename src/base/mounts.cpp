#include "base/mounts.hpp"

#include <algorithm>

namespace calib {

bool Mounts::is_point(const std::string& path) const {
  return std::binary_search(points.begin(), points.end(), path);
}

bool Mounts::any_in(const std::string& entry) const {
  return std::any_of(points.begin(), points.end(), [&](const std::string& point) {
    return point == entry || (point.starts_with(entry) && point[entry.size()] == '/');
  });
}

void Mounts::sort_out() {
  for (auto* names : {&points, &entries}) {
    std::erase(*names, "");
    std::sort(names->begin(), names->end());
    names->erase(std::unique(names->begin(), names->end()), names->end());
  }
}

std::string first_component(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

std::string_view way_below(std::string_view folder, std::string_view path) {
  return path.starts_with(folder) ? path.substr(folder.size()) : std::string_view();
}

}  // namespace calib
