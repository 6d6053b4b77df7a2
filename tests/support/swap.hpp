// An attacker who has the uploads folder, and swaps directories for links as fast as he can.
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace calib::test {

/// Whether the two changed places. Straight to the kernel: the attacker does not pass by the hooks.
/// Where what holds one of them is a link itself by now they stay, or the attacker would carry off
/// what the test watches.
inline bool exchange(const std::filesystem::path& one, const std::filesystem::path& other) {
  const auto holder = [](const std::filesystem::path& path) {
    return ::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  };
  const int from = holder(one);
  const int to = holder(other);
  const bool done = from >= 0 && to >= 0 &&
                    ::syscall(SYS_renameat2, from, one.filename().c_str(), to,
                              other.filename().c_str(), RENAME_EXCHANGE) == 0;
  if (from >= 0) ::close(from);
  if (to >= 0) ::close(to);
  return done;
}

/// Moves `one` to where nothing stands.
inline bool put(const std::filesystem::path& one, const std::filesystem::path& place) {
  return ::syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, place.c_str(),
                   RENAME_NOREPLACE) == 0;
}

using Swaps = std::vector<std::pair<std::filesystem::path, std::filesystem::path>>;

/// Swaps and swaps back, in turn, until it goes. How long it rests between two swaps varies, so
/// that it meets every step of the tool.
class Swapper {
 public:
  explicit Swapper(Swaps swaps) : swaps_(std::move(swaps)), thread_([this] { run(); }) {}
  ~Swapper() {
    end_ = true;
    thread_.join();
  }
  Swapper(const Swapper&) = delete;
  Swapper& operator=(const Swapper&) = delete;
  Swapper(Swapper&&) = delete;
  Swapper& operator=(Swapper&&) = delete;

  /// How many swaps came off so far.
  [[nodiscard]] int swapped() const { return swapped_; }

 private:
  void run() {
    std::minstd_rand random(1);
    const auto rest = [&] {
      for (auto calls = random() % 64; calls > 0; --calls) ::syscall(SYS_getppid);
    };
    while (!end_) {
      for (const auto& [one, other] : swaps_) {
        if (!exchange(one, other)) continue;
        rest();
        swapped_ += exchange(one, other) ? 2 : 1;
        rest();
      }
    }
  }

  Swaps swaps_;
  std::atomic<bool> end_{false};
  std::atomic<int> swapped_{0};
  std::thread thread_;  // the last one: it uses the others
};

}  // namespace calib::test
