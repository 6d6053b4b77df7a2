#include "store/postgresql/rows.hpp"

#include <charconv>

namespace calib::postgresql {

std::optional<std::string_view> Rows::get(int row, int column) const {
  const auto& pq = library();
  if (pq.getisnull(result_.get(), row, column) != 0) return std::nullopt;
  return std::string_view(pq.getvalue(result_.get(), row, column),
                          static_cast<std::size_t>(pq.getlength(result_.get(), row, column)));
}

std::int64_t Rows::number(int row, int column) const {
  std::int64_t value = 0;
  const auto digits = get(row, column).value_or("");
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::string array_of(const std::vector<std::string>& values) {
  std::string result = "{";
  for (const auto& value : values) {
    if (result.size() > 1) result += ',';
    result += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
    result += '"';
  }
  return result + '}';
}

}  // namespace calib::postgresql
