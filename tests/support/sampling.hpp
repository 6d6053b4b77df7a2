// How much of an exhaustive loop runs: all of it, or a sample: every day, or where sanitizers slow
// each process down.
#pragma once

#include <string>

#include "support/app_fixture.hpp"
#include "support/catch.hpp"
#include "support/scale.hpp"

namespace calib::test {

/// Every so many points one is visited.
inline const int stride = sanitized ? 61 : daily ? 3 : 1;

/// Fewer points than this: then the loop no longer goes where it went when it was measured.
inline void check_floor(int visited, int floor) { CHECK(visited >= (stride == 1 ? floor : 1)); }

inline std::string name_of(Journal journal) {
  return journal == Journal::wal ? "WAL" : "rollback journal";
}

}  // namespace calib::test
