#include "postgresql/postgresql_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>
#include <utility>

#include "support/in_memory.hpp"
#include "support/pidfd.hpp"

namespace calib::test {
namespace {

namespace fs = std::filesystem;

constexpr uid_t nobody = 65534;

class Descriptor {
 public:
  Descriptor(int descriptor, const char* what) : descriptor_(descriptor) {
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
  }
  ~Descriptor() { ::close(descriptor_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// Starts a program of PostgreSQL, in a session of its own so that no Ctrl-C on the terminal gets
/// to it; the kernel ends it when the caller ends.
pid_t start_program(const std::string& name, const std::vector<std::string>& arguments,
                    const fs::path& log, const fs::path& directory) {
  std::vector<std::string> words{POSTGRESQL_BIN "/" + name};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<std::string, 3> variables{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC0"};
  std::array<char*, 4> envp{variables[0].data(), variables[1].data(), variables[2].data(), nullptr};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid > 0) return pid;
  // Between fork and exec only what is safe there.
  ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
  ::dup2(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644), STDOUT_FILENO);
  ::dup2(STDOUT_FILENO, STDERR_FILENO);
  ::setsid();
  if (::geteuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) ::_exit(121);
  // The kernel forgets this when the user changes, so it comes after.
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (::getppid() != parent || ::chdir(directory.c_str()) != 0) ::_exit(120);
  ::execve(argv.front(), argv.data(), envp.data());
  ::_exit(122);
}

/// Waits for the end of `owner`, then for that of the server, and removes the folder. Nobody's
/// child: who ends a test that hangs ends all that descends from it.
void start_remover(const fs::path& folder) {
  const Descriptor owner(pidfd_of(::getpid()), "pidfd_open");
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid > 0) {
    ::waitpid(pid, nullptr, 0);
    return;
  }
  if (::fork() != 0) ::_exit(0);
  ::setsid();
  // Whoever reads what the tests print waits until nobody can print any more.
  const int nowhere = ::open("/dev/null", O_RDWR);
  for (int i = 0; i < 3; ++i) ::dup2(nowhere, i);
  const int owner_only = ::dup2(owner.get(), 3);
  ::close_range(4, ~0U, 0);
  wait_for_end(owner_only);
  try {
    pid_t server = 0;
    if (std::ifstream(folder / "data" / "postmaster.pid") >> server) {
      ::kill(server, SIGQUIT);
      wait_for_end(Descriptor(pidfd_of(server), "pidfd_open").get());
    }
  } catch (const std::exception&) {  // it has ended
  }
  std::error_code ignored;  // there is nobody to tell
  fs::remove_all(folder, ignored);
  ::_exit(0);
}

std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void own(const fs::path& path) {
  if (::geteuid() == 0 && ::chown(path.c_str(), nobody, nobody) != 0) {
    throw std::system_error(errno, std::generic_category(), path.string());
  }
}

}  // namespace

PostgresqlServer::PostgresqlServer(std::vector<std::string> settings)
    : folder_(fast_folder()), settings_(std::move(settings)) {
  start_remover(folder());
  ::chmod(folder().c_str(), 0755);  // others connect, too
  own(folder());
  const pid_t made = start_program(
      "initdb",
      {"--pgdata=" + data().string(), std::string("--username=") + postgresql_superuser,
       "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"},
      folder() / "log", folder());
  int status = 0;
  if (::waitpid(made, &status, 0) != made || status != 0) throw std::runtime_error(log());
  std::ofstream(data() / "pg_hba.conf")
      << "local all " << postgresql_locked_role << " scram-sha-256\nlocal all all trust\n";
  start();
}

PostgresqlServer::~PostgresqlServer() { stop(SIGINT); }

std::string PostgresqlServer::log() const { return contents(folder() / "log"); }

bool PostgresqlServer::is_ready() const {
  // Line 1 is its pid, line 8 how far it has come.
  std::ifstream file(data() / "postmaster.pid");
  std::string line;
  for (int i = 1; std::getline(file, line); ++i) {
    if (i == 1 && line != std::to_string(pid_)) return false;
    if (i == 8) return line.starts_with("ready");
  }
  return false;
}

void PostgresqlServer::start() {
  const Descriptor changes(::inotify_init1(IN_CLOEXEC), "inotify_init1");
  if (::inotify_add_watch(changes.get(), data().c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
    throw std::system_error(errno, std::generic_category(), data().string());
  }
  std::vector<std::string> arguments{"-D", data().string(), "-k", folder().string()};
  std::vector<std::string> settings{
      "listen_addresses=", "fsync=off", "full_page_writes=off", "shared_buffers=32MB",
      "max_wal_senders=0", "wal_level=minimal", "max_connections=40", "autovacuum=off", "jit=off",
      // A server that is to die has been seen to wait that long (a minute, by default) for somebody
      // who has connected and says nothing.
      "authentication_timeout=2s"};
  settings.insert(settings.end(), settings_.begin(), settings_.end());
  for (const auto& setting : settings) arguments.insert(arguments.end(), {"-c", setting});
  pid_ = start_program("postgres", arguments, folder() / "log", folder());
  const Descriptor end(pidfd_of(pid_), "pidfd_open");
  while (!is_ready()) {
    std::array<struct pollfd, 2> news{{{changes.get(), POLLIN, 0}, {end.get(), POLLIN, 0}}};
    if (::poll(news.data(), news.size(), -1) < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    if ((news[1].revents & POLLIN) != 0) {
      ::waitpid(std::exchange(pid_, -1), nullptr, 0);
      throw std::runtime_error(log());
    }
    std::array<char, 4096> events{};
    if ((news[0].revents & POLLIN) != 0 && ::read(changes.get(), events.data(), 4096) < 0) {
      throw std::system_error(errno, std::generic_category(), "inotify");
    }
  }
}

void PostgresqlServer::crash() { stop(SIGQUIT); }

void PostgresqlServer::stop(int signal) {
  if (pid_ < 0) return;
  ::kill(pid_, signal);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

}  // namespace calib::test
