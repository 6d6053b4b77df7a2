#include "webapp/database_location.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "base/text.hpp"
#include "webapp/dotenv.hpp"

namespace calib {
namespace {

namespace fs = std::filesystem;

struct Scheme {
  std::string_view name;
  DatabaseKind kind;
};

// Every driver of SQLAlchemy that opens the same database in the same way.
constexpr std::array schemes{
    Scheme{"sqlite", DatabaseKind::sqlite},
    Scheme{"sqlite+pysqlite", DatabaseKind::sqlite},
    Scheme{"sqlite+aiosqlite", DatabaseKind::sqlite},
    Scheme{"postgresql", DatabaseKind::postgresql},
    Scheme{"postgres", DatabaseKind::postgresql},
    Scheme{"postgresql+psycopg2", DatabaseKind::postgresql},
    Scheme{"postgresql+psycopg2cffi", DatabaseKind::postgresql},
    Scheme{"postgresql+psycopg", DatabaseKind::postgresql},
    Scheme{"postgresql+asyncpg", DatabaseKind::postgresql},
    Scheme{"postgresql+pg8000", DatabaseKind::postgresql},
};

constexpr std::string_view sqlite_forms =
    "write sqlite:///relative/path.db or sqlite:////absolute/path.db";

constexpr std::string_view postgresql_form = "write postgresql://user:password@host:port/database";

/// Arguments of Python's sqlite3.connect() that leave the choice of the file alone.
constexpr std::array<std::string_view, 5> harmless_arguments{
    "timeout", "check_same_thread", "cached_statements", "isolation_level", "detect_types"};

constexpr std::string_view digits = "0123456789";
constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

bool is_one_of(char c, std::string_view characters) {
  return characters.find(c) != std::string_view::npos;
}

/// Letters, digits and `more` only.
bool is_plain(std::string_view text, std::string_view more) {
  return std::ranges::all_of(text, [more](char c) {
    return is_one_of(c, letters) || is_one_of(c, digits) || is_one_of(c, more);
  });
}

/// `text` where it looks like a name; a password that strayed into it does not get out.
std::string_view shown(std::string_view text, std::string_view more) {
  return is_plain(text, more) ? text : "***";
}

[[noreturn]] void fail(std::string_view source, std::string_view problem) {
  throw DatabaseLocationError(fmt::format("{} {}", source, problem));
}

void refuse_nul(std::string_view text, std::string_view source) {
  if (text.find('\0') != std::string_view::npos) fail(source, "holds a NUL byte: remove it");
}

/// SQLite takes such names for something else than the file of that name.
void refuse_special_name(std::string_view name, std::string_view source) {
  if (name.starts_with(':')) {
    fail(source, "names an in-memory database or another special name of SQLite: name a file");
  }
  if (name.starts_with("file:")) fail(source, "is a file: URI: give the path itself");
}

/// SQLAlchemy decodes %XX in the name of the database since 2.1.
void refuse_percent_code(std::string_view name, std::string_view source) {
  constexpr std::string_view hexadecimal = "0123456789abcdefABCDEF";
  for (std::size_t at = name.find('%'); at < name.size(); at = name.find('%', at + 1)) {
    const std::string_view code = name.substr(at + 1, 2);
    if (code.size() < 2 || code.find_first_not_of(hexadecimal) != std::string_view::npos) continue;
    fail(source, fmt::format("has %{} in its path, which not every SQLAlchemy reads alike: write "
                             "the character itself, or name the file with --database PATH",
                             code));
  }
}

void check_sqlite_query(std::string_view query, std::string_view source) {
  while (!query.empty()) {
    const std::string_view argument = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(argument.size() + 1, query.size()));
    const std::string_view key = argument.substr(0, argument.find('='));
    // Python before 3.10 takes a semicolon for the end of an argument, too.
    const bool one = argument.find(';') == std::string_view::npos;
    if (argument.empty() || (one && std::ranges::count(harmless_arguments, key) > 0)) continue;
    fail(source, fmt::format("has a query argument that may change which file is opened: only {} "
                             "can stand in a sqlite URL here",
                             fmt::join(harmless_arguments, ", ")));
  }
}

DatabaseLocation sqlite_location(std::string_view rest, const fs::path& app_dir,
                                 std::string_view source) {
  const std::size_t question = rest.find('?');
  const std::string_view query =
      question == std::string_view::npos ? std::string_view{} : rest.substr(question + 1);
  std::string_view database = rest.substr(0, question);
  if (!database.empty() && !database.starts_with('/')) {
    fail(source, fmt::format("is a sqlite URL with a host or a user in it: {}", sqlite_forms));
  }
  if (!database.empty()) database.remove_prefix(1);
  if (database.empty()) {
    fail(source, fmt::format("names an in-memory database: {}", sqlite_forms));
  }
  refuse_special_name(database, source);
  refuse_percent_code(database, source);
  check_sqlite_query(query, source);

  // SQLAlchemy opens os.path.abspath(database): `..` goes by the text, not through links, and a
  // slash at the end is dropped. The part before it, the app's working directory, is left alone.
  fs::path relative = fs::path(database).lexically_normal();
  if (!relative.has_filename() && relative.has_parent_path()) relative = relative.parent_path();
  DatabaseLocation location;
  location.kind = DatabaseKind::sqlite;
  location.path = app_dir / relative;
  location.display = location.path.string();
  return location;
}

struct HostAndPort {
  std::string_view host;
  std::string_view port;
};

/// What does not read as `host:port` is most likely a password with an `@` forgotten behind it.
HostAndPort split_host(std::string_view text, std::string_view source) {
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  const std::size_t colon = bracket == std::string_view::npos ? bracket : text.find(':', bracket);
  HostAndPort parts{text.substr(0, colon), {}};
  if (colon != std::string_view::npos) parts.port = text.substr(colon + 1);
  if (bracket == std::string_view::npos ||
      !std::ranges::all_of(parts.port, [](char c) { return is_one_of(c, digits); })) {
    fail(source, fmt::format("cannot be read: {}, with special characters in the password as %XX",
                             postgresql_form));
  }
  return parts;
}

/// The URL without password and query. A password may hold any character, so anything that could
/// be a piece of one is masked.
std::string postgresql_display(std::string_view scheme, std::string_view rest,
                               std::string_view source) {
  const std::size_t at = rest.find('@');
  const bool has_user = at != std::string_view::npos;
  if (has_user && (rest.find('@', at + 1) != std::string_view::npos ||
                   rest.substr(0, at).find_first_of("/?") != std::string_view::npos)) {
    return fmt::format("{}://***", scheme);
  }
  std::string result = fmt::format("{}://", scheme);
  if (has_user) {
    const std::string_view user = rest.substr(0, std::min(at, rest.find(':')));
    result += fmt::format("{}@", shown(user, "_.-"));
    rest.remove_prefix(at + 1);
  }
  rest = rest.substr(0, rest.find('?'));
  const std::string_view authority = rest.substr(0, rest.find('/'));
  const HostAndPort parts = split_host(authority, source);
  result += shown(parts.host, "_.-[]:");
  if (!parts.port.empty()) result += fmt::format(":{}", parts.port);
  if (authority.size() < rest.size()) {
    result += fmt::format("/{}", shown(rest.substr(authority.size() + 1), "_.-"));
  }
  return result;
}

/// What may have been meant by a scheme that is none here: they are in lower case, and CockroachDB
/// has one of its own in SQLAlchemy.
std::string forms_like(std::string_view scheme) {
  const auto lowered = ascii_lowered(scheme);
  if (lowered.starts_with("postgres") || lowered.starts_with("cockroachdb")) {
    return std::string(postgresql_form);
  }
  if (lowered.starts_with("sqlite")) return std::string(sqlite_forms);
  return fmt::format("{}, or postgresql://user:password@host:port/database", sqlite_forms);
}

DatabaseLocation postgresql_location(std::string_view url, std::string_view scheme,
                                     std::string_view rest, std::string_view source) {
  DatabaseLocation location;
  location.kind = DatabaseKind::postgresql;
  location.url = url;
  location.display = postgresql_display(scheme, rest, source);
  return location;
}

[[noreturn]] void fail_to_look(const fs::path& path, std::string_view reason) {
  throw DatabaseLocationError(
      fmt::format("cannot read {}, where the app's DATABASE_URL may stand: {}; make it readable, "
                  "or name the database with --database",
                  path.string(), reason));
}

/// Nothing where there is no such file for the app; every failure could hide another database.
std::optional<std::string> read_dotenv(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::status(path, error).type();
  if (type == fs::file_type::not_found) return std::nullopt;
  if (error) fail_to_look(path, error.message());
  // python-dotenv passes over a folder or a device of that name. Only some releases do so with a
  // FIFO, which is not read here.
  if (type != fs::file_type::regular && type != fs::file_type::fifo) return std::nullopt;
  try {
    return read_small_file(path);
  } catch (const FileError& failure) {
    if (failure.missing()) return std::nullopt;
    fail_to_look(path, failure.what());
  }
}

/// Where load_dotenv() looks from `backend/` on, the nearest first; none where there is no app. The
/// app's root is its working directory, which has no links in its path; `backend` may be one.
std::vector<fs::path> dotenv_files(const fs::path& app_dir) {
  std::error_code error;
  fs::path folder = fs::canonical(app_dir, error);
  if (error) {
    // A folder that has been removed while somebody works in it counts as none, too.
    if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory) {
      return {};
    }
    fail_to_look(app_dir / ".env", error.message());
  }
  std::vector<fs::path> files{folder / "backend" / ".env", folder / ".env"};
  while (folder.has_relative_path()) {
    folder = folder.parent_path();
    files.push_back(folder / ".env");
  }
  return files;
}

std::optional<std::string> database_url_in(const fs::path& dotenv_file, std::string_view text,
                                           std::ptrdiff_t& line) {
  try {
    return dotenv_value(text, "DATABASE_URL", &line);
  } catch (const DotenvError& error) {
    throw DatabaseLocationError(
        fmt::format("cannot tell the app's database from {}: {}, or name the database with "
                    "--database",
                    dotenv_file.string(), error.what()));
  }
}

}  // namespace

DatabaseLocation parse_database_url(std::string_view url, const fs::path& app_dir,
                                    std::string_view source) {
  refuse_nul(url, source);
  const std::size_t colon = url.find("://");
  const std::string_view name = url.substr(0, colon);
  constexpr std::size_t max_scheme = 32;
  if (colon == std::string_view::npos || name.empty() || name.size() > max_scheme ||
      !is_plain(name, "+_.-")) {
    fail(source, fmt::format("is not a database URL: {}", sqlite_forms));
  }
  const auto* const scheme = std::ranges::find(schemes, name, &Scheme::name);
  if (scheme == schemes.end()) {
    fail(source, fmt::format("is a {}:// URL, which is not supported: {}", name, forms_like(name)));
  }
  const std::string_view rest = url.substr(colon + 3);
  return scheme->kind == DatabaseKind::sqlite ? sqlite_location(rest, app_dir, source)
                                              : postgresql_location(url, name, rest, source);
}

DatabaseLocation parse_database_option(std::string_view value, const fs::path& app_dir,
                                       std::string_view source) {
  if (value.find("://") != std::string_view::npos) {
    auto location = parse_database_url(value, app_dir, source);
    location.named = Named::by_option;
    location.said_by = source;
    return location;
  }
  refuse_nul(value, source);
  if (value.empty()) fail(source, "is empty: give it a path or a URL");
  refuse_special_name(value, source);
  // `postgresql:user:password@host` is a URL gone wrong: as a path it would be printed.
  if (value.substr(0, value.find('/')).find(':') != std::string_view::npos) {
    fail(source, "looks like a URL without ://: correct it, or put ./ before it if it is a path");
  }
  DatabaseLocation location;
  location.kind = DatabaseKind::sqlite;
  location.path = value;
  location.display = location.path.string();
  location.named = Named::by_option;
  location.said_by = source;
  return location;
}

DatabaseLocation find_app_database(const AppVariables& variables, const fs::path& app_dir) {
  auto url = variables.database_url;
  std::string source = "DATABASE_URL";
  // load_dotenv() leaves alone what is set, even to nothing.
  if (!url) {
    for (const fs::path& file : dotenv_files(app_dir)) {
      const auto text = read_dotenv(file);
      if (!text) continue;
      std::ptrdiff_t line = 0;
      url = database_url_in(file, *text, line);
      source = fmt::format("DATABASE_URL in {} (line {})", file.string(), line);
      break;
    }
    if (url && !url->empty() && variables.dotenv_disabled) {
      fail(source,
           "counts for some releases of python-dotenv only, as PYTHON_DOTENV_DISABLED is set: "
           "unset that, or name the database with --database");
    }
  }
  if (url && !url->empty()) {
    auto location = parse_database_url(*url, app_dir, source);
    location.named = Named::by_app;
    location.said_by = source;
    return location;
  }
  DatabaseLocation location;
  location.path = app_dir / "backend" / "calibration.db";
  location.display = location.path.string();
  return location;
}

}  // namespace calib
