#include "mounts.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace calib {
namespace {

/// mountinfo writes blanks, tabs, newlines and backslashes as three octal digits.
std::string unescaped(const std::string& field) {
  const auto digit = [&](std::size_t at, char most) {
    return at < field.size() && field[at] >= '0' && field[at] <= most;
  };
  std::string text;
  for (std::size_t at = 0; at < field.size(); ++at) {
    if (field[at] == '\\' && digit(at + 1, '3') && digit(at + 2, '7') && digit(at + 3, '7')) {
      const int value =
          (field[at + 1] - '0') * 64 + (field[at + 2] - '0') * 8 + (field[at + 3] - '0');
      text += static_cast<char>(static_cast<unsigned char>(value));
      at += 3;
    } else {
      text += field[at];
    }
  }
  return text;
}

/// The first fields of a line of mountinfo.
struct Mount {
  std::string id;
  std::string device;
  std::string root;   ///< what is mounted, in its file system
  std::string point;  ///< where
};

Mount mount_in(const std::string& line) {
  std::istringstream fields(line);
  Mount mount;
  std::string parent;
  fields >> mount.id >> parent >> mount.device >> mount.root >> mount.point;
  mount.root = unescaped(mount.root);
  mount.point = unescaped(mount.point);
  return mount;
}

std::string with_slash(const std::string& path) { return path.ends_with('/') ? path : path + '/'; }

/// The first component of `path` below `folder`, which ends with a slash; empty where it is not.
std::string entry_below(const std::string& folder, const std::string& path) {
  if (!path.starts_with(folder)) return {};
  return path.substr(folder.size(), path.find('/', folder.size()) - folder.size());
}

}  // namespace

std::vector<std::string> entries_with_mounts(int directory, std::uint64_t mount_id) {
  std::error_code error;
  const auto real =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(directory), error);
  std::vector<std::string> names;
  if (error) return names;
  const auto below = with_slash(real.string());
  std::vector<Mount> mounts;
  std::ifstream file("/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) mounts.push_back(mount_in(line));
  const auto own = std::find_if(mounts.begin(), mounts.end(), [&](const Mount& mount) {
    return mount.id == std::to_string(mount_id);
  });
  std::string inside;  // the folder, in its file system
  if (own != mounts.end() && below.starts_with(with_slash(own->point))) {
    inside = with_slash(own->root) + below.substr(with_slash(own->point).size());
  }
  for (const auto& mount : mounts) {
    names.push_back(entry_below(below, mount.point));
    if (!inside.empty() && mount.device == own->device) {
      names.push_back(entry_below(inside, mount.root));
    }
  }
  std::erase(names, "");
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace calib
