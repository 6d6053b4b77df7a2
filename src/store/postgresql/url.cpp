#include "store/postgresql/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>

#include "base/text.hpp"

namespace calib::postgresql {
namespace {

enum class Plus { itself, space };

[[noreturn]] void fail(const std::string& problem) {
  throw std::invalid_argument("the database URL " + problem);
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// As Python's unquote: a `%` that no two hexadecimal digits follow stands for itself.
std::string decoded(std::string_view text, Plus plus) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? digit_of(text[i + 1]) : -1;
    const int low = high >= 0 ? digit_of(text[i + 2]) : -1;
    if (low >= 0) {
      result += static_cast<char>(16 * high + low);
      i += 2;
    } else {
      result += text[i] == '+' && plus == Plus::space ? ' ' : text[i];
    }
  }
  if (result.find('\0') != std::string::npos) fail("holds a NUL byte as %00: remove it");
  return result;
}

std::string_view take_until(std::string_view& text, std::string_view stops) {
  const auto piece = text.substr(0, text.find_first_of(stops));
  text.remove_prefix(piece.size());
  return piece;
}

bool is_keyword(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

void add_user(std::string_view& rest, Parameters& parameters) {
  const auto at = rest.find('@');
  if (at == std::string_view::npos) return;
  const auto head = rest.substr(0, at);
  const auto colon = head.find(':');
  const auto user = head.substr(0, colon);
  if (user.find('/') != std::string_view::npos) return;
  if (!user.empty()) parameters.emplace_back("user", decoded(user, Plus::itself));
  if (colon != std::string_view::npos) {
    parameters.emplace_back("password", decoded(head.substr(colon + 1), Plus::itself));
  }
  rest.remove_prefix(at + 1);
  // Most likely one of the password's: what follows the first would be read as a host, a database
  // or an argument, and be told to everybody.
  if (rest.find('@') != std::string_view::npos) {
    fail("has more than one @: write all but the one before the host as %40");
  }
}

void add_host(std::string_view& rest, Parameters& parameters) {
  std::string_view host;
  if (rest.starts_with('[') && rest.find(']') != std::string_view::npos) {
    rest.remove_prefix(1);
    host = take_until(rest, "]");
    rest.remove_prefix(1);
  } else {
    host = take_until(rest, ":/?");
  }
  if (!host.empty()) parameters.emplace_back("host", decoded(host, Plus::itself));
  if (!rest.starts_with(':')) return;
  rest.remove_prefix(1);
  const auto port = take_until(rest, "/?");
  if (port.empty()) return;
  if (!is_number(port)) fail("has a port that is no number: write host:port/database");
  parameters.emplace_back("port", port);
}

void add_database(std::string_view& rest, Parameters& parameters) {
  if (!rest.starts_with('/')) return;
  rest.remove_prefix(1);
  const auto database = take_until(rest, "?");
  // SQLAlchemy takes a percent sign here as it stands, libpq and psql do not.
  if (database.find('%') != std::string_view::npos) {
    fail(
        "has a % in the name of the database, which not everybody reads alike: write it after "
        "the ?, as in ?dbname=100%25");
  }
  // A query that has lost its question mark; the server would quote it, and it may be secret.
  if (database.find_first_of("=&") != std::string_view::npos) {
    fail("has a = or & in the name of the database: write arguments after a ?");
  }
  if (!database.empty()) parameters.emplace_back("dbname", database);
}

/// What the query's `host`s say together: names, and ports where any is given.
void add_hosts(const std::vector<std::string>& hosts, Parameters& parameters) {
  std::string names;
  std::string ports;
  bool any_port = false;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const std::string_view host = hosts[i];
    const auto colon = host.find(':');
    const bool has_port = colon != std::string_view::npos && is_number(host.substr(colon + 1));
    names += (i > 0 ? "," : "") + std::string(has_port ? host.substr(0, colon) : host);
    ports += (i > 0 ? "," : "") + std::string(has_port ? host.substr(colon + 1) : "");
    any_port = any_port || has_port;
  }
  if (!hosts.empty()) parameters.emplace_back("host", names);
  if (any_port) parameters.emplace_back("port", ports);
}

void add_query(std::string_view rest, Parameters& parameters) {
  std::vector<std::string> hosts;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    auto argument = take_until(rest, "&");
    const auto raw_name = take_until(argument, "=");
    if (argument.size() < 2) continue;  // without a value it says nothing
    const auto name = decoded(raw_name, Plus::space);
    const auto value = decoded(argument.substr(1), Plus::space);
    if (!is_keyword(name)) fail("has an argument after the ? whose name is no keyword of libpq");
    if (name == "host") {
      hosts.push_back(value);
    } else {
      parameters.emplace_back(name == "ssl" ? "sslmode" : name, value);
    }
  }
  add_hosts(hosts, parameters);
}

/// What is shown of a URL is what stands before its `?`: nothing after it may say otherwise. But a
/// host there is how many write a socket's folder.
void refuse_doubles(const Parameters& parameters) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : parameters) {
    if (std::ranges::count(names, name) > 0) {
      fail("has an argument after the ? that says again what has been said before: remove one");
    }
    if (name != "host" && name != "port") names.push_back(name);
  }
}

}  // namespace

Parameters read_url(std::string_view url) {
  Parameters parameters;
  const auto colon = url.find("://");
  if (colon == std::string_view::npos) fail("has no ://");
  auto rest = url.substr(colon + 3);
  add_user(rest, parameters);
  add_host(rest, parameters);
  add_database(rest, parameters);
  if (!rest.empty() && !rest.starts_with('?')) {
    fail(
        "cannot be read: write postgresql://user:password@host:port/database, with special "
        "characters in the password as %XX");
  }
  add_query(rest, parameters);
  refuse_doubles(parameters);
  return parameters;
}

bool sets_search_path(const Parameters& parameters) {
  return std::ranges::any_of(parameters, [](const auto& parameter) {
    if (parameter.first != "options") return false;
    // The server takes `--search-path=`, too.
    auto options = ascii_lowered(parameter.second);
    std::ranges::replace(options, '-', '_');
    return options.find("search_path") != std::string::npos;
  });
}

std::vector<std::string> secrets_of(const Parameters& parameters) {
  constexpr std::array<std::string_view, 3> secret{"password", "sslpassword",
                                                   "oauth_client_secret"};
  // Servers and libpq quote these, and a piece of a password may have strayed into them.
  constexpr std::array<std::string_view, 3> quoted{"user", "host", "dbname"};
  const auto is_odd = [](std::string_view value) {
    return std::ranges::any_of(value, [](char c) {
      return !is_keyword({&c, 1}) && (c < 'A' || c > 'Z') && c != '.' && c != '-' && c != '/' &&
             c != ',';
    });
  };
  std::vector<std::string> secrets;
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    const bool may_have_strayed = std::ranges::count(quoted, name) > 0 && is_odd(value);
    if (std::ranges::count(secret, name) > 0 || may_have_strayed) secrets.push_back(value);
  }
  return secrets;
}

}  // namespace calib::postgresql
