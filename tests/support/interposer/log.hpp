// What the tool and SQLite have done to the disk, call by call, for a test that wants to know what
// of it a power loss may take away.
//
// With CALIB_TEST_LOG each call that changes names, contents or sizes of files, or syncs them, adds
// a record to that file when it has succeeded: `<what> <offset> <size> <path's length> <other's
// length>`, a line feed, the path, the other path, and as much data as it says. Offset and size are
// in bytes; <what> is one of those below. support/change_log.hpp reads it.
#pragma once

#include <sys/types.h>

#include <string_view>

namespace calib::test::interposer {

/// `open`: the file was opened, and made where it was not there. Size 1: it was emptied.
void log_open(int descriptor, int flags);
/// `write`: so many bytes at this offset.
void log_write(int descriptor, const void* bytes, ssize_t size, off64_t offset);
/// `size`: it was cut, or grew by zeros, to this size.
void log_size(int descriptor, off64_t size);
/// `sync`: a file, or a directory.
void log_sync(int descriptor);
/// `unlink`, `rmdir`, `mkdir`, or a call that no model knows.
void log_name(std::string_view what, int directory, const char* name);
/// `rename`: the other path is the new one.
void log_rename(int from, const char* old_name, int to, const char* new_name);

}  // namespace calib::test::interposer
