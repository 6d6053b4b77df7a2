// The calls to a database server, for the interposer (see interposer_changes.cpp).
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "interposer_rules.hpp"

using namespace calib::test::interposer;

namespace {

// No kernel fails such a call and leaves the connection as it was.
ssize_t on_connection(int descriptor, ssize_t result) {
  const int error = errno;
  if (result < 0 && error != EINTR && error != EAGAIN) ::shutdown(descriptor, SHUT_RDWR);
  errno = error;
  return result;
}

}  // namespace

extern "C" {

int connect(int descriptor, const struct sockaddr* address, socklen_t size) {
  return through(Kind::read, "connect", descriptor, NEXT(connect), descriptor, address, size);
}

ssize_t send(int descriptor, const void* bytes, size_t size, int flags) {
  return on_connection(descriptor, through(Kind::change, "send",
                                           std::string_view(static_cast<const char*>(bytes), size),
                                           NEXT(send), descriptor, bytes, size, flags));
}

ssize_t recv(int descriptor, void* bytes, size_t size, int flags) {
  return on_connection(descriptor, through(Kind::read, "recv", descriptor, NEXT(recv), descriptor,
                                           bytes, size, flags));
}

int poll(struct pollfd* descriptors, nfds_t count, int milliseconds) {
  return through(Kind::read, "poll", nullptr, NEXT(poll), descriptors, count, milliseconds);
}

}  // extern "C"
