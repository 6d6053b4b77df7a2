#include "dotenv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace calib {
namespace {

/// White space in the sense of Python's `\s`, as far as it is ASCII.
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// Python opens text with universal newlines, so the grammar below never sees a carriage return.
std::string with_plain_newlines(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      result += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      result += '\n';
    }
  }
  return result;
}

/// Decodes the escapes that python-dotenv knows within `quote`; other backslashes stay.
std::string unescape(std::string_view raw, char quote) {
  constexpr std::string_view escapes = "abfnrtv";
  constexpr std::string_view meanings = "\a\b\f\n\r\t\v";
  std::string result;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char next = raw[i] == '\\' && i + 1 < raw.size() ? raw[i + 1] : '\0';
    const std::size_t letter = quote == '"' ? escapes.find(next) : std::string_view::npos;
    if (next == '\\' || next == '\'' || (next == '"' && quote == '"')) {
      result += next;
      ++i;
    } else if (letter != std::string_view::npos) {
      result += meanings[letter];
      ++i;
    } else {
      result += raw[i];
    }
  }
  return result;
}

struct Statement {
  std::string key;  ///< empty for a comment
  std::optional<std::string> value;
  std::size_t begin = 0;  ///< where in the text
  bool understood = true;
};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  /// The next statement; nothing at the end. One that is not understood ends with its line.
  std::optional<Statement> next() {
    while (!at_end() && is_space(peek())) ++position_;
    if (at_end()) return std::nullopt;
    Statement statement;
    statement.begin = position_;
    statement.understood = read_binding(statement);
    if (!statement.understood) {
      position_ = std::min(text_.find('\n', position_), text_.size());
    }
    return statement;
  }

 private:
  [[nodiscard]] bool at_end() const { return position_ >= text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\n' : text_[position_]; }

  void skip_blanks() {
    while (!at_end() && peek() != '\n' && is_space(peek())) ++position_;
  }

  bool read_binding(Statement& statement) {
    skip_export();
    if (peek() != '#' && !read_key(statement.key)) return false;
    skip_blanks();
    if (peek() == '=') {
      ++position_;
      if (!read_value(statement.value)) return false;
    }
    skip_blanks();
    if (peek() == '#') position_ = std::min(text_.find('\n', position_), text_.size());
    return peek() == '\n';
  }

  void skip_export() {
    constexpr std::string_view word = "export";
    const std::string_view rest = text_.substr(position_);
    if (!rest.starts_with(word) || rest.size() == word.size()) return;
    const char after = rest[word.size()];
    if (after == '\n' || !is_space(after)) return;
    position_ += word.size();
    skip_blanks();
  }

  bool read_key(std::string& key) {
    if (peek() == '\'') {
      const std::size_t end = text_.find('\'', position_ + 1);
      if (end == std::string_view::npos || end == position_ + 1) return false;
      key = text_.substr(position_ + 1, end - position_ - 1);
      position_ = end + 1;
      return true;
    }
    const std::size_t begin = position_;
    while (!at_end() && peek() != '=' && peek() != '#' && !is_space(peek())) ++position_;
    key = text_.substr(begin, position_ - begin);
    return !key.empty();
  }

  bool read_value(std::optional<std::string>& value) {
    skip_blanks();
    const char first = peek();
    if (first == '\'' || first == '"') return read_quoted(first, value);
    const std::size_t end = std::min(text_.find('\n', position_), text_.size());
    std::string_view raw = text_.substr(position_, end - position_);
    // The blanks after the equals sign are its own: right behind them a # begins no comment.
    for (std::size_t i = 1; i < raw.size(); ++i) {
      if (raw[i] != '#' || !is_space(raw[i - 1])) continue;
      raw = raw.substr(0, i);
      break;
    }
    while (!raw.empty() && is_space(raw.back())) raw.remove_suffix(1);
    value = raw;
    position_ = end;
    return true;
  }

  /// A backslash before the quote takes it into the value, unless no other quote follows in the
  /// whole file: then the last such quote ends the value, as in python-dotenv's expression.
  bool read_quoted(char quote, std::optional<std::string>& value) {
    const std::size_t begin = position_ + 1;
    std::size_t end = std::string_view::npos;
    for (std::size_t i = begin; i < text_.size(); ++i) {
      if (text_[i] == '\\' && i + 1 < text_.size() && text_[i + 1] == quote) {
        end = ++i;
      } else if (text_[i] == quote) {
        end = i;
        break;
      }
    }
    if (end == std::string_view::npos) return false;
    value = unescape(text_.substr(begin, end - begin), quote);
    position_ = end + 1;
    return true;
  }

  std::string_view text_;
  std::size_t position_ = 0;
};

std::ptrdiff_t line_at(std::string_view text, std::size_t position) {
  return 1 + std::ranges::count(text.substr(0, position), '\n');
}

/// Whether a statement with this key was meant to set `name`: `NAME: value` was, too.
bool means(std::string_view key, std::string_view name) {
  return key.starts_with(name) && (key.size() == name.size() || !is_word(key[name.size()]));
}

}  // namespace

std::optional<std::string> dotenv_value(std::string_view text, std::string_view name) {
  // Old releases of python-dotenv take the mark for a part of the first key, new ones drop it.
  if (text.starts_with("\xef\xbb\xbf")) {
    throw DotenvError("it begins with a byte order mark: save it without one");
  }
  const std::string plain = with_plain_newlines(text);
  Reader reader(plain);
  std::optional<std::string> value;
  std::size_t begin = 0;
  while (auto statement = reader.next()) {
    if (!statement->understood && means(statement->key, name)) {
      throw DotenvError(fmt::format("line {} cannot be understood: write {}=VALUE",
                                    line_at(plain, statement->begin), name));
    }
    if (!statement->understood || statement->key != name) continue;
    value = std::move(statement->value);
    begin = statement->begin;
  }
  if (value && value->find("${") != std::string::npos) {
    throw DotenvError(
        fmt::format("{} in line {} uses ${{…}}, which is not expanded here: write the value out",
                    name, line_at(plain, begin)));
  }
  return value;
}

}  // namespace calib
