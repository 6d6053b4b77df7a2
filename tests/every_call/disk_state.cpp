#include "every_call/disk_state.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <system_error>

namespace calib::test {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path) {
  throw std::system_error(errno, std::generic_category(), path.string());
}

std::string contents(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0) fail(path);
  std::string text;
  std::array<char, 65536> buffer{};
  ssize_t got = 0;
  while ((got = ::read(file, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(file);
  if (got < 0) fail(path);
  return text;
}

void put(const fs::path& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0) fail(path);
  const auto written = ::write(file, text.data(), text.size());
  ::close(file);
  if (written != static_cast<ssize_t>(text.size())) fail(path);
}

}  // namespace

DiskState read_disk(const fs::path& folder) {
  DiskState state;
  const auto skip = folder.string().size() + 1;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto path = entry.path().string().substr(skip);
    if (entry.is_directory()) {
      state.emplace(path + '/', "");
    } else {
      state.emplace(path, contents(entry.path()));
    }
  }
  return state;
}

void write_disk(const DiskState& state, const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) fs::remove_all(entry.path());
  // A directory sorts before what is in it.
  for (const auto& [path, text] : state) {
    if (path.ends_with('/')) {
      fs::create_directory(folder / path.substr(0, path.size() - 1));
    } else {
      put(folder / path, text);
    }
  }
}

std::uint64_t hash_of(const DiskState& state) {
  std::uint64_t hash = 0;
  const auto add = [&](const std::string& text) {
    hash = (hash ^ std::hash<std::string>{}(text)) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 29U;
  };
  for (const auto& [path, text] : state) {
    add(path);
    add(text);
  }
  return hash;
}

DiskState below(const DiskState& state, const std::string& path) {
  DiskState part;
  for (auto at = state.lower_bound(path); at != state.end() && at->first.starts_with(path); ++at) {
    if (at->first != path) part.emplace(at->first.substr(path.size()), at->second);
  }
  return part;
}

}  // namespace calib::test
