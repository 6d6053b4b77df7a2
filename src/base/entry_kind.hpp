// What the systems behind base/system.hpp have in common.
#pragma once

#include <dirent.h>

#include "base/system.hpp"

namespace calib::system {

/// `type`: the d_type of a directory's entry (readdir(3)).
inline DirEntry::Kind kind_of_entry(unsigned char type) {
  switch (type) {
    case DT_UNKNOWN:
      return DirEntry::Kind::unknown;
    case DT_DIR:
      return DirEntry::Kind::directory;
    case DT_LNK:
      return DirEntry::Kind::link;
    default:
      return DirEntry::Kind::other;
  }
}

}  // namespace calib::system
