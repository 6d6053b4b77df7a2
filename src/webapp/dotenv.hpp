// One variable of a .env file, read as python-dotenv reads it.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace calib {

/// A .env file whose meaning is not certain. One line, without any value of the file.
class DotenvError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The value of `name` in the .env file `text`, as python-dotenv gives it: `export`, quotes with
/// escapes, values over several lines, comments, the last of several wins; nothing where it is not
/// there, or last stands there without `=`. Statements that cannot be understood are skipped, but
/// throw DotenvError where they set `name`; so does a value with `${…}`, which python-dotenv
/// expands, and this does not; what makes python-dotenv fail (invalid UTF-8, a NUL); and what its
/// releases, from 0.21 on, read differently. `line`, where it is wanted, becomes the number of the
/// line that says it.
std::optional<std::string> dotenv_value(std::string_view text, std::string_view name,
                                        std::ptrdiff_t* line = nullptr);

}  // namespace calib
