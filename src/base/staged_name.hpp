// The names of directories that are moved aside: `.calib-cleanup.<name>@<mark>`, beside the others.
// The mark says whose database's pass moved them: 16 hexadecimal digits, or nothing at all (with
// the `@`) where no mark can be had, as before there were marks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace calib {

inline constexpr std::string_view staged_prefix = ".calib-cleanup.";

struct StagedName {
  std::string_view name;  ///< under which the directory stood
  std::string_view mark;  ///< empty: none
};

/// `.calib-cleanup.<name>@<mark>`; without the rest where `mark` is empty.
std::string staged_entry(std::string_view name, std::string_view mark);

/// What such a name says; nothing where it is another one.
std::optional<StagedName> parse_staged(std::string_view entry);

/// A mark that stands for `identity`, the same in every release and on every machine.
std::string mark_of(std::string_view identity);

}  // namespace calib
