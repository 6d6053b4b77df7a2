#include "report/journal_priority.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>

namespace calib {

Priorities priorities_for(int descriptor, const char* journal_stream) {
  struct stat status {};
  if (journal_stream == nullptr || ::fstat(descriptor, &status) != 0) return Priorities::left_out;
  const bool same = fmt::format("{}:{}", status.st_dev, status.st_ino) == journal_stream;
  return same ? Priorities::shown : Priorities::left_out;
}

std::string with_priority(std::string_view text, Priority priority) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    if (text.front() != '\n') {
      out += fmt::format("<{}>", static_cast<int>(priority));
    }
    out += text.substr(0, end);
    text.remove_prefix(end);
  }
  return out;
}

}  // namespace calib
