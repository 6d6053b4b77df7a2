// Keeps many short texts: a million of them in a string each would take twice the memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace calib {

/// Texts that live as long as their pool does. Copies of a pool share what it keeps. (What
/// std::pmr::monotonic_buffer_resource does, which Apple's library has since macOS 14 only.)
class TextPool {
 public:
  /// A copy of `text`, at a place where it stays.
  std::string_view keep(std::string_view text) {
    if (text.empty()) return {};
    char* const bytes = memory_->take(text.size());
    std::copy(text.begin(), text.end(), bytes);
    return {bytes, text.size()};
  }

 private:
  class Memory {
   public:
    char* take(std::size_t size) {
      if (size > left_) {
        left_ = std::max(size, block_size);
        blocks_.push_back(std::make_unique_for_overwrite<char[]>(left_));
        next_ = blocks_.back().get();
      }
      left_ -= size;
      return std::exchange(next_, next_ + size);
    }

   private:
    static constexpr std::size_t block_size = std::size_t{64} << 10U;
    std::vector<std::unique_ptr<char[]>> blocks_;
    char* next_ = nullptr;
    std::size_t left_ = 0;
  };
  std::shared_ptr<Memory> memory_ = std::make_shared<Memory>();
};

}  // namespace calib
