#include "webapp/dotenv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/text.hpp"

namespace calib {
namespace {

/// What Python's `\s` matches beyond ASCII.
constexpr std::array<std::string_view, 19> wide_spaces{
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
    "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
    "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

/// How many bytes the white space at `position` has, in the sense of Python's `\s`; 0 where there
/// is none.
std::size_t space_at(std::string_view text, std::size_t position) {
  const std::string_view rest = text.substr(std::min(position, text.size()));
  if (rest.empty()) return 0;
  const char c = rest.front();
  if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f')) return 1;
  const auto* const wide = std::ranges::find_if(
      wide_spaces, [rest](std::string_view space) { return rest.starts_with(space); });
  return wide == wide_spaces.end() ? 0 : wide->size();
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

/// What a backslash within quotes keeps from ending the value. It was the quote alone up to release
/// 1.2.2 of python-dotenv, so that `\\'` did not end it. Since then it is any character; whether a
/// newline is one of them is not told.
enum class Escapes { quote, any, any_but_newline };

constexpr std::array every_escapes{Escapes::quote, Escapes::any, Escapes::any_but_newline};

struct Statement {
  std::string key;  ///< empty for a comment
  std::optional<std::string> value;
  std::size_t begin = 0;  ///< where in the text
  bool understood = true;
  bool may_be_comment = false;  ///< the value: see Reader::read_value
};

class Reader {
 public:
  Reader(std::string_view text, Escapes escapes) : text_(text), escapes_(escapes) {}

  /// The next statement; nothing at the end. One that is not understood ends with its line.
  std::optional<Statement> next() {
    while (const std::size_t space = space_at(text_, position_)) position_ += space;
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
    while (peek() != '\n' && space_at(text_, position_) > 0)
      position_ += space_at(text_, position_);
  }

  bool read_binding(Statement& statement) {
    skip_export();
    if (peek() != '#' && !read_key(statement.key)) return false;
    skip_blanks();
    if (peek() == '=') {
      ++position_;
      if (!read_value(statement)) return false;
    }
    skip_blanks();
    if (peek() == '#') position_ = std::min(text_.find('\n', position_), text_.size());
    return peek() == '\n';
  }

  void skip_export() {
    constexpr std::string_view word = "export";
    const std::string_view rest = text_.substr(position_);
    if (!rest.starts_with(word) || space_at(rest, word.size()) == 0) return;
    if (rest[word.size()] == '\n') return;
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
    while (!at_end() && peek() != '=' && peek() != '#' && space_at(text_, position_) == 0) {
      ++position_;
    }
    key = text_.substr(begin, position_ - begin);
    return !key.empty();
  }

  bool read_value(Statement& statement) {
    const std::size_t equals = position_;
    skip_blanks();
    const char first = peek();
    if (first == '\'' || first == '"') return read_quoted(first, statement.value);
    const std::size_t end = std::min(text_.find('\n', position_), text_.size());
    const std::string_view raw = text_.substr(position_, end - position_);
    // Right behind the blanks after the equals sign a # begins a comment since release 1.2.4; it
    // was the value before.
    statement.may_be_comment = first == '#' && position_ > equals;
    std::size_t length = 0;  // up to the white space at the end, or before a comment
    for (std::size_t i = 0; i < raw.size();) {
      if (raw[i] == '#' && i > length) break;
      const std::size_t space = space_at(raw, i);
      i += std::max<std::size_t>(space, 1);
      if (space == 0) length = i;
    }
    statement.value = raw.substr(0, length);
    position_ = end;
    return true;
  }

  bool read_quoted(char quote, std::optional<std::string>& value) {
    const std::size_t begin = position_ + 1;
    const std::size_t end = end_of_quoted(quote, begin);
    if (end == std::string_view::npos) return false;
    value = unescape(text_.substr(begin, end - begin), quote);
    position_ = end + 1;
    return true;
  }

  /// Where the quoted value that begins at `begin` ends. Where a backslash escapes nothing but
  /// quotes, and every quote of the whole rest has one, the last of them ends it: so does
  /// python-dotenv's expression, which tries again without the escape.
  [[nodiscard]] std::size_t end_of_quoted(char quote, std::size_t begin) const {
    std::size_t last_escaped = std::string_view::npos;
    for (std::size_t i = begin; i < text_.size(); ++i) {
      if (text_[i] == quote) return i;
      if (text_[i] != '\\') continue;
      const char next = i + 1 < text_.size() ? text_[i + 1] : '\0';
      if (escapes_ == Escapes::any_but_newline && next == '\n') return std::string_view::npos;
      if (escapes_ != Escapes::quote || next == quote) ++i;
      if (escapes_ == Escapes::quote && next == quote) last_escaped = i;
    }
    return last_escaped;
  }

  std::string_view text_;
  Escapes escapes_;
  std::size_t position_ = 0;
};

std::ptrdiff_t line_at(std::string_view text, std::size_t position) {
  return 1 + std::ranges::count(text.substr(0, position), '\n');
}

/// Whether a statement with this key was meant to set `name`: `NAME: value` was, too.
bool means(std::string_view key, std::string_view name) {
  return key.starts_with(name) && (key.size() == name.size() || !is_word(key[name.size()]));
}

struct Reading {
  std::optional<std::string> value;
  std::size_t begin = 0;
  bool may_be_comment = false;
};

Reading read(std::string_view plain, std::string_view name, Escapes escapes) {
  Reader reader(plain, escapes);
  Reading reading;
  while (auto statement = reader.next()) {
    // Only where it is wanted: it counts them from the beginning.
    const auto line = [&] { return line_at(plain, statement->begin); };
    if (!statement->understood && means(statement->key, name)) {
      throw DotenvError(fmt::format("line {} cannot be understood: write {}=VALUE", line(), name));
    }
    if (!statement->understood) continue;
    // No variable of the environment can be called so: load_dotenv() fails, and the app with it.
    if (statement->value && statement->key.find('=') != std::string::npos) {
      throw DotenvError(fmt::format("line {} has a name with = in it: remove it", line()));
    }
    if (statement->key != name) continue;
    reading = {std::move(statement->value), statement->begin, statement->may_be_comment};
  }
  return reading;
}

}  // namespace

std::optional<std::string> dotenv_value(std::string_view text, std::string_view name,
                                        std::ptrdiff_t* line) {
  // What makes load_dotenv() fail, and the app with it.
  if (text.find('\0') != std::string_view::npos)
    throw DotenvError("it holds a NUL byte: remove it");
  if (valid_utf8(text) != text) throw DotenvError("it is not UTF-8: save it as UTF-8");
  // Old releases of python-dotenv take the mark for a part of the first key, new ones drop it.
  if (text.starts_with("\xef\xbb\xbf")) {
    throw DotenvError("it begins with a byte order mark: save it without one");
  }
  const std::string plain = with_plain_newlines(text);
  auto reading = read(plain, name, every_escapes.front());
  const bool alike = std::ranges::all_of(every_escapes, [&](Escapes escapes) {
    return read(plain, name, escapes).value == reading.value;
  });
  if (!alike) {
    throw DotenvError(
        fmt::format("releases of python-dotenv read {} differently, for a backslash stands before "
                    "a quote, a backslash or the end of a line: write it without",
                    name));
  }
  if (reading.may_be_comment) {
    throw DotenvError(fmt::format(
        "releases of python-dotenv read {} in line {} differently: put the comment on a "
        "line of its own, or the value in quotes",
        name, line_at(plain, reading.begin)));
  }
  if (reading.value && reading.value->find("${") != std::string::npos) {
    throw DotenvError(
        fmt::format("{} in line {} uses ${{…}}, which is not expanded here: write the value out",
                    name, line_at(plain, reading.begin)));
  }
  if (line != nullptr) *line = line_at(plain, reading.begin);
  return std::move(reading.value);
}

}  // namespace calib
