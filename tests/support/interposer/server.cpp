// The calls to a database server, for the interposer (see changes.cpp).
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>

#include "support/interposer/rules.hpp"

using namespace calib::test::interposer;

namespace {

// No kernel fails such a call and leaves the connection as it was.
ssize_t on_connection(int descriptor, ssize_t result) {
  const int error = errno;
  if (result < 0 && error != EINTR && error != EAGAIN) ::shutdown(descriptor, SHUT_RDWR);
  errno = error;
  return result;
}

/// What a message is about: its text. Of the commits, that of a slice is told from those that only
/// read or wait for the disk by what went before it.
std::string_view subject_of(std::string_view message) {
  static bool deletes = false;
  const auto has = [&](std::string_view text) {
    return message.find(text) != std::string_view::npos;
  };
  if (has("BEGIN")) deletes = false;
  if (has("DELETE FROM") && has("RETURNING")) deletes = true;
  // With the byte before it, which is the message's length: READ COMMITTED is another matter.
  return deletes && has("\vCOMMIT") ? "COMMIT of a slice" : message;
}

}  // namespace

extern "C" {

int connect(int descriptor, const struct sockaddr* address, socklen_t size) {
  return through(Kind::read, "connect", descriptor, NEXT(connect), descriptor, address, size);
}

ssize_t send(int descriptor, const void* bytes, size_t size, int flags) {
  const auto subject = subject_of({static_cast<const char*>(bytes), size});
  return on_connection(descriptor, through(Kind::change, "send", subject, NEXT(send), descriptor,
                                           bytes, size, flags));
}

ssize_t recv(int descriptor, void* bytes, size_t size, int flags) {
  return on_connection(descriptor, through(Kind::read, "recv", descriptor, NEXT(recv), descriptor,
                                           bytes, size, flags));
}

int getaddrinfo(const char* node, const char* service, const struct addrinfo* hints,
                struct addrinfo** result) {
  return through(Kind::read, "getaddrinfo", node, NEXT(getaddrinfo), node, service, hints, result);
}

int poll(struct pollfd* descriptors, nfds_t count, int milliseconds) {
  const int ready =
      through(Kind::read, "poll", nullptr, NEXT(poll), descriptors, count, milliseconds);
  if (ready == 0 && milliseconds > 0 && stands_still())
    put_clock_forward(milliseconds * 1'000'000L);
  static const char* const times = std::getenv("CALIB_TEST_POLL");
  if (ready == 0 && times != nullptr && was_stopped()) {
    put_clock_forward(milliseconds * 1'000'000L * (std::atol(times) - 1));
  }
  return ready;
}

}  // extern "C"
