// What the folder holds, by the age of its sessions, so that one dry run is enough to choose
// --hours.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/report.hpp"

namespace calib {

/// Sessions of about one age, those that go and those that stay.
struct AgeRow {
  double from_hours = 0;
  std::optional<double> to_hours;  ///< nothing: and all that are older
  std::uint64_t sessions = 0;
  std::uint64_t allocated_bytes = 0;
  /// What a pass with --hours from_hours would free, what has no session included; of files that
  /// several directories share, as if each had its own.
  std::uint64_t freed_bytes = 0;
};

struct Audit {
  std::vector<AgeRow> ages;   ///< the youngest first; without those that nobody is of
  std::uint64_t undated = 0;  ///< sessions without a date that can be meant
  std::uint64_t undated_bytes = 0;
  std::uint64_t unclaimed_bytes = 0;  ///< of the directories without a session that would go
};

/// Of a dry run. One of the ages begins at its --hours.
Audit audit_of(const Report& report);

}  // namespace calib
