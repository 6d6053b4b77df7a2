#include "unit/uploads/dir_fixture.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>

namespace calib::test {

namespace {

constexpr unsigned unprivileged_id = 65534;

std::atomic<Hooks*> hooks_in_use{nullptr};

std::string path_of(int fd, const char* name = "") {
  std::error_code error;
  auto path = fs::read_symlink("/proc/self/fd/" + std::to_string(fd), error).string();
  return *name == '\0' ? path : path + '/' + name;
}

}  // namespace

Hooks::Hooks() { hooks_in_use = this; }
Hooks::~Hooks() { hooks_in_use = nullptr; }

Sandbox::Sandbox() {
  auto name = (fs::temp_directory_path() / "calib-cleanup-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  root = fs::canonical(name);
  fs::permissions(root, fs::perms(0755));
  uploads = root / "uploads";
  outside = root / "outside";
  fs::create_directory(uploads);
  fs::create_directories(outside / "inner");
  write_file(outside / "sentinel", "stays");
  write_file(outside / "inner" / "sentinel", "stays");
}

Sandbox::~Sandbox() {
  // Not remove_all: it takes a descriptor for each level, and trees here may be deep or locked.
  const auto command =
      "chmod -R u+rwx '" + root.string() + "' 2>/dev/null; rm -rf '" + root.string() + "'";
  if (std::system(command.c_str()) != 0) std::fputs("sandbox not removed\n", stderr);
}

fs::path Sandbox::make(const fs::path& relative) const {
  fs::create_directories(uploads / relative);
  return uploads / relative;
}

fs::path Sandbox::write(const fs::path& relative, std::size_t bytes) const {
  fs::create_directories((uploads / relative).parent_path());
  write_file(uploads / relative, std::string(bytes, 'x'));
  return uploads / relative;
}

bool Sandbox::outside_is_untouched() const {
  return read_text(outside / "sentinel") == "stays" &&
         read_text(outside / "inner" / "sentinel") == "stays";
}

void Sandbox::give_away() const {
  if (::geteuid() != 0) return;
  const auto give = [](const fs::path& path) {
    if (::lchown(path.c_str(), unprivileged_id, unprivileged_id) != 0) {
      throw std::runtime_error("lchown");
    }
  };
  give(root);
  for (const auto& entry : fs::recursive_directory_iterator(root)) give(entry.path());
}

void write_file(const fs::path& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << content).flush()) throw std::runtime_error("cannot write " + path.string());
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool stands(const fs::path& path) { return fs::exists(fs::symlink_status(path)); }

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::uint64_t du(const fs::path& path) {
  const auto command = "du -s --block-size=1 '" + path.string() + "'";
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  std::array<char, 256> text{};
  const bool read = std::fgets(text.data(), text.size(), pipe) != nullptr;
  if (::pclose(pipe) != 0 || !read) throw std::runtime_error("du");
  return std::stoull(text.data());
}

std::string line(const std::string& path, int error) { return path + ": " + std::to_string(error); }

std::vector<std::string> lines(const std::vector<PathError>& errors, const fs::path& base) {
  const auto prefix = base.string() + '/';
  std::vector<std::string> all;
  for (const auto& [path, error] : errors) {
    const bool below = path.compare(0, prefix.size(), prefix) == 0;
    all.push_back(line(below ? path.substr(prefix.size()) : path, error.value()));
  }
  std::sort(all.begin(), all.end());
  return all;
}

int child_failed(const char* file, int line_number, const char* condition) {
  std::fprintf(stderr, "%s:%d: in the child: %s\n", file, line_number, condition);
  return 1;
}

int run_child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) {
    int status = 99;
    try {
      status = body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "in the child: %s\n", error.what());
    }
    ::_exit(status);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_unprivileged(const std::function<int()>& body) {
  return run_child([&] {
    if (::geteuid() == 0) {
      if (::setgroups(0, nullptr) != 0 || ::setgid(unprivileged_id) != 0 ||
          ::setuid(unprivileged_id) != 0) {
        return not_possible;
      }
    }
    return body();
  });
}

int run_with_mounts(const std::function<int()>& body) {
  return run_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return not_possible;
    }
    return body();
  });
}

int bind_mount(const fs::path& what, const fs::path& where, bool read_only) {
  if (::mount(what.c_str(), where.c_str(), nullptr, MS_BIND, nullptr) != 0) return errno;
  if (!read_only) return 0;
  const auto flags = MS_BIND | MS_REMOUNT | MS_RDONLY;
  return ::mount("none", where.c_str(), nullptr, flags, nullptr) == 0 ? 0 : errno;
}

}  // namespace calib::test

// The C library's functions of these names, for this program: a name defined in the program comes
// before one in a shared library.

using calib::test::hooks_in_use;
using calib::test::path_of;

extern "C" {

int renameat2(int from_parent, const char* from, int to_parent, const char* to,
              unsigned flags) noexcept {
  if (auto* hook = hooks_in_use.load()) {
    hook->renames_exclusively = true;
    if (hook->refuses_flags && flags != 0) {
      errno = EINVAL;
      return -1;
    }
    if (hook->before_rename) hook->before_rename();
  }
  return static_cast<int>(::syscall(SYS_renameat2, from_parent, from, to_parent, to, flags));
}

int renameat(int from_parent, const char* from, int to_parent, const char* to) noexcept {
  auto* hook = hooks_in_use.load();
  if (hook != nullptr && hook->before_rename && !hook->renames_exclusively) hook->before_rename();
  if (hook != nullptr && hook->before_plain_rename) hook->before_plain_rename();
  return static_cast<int>(::syscall(SYS_renameat2, from_parent, from, to_parent, to, 0));
}

int linkat(int from_parent, const char* from, int to_parent, const char* to, int flags) noexcept {
  auto* hook = hooks_in_use.load();
  if (hook != nullptr && hook->link_error != 0) {
    errno = hook->link_error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_linkat, from_parent, from, to_parent, to, flags));
}

ssize_t getdents64(int fd, void* buffer, size_t size) noexcept {
  auto* hook = hooks_in_use.load();
  if (hook != nullptr && hook->read_error != 0) {
    errno = hook->read_error;
    return -1;
  }
  const ssize_t got = ::syscall(SYS_getdents64, fd, buffer, size);
  if (hook == nullptr || got < 0) return got;
  if (hook->unknown_types) {
    for (ssize_t at = 0; at < got;) {
      auto* entry = reinterpret_cast<dirent64*>(static_cast<char*>(buffer) + at);
      entry->d_type = DT_UNKNOWN;
      at += entry->d_reclen;
    }
  }
  if (hook->after_read) hook->after_read(path_of(fd), got);
  return got;
}

int statx(int parent, const char* name, int flags, unsigned mask, struct statx* status) noexcept {
  const auto result = static_cast<int>(::syscall(SYS_statx, parent, name, flags, mask, status));
  auto* hook = hooks_in_use.load();
  if (hook == nullptr || result != 0) return result;
  ++hook->looks;
  if (hook->mtime != 0) status->stx_mtime.tv_sec = hook->mtime;
  if (hook->ctime != 0) status->stx_ctime.tv_sec = hook->ctime;
  if (hook->no_mount_ids) status->stx_mask &= ~static_cast<unsigned>(STATX_MNT_ID);
  if (hook->other_mount && parent >= 0 && hook->other_mount(path_of(parent, name))) {
    ++status->stx_mnt_id;
  }
  return result;
}

// POSIX's, of which the tool makes use where it has nothing else. A stream is filled by its first
// reading: here as well something comes between that and the first entry.

struct dirent* readdir(DIR* stream) {
  using Function = struct dirent* (*)(DIR*);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "readdir64"));
  auto* hook = hooks_in_use.load();
  if (hook == nullptr) return next(stream);
  if (hook->read_error != 0) {
    errno = hook->read_error;
    return nullptr;
  }
  const bool is_first = ::telldir(stream) == 0;
  auto* const entry = next(stream);
  if (entry != nullptr && hook->unknown_types) entry->d_type = DT_UNKNOWN;
  if (hook->after_read && (is_first || entry == nullptr)) {
    hook->after_read(path_of(::dirfd(stream)), entry == nullptr ? 0 : 1);
    errno = 0;
  }
  return entry;
}

namespace {

int looked_at(int result, int parent, const char* name, struct stat* status) {
  auto* hook = hooks_in_use.load();
  if (hook == nullptr || result != 0) return result;
  ++hook->looks;
  if (hook->mtime != 0) status->st_mtim.tv_sec = hook->mtime;
  if (hook->ctime != 0) status->st_ctim.tv_sec = hook->ctime;
  if (hook->other_mount && parent >= 0 && hook->other_mount(path_of(parent, name))) {
    ++status->st_dev;
  }
  return result;
}

}  // namespace

int fstatat(int parent, const char* name, struct stat* status, int flags) noexcept {
  const auto result = ::syscall(SYS_newfstatat, parent, name, status, flags);
  return looked_at(static_cast<int>(result), parent, name, status);
}

int fstat(int fd, struct stat* status) noexcept {
  const auto result = ::syscall(SYS_newfstatat, fd, "", status, AT_EMPTY_PATH);
  return looked_at(static_cast<int>(result), fd, "", status);
}

}  // extern "C"
