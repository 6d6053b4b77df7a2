// What the server's errors mean to a pass, in one line each and without secrets.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "store/postgresql/connection.hpp"

namespace calib::postgresql {

using Kind = StoreError::Kind;

namespace {

/// A short one, which may be a part of any word, where it is a word.
void mask(std::string& line, const std::string& secret) {
  constexpr std::size_t short_one = 6;
  constexpr std::string_view stars = "***";
  const auto is_in_word = [&](std::size_t at) {
    const auto c = at < line.size() ? line[at] : ' ';
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (auto at = line.find(secret); at != std::string::npos;) {
    const auto after = at + secret.size();
    const bool is_part = is_in_word(at - 1) || is_in_word(after);
    if (secret.size() < short_one && is_part) {
      at = line.find(secret, at + 1);
    } else {
      line.replace(at, secret.size(), stars);
      at = line.find(secret, at + stars.size());
    }
  }
}

/// Whether a state is about the server and not about anybody's rows: connection, resources,
/// shutdown, system.
bool is_the_servers(std::string_view state) {
  constexpr std::array<std::string_view, 5> prefixes{"08", "53", "57P", "58", "XX"};
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return state.starts_with(prefix); });
}

}  // namespace

std::string Connection::one_line(std::string_view text) const {
  std::string line;
  for (const char c : text) {
    const bool is_space = c == '\n' || c == '\r' || c == '\t' || c == ' ';
    if (!is_space) line += c;
    if (is_space && !line.empty() && line.back() != ' ') line += ' ';
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  for (const auto& secret : secrets_) mask(line, secret);
  return line;
}

ServerError Connection::lost() const {
  if (connection_ == nullptr && !given_up_for_.empty()) {
    return {Kind::unusable, path_, given_up_for_, ""};
  }
  const std::string why =
      connection_ == nullptr ? "it is closed" : one_line(library().errorMessage(connection_));
  return {Kind::unusable, path_,
          "the connection to the server was lost: " + why + "; see that it runs, and run again",
          ""};
}

ServerError Connection::error_of(const PGresult* result) const {
  const auto& pq = library();
  const auto field = [&](int code) {
    const char* text = pq.resultErrorField(result, code);
    return std::string(text == nullptr ? "" : text);
  };
  const auto state = field(PG_DIAG_SQLSTATE);
  const auto why = one_line(field(PG_DIAG_MESSAGE_PRIMARY));
  const auto says = [&](Kind kind, const std::string& text) {
    return ServerError(kind, path_, text, state);
  };
  const auto in_class = [&](std::string_view prefix) { return state.starts_with(prefix); };
  // https://www.postgresql.org/docs/current/errcodes-appendix.html
  if (state.empty()) return lost();
  if (state == "55P03") {
    const bool is_busy = timed_out_ == Kind::busy;
    return says(timed_out_,
                is_busy ? fmt::format("the database stayed locked for {} s; try again, or wait "
                                      "longer with --lock-wait",
                                      std::chrono::duration<double>(lock_wait_).count())
                        : "another transaction holds a lock on what was to go; try again");
  }
  if (in_class("40")) {
    return says(Kind::disturbed, "another transaction was in the way (" + why +
                                     "); try again, or wait longer with --lock-wait");
  }
  if (state == "57014" && stop_.requested()) return says(Kind::stopped, "stopped");
  if (state == "53100") {
    return says(Kind::full,
                "there is no room on the server's disk (" + why + "); free some and run again");
  }
  // Integrity constraints, what triggers say, and their like.
  if (in_class("23") || in_class("27") || in_class("44") || in_class("P0")) {
    return says(Kind::refused, "the database would not have the change: " + why);
  }
  // Triggers refuse with any state. What ends the connection is none of them, nor is what is wrong
  // with the statement itself, whose tables are others by now.
  const bool in_statement = in_class("42") && !field(PG_DIAG_STATEMENT_POSITION).empty();
  if (sets_off_triggers_ && field(PG_DIAG_SEVERITY_NONLOCALIZED) == "ERROR" &&
      !is_the_servers(state) && !in_statement) {
    // The last line of it is the outermost: the trigger's own function.
    const auto context = field(PG_DIAG_CONTEXT);
    const auto where = one_line(context.substr(context.rfind('\n') + 1));
    return says(Kind::refused,
                fmt::format("the database would not have the change: {} (SQLSTATE {}{}{})", why,
                            state, where.empty() ? "" : ", ", where));
  }
  if (state == "42501") {
    return says(
        Kind::unusable,
        why +
            "; a dry run takes the right to SELECT, a pass also UPDATE "
            "and DELETE, on sessions and all tables that refer to it, and on all of their rows");
  }
  if (state == "25006") {
    return says(Kind::unusable,
                "the database may only be read (" + why + "); name the primary server");
  }
  const auto* const remedy =
      in_class("57") ? "; see that it runs, and run again" : "; see the server's log";
  return says(Kind::unusable,
              fmt::format("the database failed: {} (SQLSTATE {}){}", why, state, remedy));
}

}  // namespace calib::postgresql
