// Descriptors of processes, readable from their end on. Debian 12's <sys/pidfd.h> is none for C++.
#pragma once

#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>

namespace calib::test {

/// A descriptor, or -1 and errno. Nothing else may have ended and waited for that process.
inline int pidfd_of(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

inline bool signal_pidfd(int pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
}

inline void wait_for_end(int pidfd) {
  struct pollfd ended {
    pidfd, POLLIN, 0
  };
  while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace calib::test
