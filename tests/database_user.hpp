// Another process that has the database open: the app, as far as SQLite can tell.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace calib::test {

/// Runs `sql` and then stands still, with whatever locks it has, until it is killed. A process of
/// its own: a test that reads the database's file would lose the locks of its own connections.
class DatabaseUser {
 public:
  DatabaseUser(const std::filesystem::path& database, const std::string& sql) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
      throw std::system_error(errno, std::generic_category(), "pipe2");
    }
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ == 0) {
      try {
        SQLite::Database opened(database.string(), SQLite::OPEN_READWRITE);
        opened.exec(sql);
        if (::write(pipe[1], "", 1) == 1) {
          for (;;) ::pause();
        }
      } catch (const std::exception&) {  // the parent learns it by the end of the pipe
      }
      ::_exit(1);
    }
    ::close(pipe[1]);
    char ready = 0;
    const auto got = ::read(pipe[0], &ready, 1);
    ::close(pipe[0]);
    if (got == 1) return;
    crash();
    throw std::runtime_error(sql);
  }
  ~DatabaseUser() { crash(); }
  DatabaseUser(const DatabaseUser&) = delete;
  DatabaseUser& operator=(const DatabaseUser&) = delete;
  DatabaseUser(DatabaseUser&&) = delete;
  DatabaseUser& operator=(DatabaseUser&&) = delete;

  /// Ends it without a chance to put anything in order.
  void crash() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

}  // namespace calib::test
