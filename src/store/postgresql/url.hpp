// A PostgreSQL URL as the app's SQLAlchemy reads it, taken apart into what libpq connects with.
// libpq would read the URL itself, but by other rules (a `/` may stand in SQLAlchemy's passwords),
// and its complaints quote what it could not read, which may be a piece of the password.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace calib::postgresql {

/// Keywords of libpq and their values, in order; of hosts and ports the later one counts.
using Parameters = std::vector<std::pair<std::string, std::string>>;

/// `url` as database_location has let it pass. User and password are percent-decoded, the query's
/// names and values too; several `host=name:port` there are tried in turn.
/// asyncpg's `ssl` is libpq's `sslmode`. Throws std::invalid_argument: one line that quotes
/// nothing which could be a secret.
Parameters read_url(std::string_view url);

/// Whether `options` names schemas. Where a URL has `options`, libpq takes none from elsewhere.
bool sets_search_path(const Parameters& parameters);

/// Those of the values that nobody may see.
std::vector<std::string> secrets_of(const Parameters& parameters);

}  // namespace calib::postgresql
