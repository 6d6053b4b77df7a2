#include "store/session_store.hpp"

namespace calib {

std::unique_ptr<SessionStore> open_store(const DatabaseLocation& location, Access access,
                                         std::chrono::milliseconds wait, const StopFlag& stop,
                                         Progress* progress) {
  switch (location.kind) {
    case DatabaseKind::sqlite:
      return open_sqlite_store(location, access, wait, stop, progress);
    case DatabaseKind::postgresql:
#ifdef CALIB_CLEANUP_POSTGRESQL
      return open_postgresql_store(location, access, wait, stop, progress);
#else
      break;
#endif
  }
  throw PassError(PassError::Kind::unusable, location.display,
                  "this calib-cleanup has no PostgreSQL in it; name a "
                  "sqlite:/// URL or the path of an SQLite database with --database");
}

}  // namespace calib
