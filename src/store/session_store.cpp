#include "store/session_store.hpp"

#include <fmt/format.h>

namespace calib {

std::vector<OwnerIndex> owners_of(std::span<const Refusal> refusals) {
  std::vector<OwnerIndex> owners;
  owners.reserve(refusals.size());
  for (const auto& refusal : refusals) owners.push_back(refusal.owner);
  return owners;
}

StoreError still_locked(const std::string& path, std::chrono::steady_clock::duration waited) {
  return {StoreError::Kind::busy, path,
          fmt::format("the database stayed locked for {:.1f} s; try again, or wait longer with "
                      "--lock-wait",
                      std::chrono::duration<double>(waited).count())};
}

std::unique_ptr<SessionStore> open_store(const DatabaseLocation& location, Access access,
                                         std::chrono::milliseconds wait, const StopFlag& stop) {
  switch (location.kind) {
    case DatabaseKind::sqlite:
      return open_sqlite_store(location, access, wait, stop);
    case DatabaseKind::postgresql:
#ifdef CALIB_CLEANUP_POSTGRESQL
      return open_postgresql_store(location, access, wait, stop);
#else
      break;
#endif
  }
  throw StoreError(StoreError::Kind::unusable, location.display,
                   "this calib-cleanup has no PostgreSQL in it; name a "
                   "sqlite:/// URL or the path of an SQLite database with --database");
}

}  // namespace calib
