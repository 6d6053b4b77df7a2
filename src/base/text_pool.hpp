// Keeps many short texts: a million of them in a string each would take twice the memory.
#pragma once

#include <algorithm>
#include <memory>
#include <memory_resource>
#include <string_view>

namespace calib {

/// Texts that live as long as their pool does. Copies of a pool share what it keeps.
class TextPool {
 public:
  /// A copy of `text`, at a place where it stays.
  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    auto* bytes = static_cast<char*>(memory_->allocate(text.size(), alignof(char)));
    std::copy(text.begin(), text.end(), bytes);
    return {bytes, text.size()};
  }

 private:
  std::shared_ptr<std::pmr::monotonic_buffer_resource> memory_ =
      std::make_shared<std::pmr::monotonic_buffer_resource>();
};

}  // namespace calib
