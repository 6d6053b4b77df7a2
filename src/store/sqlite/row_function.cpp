#include "store/sqlite/row_function.hpp"

#include <new>
#include <utility>

namespace calib::sqlite {

RowFunction::RowFunction(Connection& connection, std::size_t values, Visitor visit)
    : connection_(connection), values_(values), visit_(std::move(visit)) {
  connection_.database().check(define(&RowFunction::on_row));
}

// This fails only while a statement runs, and none does.
RowFunction::~RowFunction() { static_cast<void>(define(nullptr)); }

int RowFunction::define(Function function) {
  // Not for what the schema says: that may be anybody's.
  return sqlite3_create_function_v2(connection_.database().getHandle(), name,
                                    static_cast<int>(values_), SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                    this, function, nullptr, nullptr, nullptr);
}

void RowFunction::on_row(sqlite3_context* context, int count, sqlite3_value** values) {
  static_cast<RowFunction*>(sqlite3_user_data(context))
      ->visit(context, std::span(values, static_cast<std::size_t>(count)));
}

void RowFunction::visit(sqlite3_context* context, std::span<sqlite3_value*> values) {
  try {
    sqlite3_result_int(context, visit_(values) ? 1 : 0);
  } catch (...) {
    failure_ = std::current_exception();
    sqlite3_result_error_code(context, SQLITE_ABORT);
  }
}

std::string_view text_of(sqlite3_value* value) {
  const int type = sqlite3_value_type(value);
  if (type == SQLITE_NULL || type == SQLITE_BLOB) return {};
  const auto* text = static_cast<const void*>(sqlite3_value_text(value));
  if (text == nullptr) throw std::bad_alloc();
  return {static_cast<const char*>(text), static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

}  // namespace calib::sqlite
