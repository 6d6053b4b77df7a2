#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace calib {
namespace {

constexpr unsigned char byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;  ///< 0: no valid sequence begins here
};

/// The character at the beginning of `text`, which is not empty. Strict: no overlong forms, no
/// surrogates, nothing above U+10FFFF, for a terminal may be laxer than we are.
Character first_character(std::string_view text) {
  const unsigned char lead = byte_at(text, 0);
  if (lead < 0x80) return {lead, 1};

  std::size_t bytes = 0;
  char32_t code = 0;
  char32_t smallest = 0;
  if ((lead & 0xE0U) == 0xC0U) {
    bytes = 2, code = lead & 0x1FU, smallest = 0x80;
  } else if ((lead & 0xF0U) == 0xE0U) {
    bytes = 3, code = lead & 0x0FU, smallest = 0x800;
  } else if ((lead & 0xF8U) == 0xF0U) {
    bytes = 4, code = lead & 0x07U, smallest = 0x10000;
  } else {
    return {};
  }
  if (text.size() < bytes) return {};
  for (std::size_t at = 1; at < bytes; ++at) {
    const unsigned char next = byte_at(text, at);
    if ((next & 0xC0U) != 0x80U) return {};
    code = (code << 6U) | (next & 0x3FU);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < smallest || code > 0x10FFFF || surrogate) return {};
  return {code, bytes};
}

/// Characters that move the cursor, end the line, or make the rest of it read in another order.
constexpr bool drives_terminal(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
         code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

template <typename MustEscape>
std::string escaped(std::string_view bytes, MustEscape must_escape) {
  // Which most names are.
  if (is_printable_ascii(bytes)) return std::string(bytes);
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Character character = first_character(bytes);
    const std::size_t length = std::max<std::size_t>(character.bytes, 1);
    if (character.bytes == 0 || must_escape(character.code)) {
      for (std::size_t at = 0; at < length; ++at) {
        out += fmt::format("\\x{:02x}", byte_at(bytes, at));
      }
    } else {
      out += bytes.substr(0, length);
    }
    bytes.remove_prefix(length);
  }
  return out;
}

}  // namespace

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string printable(std::string_view bytes) { return escaped(bytes, drives_terminal); }

std::string valid_utf8(std::string_view bytes) {
  return escaped(bytes, [](char32_t) { return false; });
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);

  std::size_t index = 0;
  std::uint64_t unit = 1024;
  while (index + 1 < units.size() && bytes / unit >= 1024) {
    unit *= 1024;
    ++index;
  }
  std::uint64_t whole = bytes / unit;
  std::uint64_t tenths = (bytes % unit * 10 + unit / 2) / unit;
  if (tenths == 10) {
    ++whole;
    tenths = 0;
  }
  // Rounding may just have filled the unit up: 1.0 MiB, not 1024.0 KiB.
  if (whole == 1024 && index + 1 < units.size()) {
    whole = 1;
    ++index;
  }
  return fmt::format("{}.{} {}", whole, tenths, units.at(index));
}

std::string count_text(std::uint64_t count, std::string_view singular, std::string_view plural) {
  return fmt::format("{} {}", count, count == 1 ? singular : plural);
}

std::string ascii_lowered(std::string_view text) {
  std::string lowered(text);
  // Not std::tolower: it asks the locale, and claims must not depend on one.
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

}  // namespace calib
