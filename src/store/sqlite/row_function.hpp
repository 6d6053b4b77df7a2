// Rows visited where SQLite stands: none has to come out of a statement.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <exception>
#include <functional>
#include <span>
#include <string_view>

#include "store/sqlite/connection.hpp"

namespace calib::sqlite {

/// A function of SQL, for as long as this lives, that hands each row's values to a visitor and is
/// true where that says so. No statement that calls it may outlive this.
class RowFunction {
 public:
  static constexpr const char* name = "calib_cleanup_visit";
  /// What a function of SQL may have (SQLITE_MAX_FUNCTION_ARG may be as low as 100).
  static constexpr std::size_t max_values = 100;

  using Visitor = std::function<bool(std::span<sqlite3_value*>)>;

  /// `values`: how many it takes.
  RowFunction(Connection& connection, std::size_t values, Visitor visit);
  RowFunction(const RowFunction&) = delete;
  RowFunction& operator=(const RowFunction&) = delete;
  RowFunction(RowFunction&&) = delete;
  RowFunction& operator=(RowFunction&&) = delete;
  ~RowFunction();

  /// Runs `work`, whose statements call the function. What the visitor throws comes out of it:
  /// SQLite knows nothing of exceptions.
  template <typename Work>
  auto run(const Work& work) -> decltype(work()) {
    try {
      return work();
    } catch (const SQLite::Exception&) {
      if (failure_) std::rethrow_exception(failure_);
      throw;
    }
  }

 private:
  using Function = void (*)(sqlite3_context*, int, sqlite3_value**);
  int define(Function function);
  static void on_row(sqlite3_context* context, int count, sqlite3_value** values);
  void visit(sqlite3_context* context, std::span<sqlite3_value*> values);

  Connection& connection_;
  std::size_t values_;
  Visitor visit_;
  std::exception_ptr failure_;
};

/// As text_of(SQLite::Statement&, int). Valid until the function returns.
std::string_view text_of(sqlite3_value* value);

}  // namespace calib::sqlite
