#include "support/change_log.hpp"

#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>

namespace calib::test {
namespace {

Change::Kind kind_of(const std::string& what) {
  using Kind = Change::Kind;
  static const std::map<std::string, Kind> kinds{
      {"open", Kind::open},   {"write", Kind::write},   {"size", Kind::size},
      {"sync", Kind::sync},   {"unlink", Kind::unlink}, {"rmdir", Kind::rmdir},
      {"mkdir", Kind::mkdir}, {"rename", Kind::rename}};
  const auto kind = kinds.find(what);
  if (kind == kinds.end())
    throw std::runtime_error("nobody knows what a power loss does to " + what);
  return kind->second;
}

std::string take(std::istream& stream, std::size_t size) {
  std::string text(size, '\0');
  if (!stream.read(text.data(), static_cast<std::streamsize>(size))) {
    throw std::runtime_error("the log of changes is cut short");
  }
  return text;
}

std::optional<std::string> path_below(const std::string& path, const std::string& folder) {
  if (path.ends_with(" (deleted)")) return std::nullopt;
  if (path == folder) return "";
  if (!path.starts_with(folder + '/')) return std::nullopt;
  return path.substr(folder.size() + 1);
}

}  // namespace

std::vector<Change> read_change_log(const std::filesystem::path& log,
                                    const std::filesystem::path& folder) {
  std::vector<Change> changes;
  std::ifstream stream(log, std::ios::binary);
  for (std::string what; stream >> what;) {
    Change change;
    std::size_t path_size = 0;
    std::size_t other_size = 0;
    stream >> change.offset >> change.size >> path_size >> other_size;
    stream.get();
    const auto path = path_below(take(stream, path_size), folder.string());
    const auto other = path_below(take(stream, other_size), folder.string());
    if (what == "write") change.data = take(stream, change.size);
    if (!path) continue;
    change.kind = kind_of(what);
    change.path = *path;
    change.other = other.value_or("");
    changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace calib::test
