// Ways through the file system: which entries of a folder they lead through, wherever links go.
#pragma once

#include <string>
#include <system_error>
#include <vector>

#include "base/status.hpp"
#include "model/entry.hpp"

namespace calib {

/// What kind of entry was looked at.
EntryKind kind_of(const Status& status);

/// The entries directly in the open directory `folder` that lie on the way `path`, in the order in
/// which it meets them: through links, `..`, other folders, and bind mounts of `folder` itself. A
/// relative way begins in the open directory `from` (or AT_FDCWD). A name that has no entry is
/// among them with the inode 0. `error`: why the way could not be followed to its end, where it may
/// go on for others (EACCES, EIO …); none where it ends for everybody (nothing there, no directory,
/// a circle of links).
std::vector<Entry> entries_on_way(int folder, int from, const std::string& path,
                                  std::error_code& error);

}  // namespace calib
