#include "every_call/prepared_tool.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace calib::test {

PreparedTool::PreparedTool(const std::vector<std::string>& arguments, RunOptions options)
    : seconds_(std::exchange(options.seconds, 0)) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0 ||
      ::fcntl(ends[1], F_SETFD, 0) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  socket_ = ends[0];
  options.environment["CALIB_TEST_COPIES"] = std::to_string(ends[1]);
  process_.emplace(arguments, options);
  ::close(ends[1]);
}

PreparedTool::~PreparedTool() { ::close(socket_); }

Ran PreparedTool::run(const std::string& interpose, const fs::path& log) {
  const auto message = fmt::format("{}\n{}\n{}", seconds_, interpose, log.string());
  int status = 0;
  if (::send(socket_, message.data(), message.size(), MSG_NOSIGNAL) < 0 ||
      ::recv(socket_, &status, sizeof(status), 0) != sizeof(status)) {
    throw std::runtime_error("the prepared process has ended: " + process_->finish().err);
  }
  return process_->outcome(status);
}

}  // namespace calib::test
