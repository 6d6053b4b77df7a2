// Words and numbers for people: escaped names, sizes, counts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace calib {

/// Whether there is nothing but ASCII from space to tilde in it.
bool is_printable_ascii(std::string_view text);

/// `bytes` as one line that cannot drive a terminal: control bytes (C0, DEL, C1), characters that
/// reorder or break lines (bidirectional controls, U+2028, U+2029) and bytes that are not valid
/// UTF-8 become `\xNN`, byte by byte; all else stays as it is.
std::string printable(std::string_view bytes);

/// `bytes` with every byte that is not part of valid UTF-8 as `\xNN`; control characters stay
/// (JSON has its own escapes for them).
std::string valid_utf8(std::string_view bytes);

/// A size in IEC units with at most one decimal: `0 B`, `512 B`, `4.0 KiB`, `12.3 MiB`.
std::string size_text(std::uint64_t bytes);

/// `1 directory`, `2 directories`, `0 directories`.
std::string count_text(std::uint64_t count, std::string_view singular, std::string_view plural);

/// `text` with the ASCII capitals in lower case. Other bytes stay.
std::string ascii_lowered(std::string_view text);

}  // namespace calib
