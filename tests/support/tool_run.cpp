#include "support/tool_run.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include "support/scale.hpp"

namespace calib::test {
namespace {

int unnamed_file() {
  const int file = ::memfd_create("output", MFD_CLOEXEC);
  if (file < 0) throw std::system_error(errno, std::generic_category(), "memfd_create");
  return file;
}

/// All that was written to it; it is empty then.
std::string taken_from(int file) {
  std::string text(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)), '\0');
  if (::pread(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      ::ftruncate(file, 0) != 0 || ::lseek(file, 0, SEEK_SET) != 0) {
    throw std::system_error(errno, std::generic_category(), "output");
  }
  return text;
}

/// A copy that everybody can run or load, as long as this process lives. The original may lie in a
/// folder that nobody else may enter.
const std::string& copy_for_everybody(const std::string& file) {
  static const TempDir folder;
  static std::map<std::string, std::string> copies;
  auto& copy = copies[file];
  if (!copy.empty()) return copy;
  const auto path = folder / std::to_string(copies.size());
  fs::copy_file(file, path);
  for (const auto& entry : {folder.path(), path}) {
    if (::chmod(entry.c_str(), 0755) != 0) {
      throw std::system_error(errno, std::generic_category(), entry.string());
    }
  }
  copy = path.string();
  return copy;
}

}  // namespace

Running::Running(const std::vector<std::string>& arguments, const RunOptions& options)
    : out_(unnamed_file()), err_(unnamed_file()), measures_memory_(options.measures_memory) {
  const bool becomes_nobody = options.as == As::nobody && ::geteuid() == 0;
  const auto for_it = [&](const std::string& file) {
    return becomes_nobody ? copy_for_everybody(file) : file;
  };
  std::map<std::string, std::string> variables{
      {"PATH", "/usr/bin:/bin"}, {"LC_ALL", "C"}, {"TZ", "UTC0"}};
  for (const auto& [name, value] : options.environment) variables[name] = value;
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  if (!options.interpose.empty() || options.clock_wrong_by != 0) {
    environment.push_back("LD_PRELOAD=" + for_it(INTERPOSER));
    environment.push_back("CALIB_TEST_AT=" + options.interpose);
    if (options.clock_wrong_by != 0) {
      environment.push_back(fmt::format("CALIB_TEST_CLOCK={}", options.clock_wrong_by));
    }
    // The sanitizer wants to be loaded first, but our library only wraps a few calls.
    environment.emplace_back("ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0");
  }
  std::vector<std::string> words{
      for_it(options.executable.empty() ? executable() : options.executable)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (auto& variable : environment) envp.push_back(variable.data());
  envp.push_back(nullptr);

  // With vfork(2), for tens of thousands of processes: fork(2) would copy this one's page tables
  // each time. Until exec the child uses this one's memory, so it makes system calls and nothing
  // else; and it is charged with this one's peak of it.
  pid_ = options.measures_memory ? ::fork() : ::vfork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ == 0) {
    const int in = ::open("/dev/null", O_RDONLY);
    ::dup2(in, 0);
    if (!options.stdout_file) {
      ::dup2(out_, 1);
    } else if (options.stdout_file->empty()) {
      ::close(1);
    } else {
      ::dup2(::open(options.stdout_file->c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644), 1);
    }
    ::dup2(err_, 2);
    ::alarm(options.seconds);
    if (options.own_group && ::setpgid(0, 0) != 0) ::_exit(124);
    if (options.open_files) {
      const struct rlimit limit { *options.open_files, *options.open_files };
      if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(123);
    }
    if (options.file_bytes) {
      const struct rlimit limit { *options.file_bytes, *options.file_bytes };
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(123);
    }
    if (options.directory && ::chdir(options.directory->c_str()) != 0) ::_exit(120);
    if (becomes_nobody &&
        // Not the C library's, which tell every thread of the process whose memory this is.
        (::syscall(SYS_setgid, nobody_id) != 0 || ::syscall(SYS_setuid, nobody_id) != 0)) {
      ::_exit(121);
    }
    ::execve(argv.front(), argv.data(), envp.data());
    ::_exit(122);
  }
}

Running::~Running() {
  ::close(out_);
  ::close(err_);
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Running::signal(int number) const { ::kill(pid_, number); }

bool Running::wait_until_stopped() {
  int status = 0;
  if (::waitpid(pid_, &status, WUNTRACED) != pid_) {
    throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  if (WIFSTOPPED(status)) return true;
  ended_ = status;
  return false;
}

bool Running::is_stopped() const {
  // proc(5): the state stands behind the name, which is in brackets.
  std::ifstream file(fmt::format("/proc/{}/stat", pid_));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.find(") T ") != std::string::npos;
}

Ran Running::finish() {
  if (!ended_) {
    // Only where it was stopped: SIGCONT would take away the SIGSTOP with which LeakSanitizer stops
    // a process at its end, and then waits for ever.
    if (is_stopped()) ::kill(pid_, SIGCONT);
    int status = 0;
    struct rusage usage {};
    if (::wait4(pid_, &status, 0, &usage) != pid_) {
      throw std::system_error(errno, std::generic_category(), "wait4");
    }
    ended_ = status;
    if (measures_memory_) peak_bytes_ = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }
  return outcome(*ended_);
}

Ran Running::outcome(int wait_status) {
  Ran ran;
  ran.peak_bytes = peak_bytes_;
  ran.has_exited = WIFEXITED(wait_status);
  ran.status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
  ran.out = taken_from(out_);
  ran.err = taken_from(err_);
  return ran;
}

RunOptions at(const std::string& point) {
  RunOptions options;
  options.interpose = point;
  options.seconds = 120;
  return options;
}

Ran run_tool(const std::vector<std::string>& arguments, const RunOptions& options) {
  return Running(arguments, options).finish();
}

Ran run_on(const App& app, std::vector<std::string> arguments, const RunOptions& options) {
  arguments.insert(arguments.begin(), {"--app-dir", app.root().string()});
  return run_tool(arguments, options);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

nlohmann::json without_times(nlohmann::json document) {
  for (const auto* key : {"duration_seconds", "cutoff", "disk", "database_bytes"})
    document.erase(key);
  for (const auto* list : {"sessions", "kept_sessions"}) {
    if (!document.contains(list)) continue;
    for (auto& session : document.at(list)) session.erase("age_seconds");
  }
  return document;
}

bool has_line(const std::string& text, const std::string& line) {
  const auto lines = lines_of(text);
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

}  // namespace calib::test
