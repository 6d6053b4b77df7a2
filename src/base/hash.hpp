// Hashes of texts.
#pragma once

#include <cstdint>
#include <string_view>

namespace calib {

/// 64 bits that tell `bytes` apart, ASCII capitals taken as small. For this process alone.
std::uint64_t folded_hash(std::string_view bytes);

/// The same of `bytes` as they are.
std::uint64_t exact_hash(std::string_view bytes);

}  // namespace calib
