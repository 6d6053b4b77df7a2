// What the tests of the uploads folder share: a real folder, child processes, and hooks in the
// system calls that make races and odd file systems happen on every run.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "uploads/upload_dir.hpp"

namespace calib::test {

namespace fs = std::filesystem;

/// `root` holds the uploads folder and, beside it, a folder that nothing may touch.
class Sandbox {
 public:
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  fs::path root;
  fs::path uploads;
  fs::path outside;

  /// Makes the directory and its parents.
  fs::path make(const fs::path& relative) const;
  /// Writes a file of `bytes` bytes below uploads, and what directories it takes.
  fs::path write(const fs::path& relative, std::size_t bytes = 10) const;
  /// Whether the two files that stand outside still do.
  [[nodiscard]] bool outside_is_untouched() const;
  /// Gives everything to the user that run_unprivileged() turns into.
  void give_away() const;
};

void write_file(const fs::path& path, const std::string& content);
std::string read_text(const fs::path& path);
/// Something has that name, be it a link to nowhere.
bool stands(const fs::path& path);
std::vector<std::string> names_in(const fs::path& directory);
/// What `du` says of the path, in bytes.
std::uint64_t du(const fs::path& path);
/// The errors as `path: number` lines, sorted, with `base` cut off the paths.
std::vector<std::string> lines(const std::vector<PathError>& errors, const fs::path& base);
std::string line(const std::string& path, int error);

/// Status of a child that could not be set up; the test is skipped then, with a warning.
inline constexpr int not_possible = 77;
/// Runs `body` in a child process; its return value is the child's exit status.
int run_child(const std::function<int()>& body);
/// The same as an ordinary user, whoever runs the tests.
int run_unprivileged(const std::function<int()>& body);
/// The same in a mount namespace of its own.
int run_with_mounts(const std::function<int()>& body);
int bind_mount(const fs::path& what, const fs::path& where, bool read_only = false);

// In a child no test framework listens: say what is wrong on stderr and fail.
#define CHILD_CHECK(condition)                                                          \
  do {                                                                                  \
    if (!(condition)) return calib::test::child_failed(__FILE__, __LINE__, #condition); \
  } while (false)
int child_failed(const char* file, int line_number, const char* condition);

/// While one lives, the system calls of this process pass by it.
struct Hooks {
  Hooks();
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  std::function<void()> before_rename;  ///< renameat2; where the tool does not call it, renameat
  std::function<void(const std::string& path, long got)> after_read;  ///< getdents64, readdir
  std::function<bool(const std::string& path)> other_mount;  ///< lies elsewhere, says statx, fstat
  std::function<void()> before_plain_rename;                 ///< renameat
  bool refuses_flags = false;                                ///< renameat2 with flags gives EINVAL
  bool renames_exclusively = false;                          ///< renameat2 was called
  int link_error = 0;                                        ///< linkat gives this error
  bool unknown_types = false;                                ///< getdents64, readdir tell no types
  bool no_mount_ids = false;                                 ///< statx tells no mounts
  std::int64_t mtime = 0;      ///< statx, fstat give this, in seconds, where it is not 0
  std::int64_t ctime = 0;      ///< the same
  int read_error = 0;          ///< getdents64, readdir give this error
  std::atomic<long> looks{0};  ///< calls of statx, fstat
};

}  // namespace calib::test
