#include "model/entry.hpp"

namespace calib {

std::string kind_of(const PathError& error) { return std::to_string(error.error.value()); }

}  // namespace calib
