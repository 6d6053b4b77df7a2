// One PostgreSQL server for all tests of a run. CTest starts it before the first of them and stops
// it after the last; where CTest itself ends before that, however, the server ends with it.
//
//   postgresql_cluster start LINK    LINK then leads to the folder of its socket
//   postgresql_cluster stop LINK
//   postgresql_cluster run COMMAND…  the command with the server in its environment
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "postgresql/postgresql_server.hpp"
#include "support/pidfd.hpp"

namespace {

namespace fs = std::filesystem;
using calib::test::PostgresqlServer;

constexpr const char* keeper_file = "keeper.pid";

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// Ends the server that LINK leads to, if there is one.
void stop(const fs::path& link) {
  std::error_code error;
  const auto folder = fs::read_symlink(link, error);
  pid_t keeper = 0;
  if (!error && std::ifstream(folder / keeper_file) >> keeper) {
    const int pidfd = calib::test::pidfd_of(keeper);
    if (pidfd >= 0 && calib::test::signal_pidfd(pidfd, SIGTERM)) {
      calib::test::wait_for_end(pidfd);
    }
  }
  fs::remove(link, error);
}

/// Has the server until SIGTERM comes or the process behind `owner` ends.
void keep(const fs::path& link, int owner, int ready) {
  ::setsid();
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  // Blocked but for the time of ppoll(), so that none is lost; the server's programs start with it
  // unblocked, or no one could end them.
  struct sigaction noted {};
  noted.sa_handler = [](int) {};
  ::sigaction(SIGTERM, &noted, nullptr);
  const PostgresqlServer server;
  std::ofstream(server.folder() / keeper_file) << ::getpid() << '\n';
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &ending, &before);
  fs::create_symlink(server.folder(), link);
  if (::write(ready, "", 1) != 1) fail("write");
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; ++i) ::dup2(nowhere, i);
  struct pollfd ended {
    owner, POLLIN, 0
  };
  ::ppoll(&ended, 1, nullptr, &before);
  std::error_code ignored;
  if (fs::read_symlink(link, ignored) == server.folder()) fs::remove(link, ignored);
}

int start(const fs::path& link) {
  const int owner = calib::test::pidfd_of(::getppid());
  if (owner < 0) fail("pidfd_open");
  stop(link);  // of a run that was cut short together with its keeper
  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) fail("pipe2");
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    try {
      keep(link, owner, ready[1]);
      return EXIT_SUCCESS;
    } catch (const std::exception& error) {
      std::cerr << error.what() << '\n';
      return EXIT_FAILURE;
    }
  }
  ::close(ready[1]);
  char byte = 0;
  return ::read(ready[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run(char** command) {
  const PostgresqlServer server;
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    ::setenv("CALIB_TEST_POSTGRESQL", server.folder().c_str(), 1);
    ::execvp(*command, command);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string_view what = argc > 2 ? argv[1] : "";
    if (what == "start") return start(argv[2]);
    if (what == "run") return run(argv + 2);
    if (what == "stop") {
      stop(argv[2]);
      return EXIT_SUCCESS;
    }
    std::cerr << "usage: postgresql_cluster start LINK | stop LINK | run COMMAND...\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
