// Who on the server keeps a pass waiting, as far as this role may see it.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "store/postgresql/connection.hpp"
#include "store/postgresql/knowledge.hpp"

namespace calib::postgresql {

/// Whoever has the app's tables locked, the one first who began first: `psql (server process 812,
/// from 10.0.0.7, since 2025-03-01 21:03:12 UTC)`: since when it is in its transaction. Empty where
/// nobody has, or it is not told. Between two transactions. Throws PassError (stopped).
std::string holder_of_tables(Connection& connection, const Knowledge& knowledge);

/// The same of the advisory lock with this key, two numbers: since when it is connected, for a pass
/// takes that lock at its beginning.
std::string holder_of_lock(Connection& connection, const std::vector<std::string>& key);

/// Tells the connection's progress who is waited for, which it finds out once a second.
class ToldWait {
 public:
  using Holder = std::function<std::string()>;
  ToldWait(Connection& connection, std::string what, std::chrono::milliseconds limit,
           Holder holder);
  /// While it lasts: again every so often.
  void goes_on();

 private:
  using Clock = std::chrono::steady_clock;
  Connection& connection_;
  Wait wait_;
  Holder holder_;
  Clock::time_point asked_;
};

}  // namespace calib::postgresql
