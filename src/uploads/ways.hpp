// Ways through the file system: which entries of a folder they lead through, wherever links go.
#pragma once

#include <string>
#include <vector>

#include "uploads/upload_dir.hpp"

namespace calib {

/// The entries directly in the open directory `folder` that lie on the way `path`, in the order in
/// which it meets them: through links, `..`, other folders, and bind mounts of `folder` itself. A
/// relative way begins in the open directory `from` (or AT_FDCWD). A name that has no entry is
/// among them with the inode 0. The way ends where nobody with our rights gets any further.
std::vector<Entry> entries_on_way(int folder, int from, const std::string& path);

}  // namespace calib
