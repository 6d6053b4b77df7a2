#include "base/links.hpp"

#include <optional>
#include <system_error>

namespace calib {
namespace {

// As many as the kernel follows on one way (path_resolution(7)).
constexpr int max_links = 40;

/// Where the first link on the way leads, with the rest of the way; nothing where there is no link.
std::optional<std::filesystem::path> after_first_link(const std::filesystem::path& path) {
  std::filesystem::path way;
  for (auto part = path.begin(); part != path.end(); ++part) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink(way / *part, error);
    if (error) {
      way /= *part;
      continue;
    }
    way /= target;  // which takes its place where it is absolute
    for (++part; part != path.end(); ++part) way /= *part;
    return way;
  }
  return std::nullopt;
}

}  // namespace

std::filesystem::path behind_links(std::filesystem::path path) {
  for (int links = 0; links < max_links; ++links) {
    const auto next = after_first_link(path);
    if (!next) break;
    path = *next;
  }
  return path.lexically_normal();
}

}  // namespace calib
