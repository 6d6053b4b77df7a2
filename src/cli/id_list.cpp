#include "cli/id_list.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstddef>
#include <string_view>
#include <utility>

#include "base/file.hpp"
#include "base/stop.hpp"
#include "base/text.hpp"
#include "webapp/session_id.hpp"

namespace calib {
namespace {

// As long as the first of the groups of a UUID, which people copy.
constexpr std::size_t part_of_uuid = 8;

// What ids are made of; not what paths, lists, quotes and patterns have.
constexpr std::string_view letters_of_ids =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

// More than a million UUIDs.
constexpr std::size_t max_bytes = std::size_t{64} << 20;

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view white_space = " \t\r\f\v";
  const auto first = line.find_first_not_of(white_space);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(white_space) - first + 1);
}

std::string read_list(const Setting& setting, const std::string& file) {
  // Whoever is to write into the pipe may never do so, and nothing is begun yet.
  const StopsAtOnce guard;
  try {
    if (file != "-") {
      return read_file(file, max_bytes);
    }
    static bool is_read = false;
    if (std::exchange(is_read, true)) {
      refuse(setting, "@- stands twice: standard input can be read once, name a file");
    }
    return read_to_end(STDIN_FILENO, max_bytes);
  } catch (const FileError& error) {
    refuse(setting, fmt::format("@{} cannot be read: {}; name a file with an id in each line", file,
                                error.what()));
  }
}

}  // namespace

std::vector<std::string> ids_of(const Setting& setting) {
  if (!setting.text.starts_with('@')) return {setting.text};
  const auto file = setting.text.substr(1);
  if (file.empty()) refuse(setting, "@ names no file: write @FILE, or @- for standard input");
  const auto text = read_list(setting, file);
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  std::string_view rest = text;
  if (rest.starts_with(byte_order_mark)) rest.remove_prefix(byte_order_mark.size());
  std::vector<std::string> ids;
  std::size_t number = 0;
  while (!rest.empty()) {
    ++number;
    const auto end = rest.find_first_of("\r\n");
    const auto id = trimmed(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (id.empty() || id.starts_with('#')) continue;
    if (id.find('\0') != std::string_view::npos) {
      refuse(setting, fmt::format("@{}:{} holds a NUL byte: is it a list of ids?", file, number));
    }
    if (id.starts_with('"')) {
      refuse(setting, fmt::format("@{}:{} has an id in quotes: leave them out (jq does it with -r)",
                                  file, number));
    }
    ids.emplace_back(id);
  }
  return ids;
}

std::vector<std::string> ids_to_keep(const Setting& setting) {
  auto ids = ids_of(setting);
  if (ids.empty()) {
    refuse(setting,
           fmt::format("{} holds no id: leave it out where none is to be kept", setting.text));
  }
  for (auto& id : ids) {
    const bool is_other = id.find_first_not_of(letters_of_ids) != std::string::npos;
    const bool is_part = id.size() >= part_of_uuid && !is_uuid(id) && has_only_letters_of_uuids(id);
    if (is_other || is_part) {
      refuse(setting, fmt::format("'{}' is no whole id: give one at a time, without quotes, or one "
                                  "a line in a file (@FILE)",
                                  id));
    }
    id = ascii_lowered(id);
  }
  return ids;
}

}  // namespace calib
