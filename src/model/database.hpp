// Where the session database is.
#pragma once

#include <filesystem>
#include <string>

namespace calib {

enum class DatabaseKind { sqlite, postgresql };

/// Who named the database: an empty one proves nothing where nobody did.
enum class Named {
  no,               ///< it is where the app keeps one by default
  by_app,           ///< DATABASE_URL, in the environment or a .env
  by_option,        ///< CALIB_CLEANUP_DATABASE, or the file of --config
  on_command_line,  ///< --database: a person vouches for it
};

struct DatabaseLocation {
  DatabaseKind kind = DatabaseKind::sqlite;
  std::filesystem::path path;  ///< sqlite: the file
  std::string url;             ///< postgresql: the whole URL, password and all; never print it
  std::string display;         ///< what may be printed: the path, or the URL without its password
  Named named = Named::no;
  std::string said_by;  ///< what names it, for a message; empty: nothing does
  std::filesystem::path
      maybe_meant;  ///< where it is not there, this may be; empty: nothing like it
};

}  // namespace calib
