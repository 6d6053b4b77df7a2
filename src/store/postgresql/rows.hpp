// What a server answers, as text, and how values are handed to it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/postgresql/library.hpp"

namespace calib::postgresql {

/// The rows of one answer, as text.
class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result) {}
  [[nodiscard]] int count() const { return library().ntuples(result_.get()); }
  /// Nothing for NULL. Valid as long as this object is.
  [[nodiscard]] std::optional<std::string_view> get(int row, int column) const;
  /// Of a column that is never NULL.
  [[nodiscard]] std::string text(int row, int column) const {
    return std::string(get(row, column).value_or(""));
  }
  [[nodiscard]] std::int64_t number(int row, int column) const;
  [[nodiscard]] PGresult* result() const { return result_.get(); }

 private:
  struct Clear {
    void operator()(PGresult* result) const { library().clear(result); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

/// `{"a","b"}`: an array as a parameter.
std::string array_of(const std::vector<std::string>& values);

}  // namespace calib::postgresql
