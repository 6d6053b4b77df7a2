// Roles of a test's own on the server, and how the tool is let in as one.
#pragma once

#include <fmt/format.h>

#include <string>

#include "support/app_fixture.hpp"

namespace calib::test {

/// The database of the app, for another role.
inline std::string url_for(const App& app, const std::string& role,
                           const std::string& scheme = "postgresql") {
  auto url = app.database_option();
  url.replace(0, url.find("://"), scheme);
  url.replace(url.find("tester"), 6, role);
  return url;
}

inline std::string name_of(const App& app) {
  const auto url = app.database_shown();
  return url.substr(url.rfind('/') + 1);
}

/// A role of this database's own, with these rights on its tables.
inline std::string make_role(const App& app, const std::string& rights) {
  auto role = "role_of_" + name_of(app);
  app.execute(fmt::format("CREATE ROLE {0} LOGIN; GRANT {1} ON ALL TABLES IN SCHEMA public TO {0}",
                          role, rights));
  return role;
}

inline void drop_role(const App& app, const std::string& role) {
  app.execute(fmt::format("DROP OWNED BY {0}; DROP ROLE {0}", role));
}

}  // namespace calib::test
