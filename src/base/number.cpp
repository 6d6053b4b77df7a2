#include "base/number.hpp"

#include <cmath>
#include <cstdlib>
#include <string>

namespace calib {

bool read_number(std::string_view text, double& value) {
  // strtod(3) takes more: white space, a plus, hexadecimal digits, words. The program never calls
  // setlocale(3), so a fraction stands behind a dot.
  const auto number = text.starts_with('-') ? text.substr(1) : text;
  if (number.empty() || number.find_first_of("0123456789.") != 0 ||
      number.find_first_not_of("0123456789.eE+-") != std::string_view::npos) {
    return false;
  }
  const std::string whole(text);
  char* end = nullptr;
  const double read = std::strtod(whole.c_str(), &end);
  if (end != whole.c_str() + whole.size() || std::isinf(read)) return false;
  // What is too small to be told from zero is out of range, too.
  const auto digits = number.substr(0, number.find_first_of("eE"));
  if (read == 0 && digits.find_first_of("123456789") != std::string_view::npos) return false;
  value = read;
  return true;
}

}  // namespace calib
