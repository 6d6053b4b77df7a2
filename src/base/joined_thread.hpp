// Threads that are waited for where they go out of scope: what std::jthread does, which Apple's
// library does not have.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace calib {

class JoinedThread {
 public:
  template <typename Work>
  explicit JoinedThread(Work work) : thread_(std::move(work)) {}
  JoinedThread(JoinedThread&&) = default;
  JoinedThread& operator=(JoinedThread&&) = delete;
  JoinedThread(const JoinedThread&) = delete;
  JoinedThread& operator=(const JoinedThread&) = delete;
  ~JoinedThread() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

/// What a thread does between two pieces of its work, until it is to end.
class Pause {
 public:
  /// Lets `time` go by. False where the thread is to end.
  bool wait(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, time, [&] { return ended_; });
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
};

/// One that is told to end first.
class PausingThread {
 public:
  /// `work` is called with the Pause, and comes back soon after that returns false.
  template <typename Work>
  explicit PausingThread(Work work) : thread_([this, work] { work(pause_); }) {}
  PausingThread(PausingThread&&) = delete;
  PausingThread& operator=(PausingThread&&) = delete;
  PausingThread(const PausingThread&) = delete;
  PausingThread& operator=(const PausingThread&) = delete;
  ~PausingThread() { pause_.end(); }

 private:
  Pause pause_;
  JoinedThread thread_;
};

}  // namespace calib
