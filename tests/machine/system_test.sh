#!/usr/bin/env bash
# What differs between systems stands behind one header, and the executable that has POSIX's calls
# alone makes no other one.
#   system_test.sh SOURCES EXECUTABLE ON_POSIX
. "$(dirname "$0")/shell.sh"
need nm
cp -r "$1" "$scratch/src"
rm "$scratch"/src/base/{linux,linux_proc,macos,plain_posix,posix}.cpp
cd "$scratch/src"
find . -name '*.[ch]pp' -exec sed -i 's,//.*,,' {} +

nothing_has() { ! grep -rnE --include='*.[ch]pp' -- "$1" .; }
check "no condition names a system" nothing_has '^ *# *(el)?if.*(__|_WIN)'
check "no header of one system is included" nothing_has \
  'include <(linux/|malloc\.h|sys/(mount|param|statfs|syscall|sysmacros|vfs)\.h)'
check "no call of one system is made" nothing_has \
  '::(fallocate|getdents64|getfsstat|mallopt|memfd_create|openat2|renameat2|renameatx_np|sigtimedwait|statx|syncfs)\('
check "no flag of one system is given" nothing_has '\b(F_OFD_|F_FULLFSYNC|O_NOATIME|O_PATH|O_TMPFILE)'
check "nothing is read from /proc" nothing_has '"/proc'
check "no library is asked for what Apple's lacks" nothing_has 'std::(jthread|pmr|stop_token|stop_source)\b'
echo '#include <linux/magic.h>' >>base/stop.cpp
check "such a line is found" eval '! nothing_has "include <(linux/)" >/dev/null'

# calls EXECUTABLE: what it takes from libraries.
calls() { nm --dynamic --undefined-only "$1" | sed -E 's/^ *[Uw] ([^@]*).*/\1/'; }
own='^(getdents64|mallopt|renameat2|sigtimedwait|statx)$'
calls "$2" >"$scratch/linux"
calls "$3" >"$scratch/posix"
check "the executable makes Linux's own calls" test "$(grep -cE "$own" "$scratch/linux")" -eq 5
check "the one on POSIX makes none of them" no_line_with "$own" "$scratch/posix"
for call in fdopendir fstatat64 readdir64 sigwait; do
  check "but $call" grep -qx "$call" "$scratch/posix"
done
