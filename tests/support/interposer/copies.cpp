// The executable is loaded once for many passes, which takes longer than a small pass does. With
// CALIB_TEST_COPIES, the number of an open socket, it stands before its main(); for each message
// a copy of the process (fork) goes on from there as if it had just been loaded, and how it ended
// is the answer (see every_call/prepared_tool.hpp).
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "support/interposer/rules.hpp"

using namespace calib::test::interposer;

namespace {

using Main = int (*)(int, char**, char**);
Main main_of_executable = nullptr;

std::string word_of(std::string_view& message) {
  const auto end = message.find('\n');
  std::string word(message.substr(0, end));
  message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
  return word;
}

/// Makes of a copy what a process would be that was begun with this message in its environment.
void become(std::string_view message) {
  ::unsetenv("CALIB_TEST_COPIES");
  ::alarm(static_cast<unsigned>(std::atoi(word_of(message).c_str())));
  ::setenv("CALIB_TEST_AT", word_of(message).c_str(), 1);
  const auto log = word_of(message);
  if (!log.empty()) ::setenv("CALIB_TEST_LOG", log.c_str(), 1);
  read_rules();
  start_clock();
}

/// Returns in each copy.
void make_copies(int socket) {
  std::array<char, 4096> message{};
  for (;;) {
    // Past the rules, which are for the passes.
    const auto size = ::syscall(SYS_read, socket, message.data(), message.size());
    if (size <= 0) ::_exit(0);
    if (static_cast<std::size_t>(size) == message.size()) ::abort();  // cut short
    const pid_t copy = ::fork();
    if (copy == 0) {
      ::syscall(SYS_close, socket);
      return become({message.data(), static_cast<std::size_t>(size)});
    }
    int status = 0;
    if (copy < 0 || ::waitpid(copy, &status, WUNTRACED) != copy) ::abort();
    // Nobody would let it go on, and no alarm reaches it.
    if (WIFSTOPPED(status)) {
      ::kill(copy, SIGKILL);
      ::abort();
    }
    if (::syscall(SYS_write, socket, &status, sizeof(status)) != sizeof(status)) ::abort();
  }
}

int main_of_copies(int count, char** arguments, char** environment) {
  if (const char* socket = std::getenv("CALIB_TEST_COPIES")) make_copies(std::atoi(socket));
  return main_of_executable(count, arguments, environment);
}

}  // namespace

extern "C" int __libc_start_main(Main main, int count, char** arguments, void (*init)(),
                                 void (*fini)(), void (*loader_fini)(), void* stack_end) {
  main_of_executable = main;
  using Start = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);
  return next<Start>("__libc_start_main")(main_of_copies, count, arguments, init, fini, loader_fini,
                                          stack_end);
}
