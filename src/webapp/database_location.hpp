// Where the session database is: the URL forms of SQLAlchemy, and the places where the app looks.
#pragma once

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "model/database.hpp"

namespace calib {

/// A database that is named but cannot be served: status 3. One line, no password in it.
class DatabaseLocationError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Reads a database URL as SQLAlchemy 1.4, 2.0 and 2.1 do: `sqlite:///relative.db` (to `app_dir`),
/// `sqlite:////absolute.db`, `sqlite+pysqlite://…`, `postgresql://…`, `postgres://…`,
/// `postgresql+psycopg2://…`. `source` names where the URL stood, for the message. Throws
/// DatabaseLocationError for in-memory databases, `file:` URIs, hosts in sqlite URLs, %XX in their
/// path (only 2.1 decodes it), query arguments that change what file is opened, other schemes and
/// what is no URL at all. Who named it is the caller's to say.
DatabaseLocation parse_database_url(std::string_view url, const std::filesystem::path& app_dir,
                                    std::string_view source);

/// Reads what --database (or its environment variable or file key) says: a URL where it contains
/// `://`, else a path, relative to the working directory. It is named `by_option`. Throws as
/// parse_database_url does.
DatabaseLocation parse_database_option(std::string_view value, const std::filesystem::path& app_dir,
                                       std::string_view source);

/// What the app's environment says of its database.
struct AppVariables {
  std::optional<std::string> database_url;  ///< DATABASE_URL
  bool dotenv_disabled = false;             ///< PYTHON_DOTENV_DISABLED is set to a yes
};

/// The database that the app itself would use, `by_app`: DATABASE_URL in its environment, else in
/// the first regular file `.env` on the way from `<app_dir>/backend` up to `/`, as python-dotenv's
/// load_dotenv() in `backend/config.py` finds it. Where it says nothing, and where it is set to
/// nothing, `<app_dir>/backend/calibration.db`, which nobody named. Throws DatabaseLocationError
/// also where a .env cannot be looked for or read, or its DATABASE_URL line not understood:
/// guessing could mean another database.
DatabaseLocation find_app_database(const AppVariables& variables,
                                   const std::filesystem::path& app_dir);

}  // namespace calib
