// Numbers with a fraction, as people write them.
#pragma once

#include <string_view>

namespace calib {

/// Reads the whole of `text` as a finite decimal number: `1.5`, `-2`, `.5`, `1e3`; no plus and no
/// white space before it. False for all else, and out of range; `value` stays then. As
/// std::from_chars does, which Apple's library does not have for this type.
bool read_number(std::string_view text, double& value);

}  // namespace calib
