#include "base/parallel.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <system_error>

#include "base/joined_thread.hpp"
#include "base/system.hpp"

namespace calib {
namespace {

// A walk has three directories open at most; the rest is for the database, the folder and what was
// open when the process began.
constexpr rlim_t directories_of_a_walk = 3;
constexpr rlim_t files_of_the_rest = 20;

}  // namespace

std::optional<std::size_t> Stretches::take(unsigned worker) {
  auto& own = stretches_[worker];
  if (own.size() == 0) {
    auto& longest =
        *std::max_element(stretches_.begin(), stretches_.end(),
                          [](const auto& a, const auto& b) { return a.size() < b.size(); });
    if (longest.size() == 0) return std::nullopt;
    own = {longest.begin + longest.size() / 2, longest.end};
    longest.end = own.begin;
  }
  return own.begin++;
}

void Stretches::clear() { stretches_.assign(stretches_.size(), {}); }

bool Stretches::empty() const {
  return std::all_of(stretches_.begin(), stretches_.end(),
                     [](const auto& stretch) { return stretch.size() == 0; });
}

/// One list being worked on.
class Workers::Shift {
 public:
  Shift(Pace& pace, const StopFlag& stop, std::size_t count, const Work& work)
      : pace_(pace), stop_(stop), work_(work), stretches_(count, pace.most()) {
    most_ = std::min<std::size_t>(count, pace.most());
    threads_.reserve(most_);
  }

  void run() {
    pace_.start(Clock::now());
    be_worker(0);
    // Nobody starts a thread any more: there is no work left.
    threads_.clear();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  void be_worker(unsigned number) {
    std::unique_lock lock(mutex_);
    call_for_help();
    while (true) {
      changed_.wait(lock, [&] { return number < pace_.workers() || stretches_.empty(); });
      if (stop_.requested()) stretches_.clear();
      const auto piece = stretches_.take(number);
      if (!piece) break;
      lock.unlock();
      const auto units = do_piece(*piece);
      lock.lock();
      const auto before = pace_.workers();
      // A rate over the time in which nothing was done is none.
      if (watch_.was_suspended()) {
        pace_.forget(Clock::now());
      } else {
        pace_.done(units, Clock::now());
      }
      if (pace_.workers() > before) call_for_help();
    }
    changed_.notify_all();
  }

  std::uint64_t do_piece(std::size_t piece) {
    try {
      return work_(piece);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stretches_.clear();
      return 0;
    }
  }

  /// Wakes the workers there are, and starts those that are missing. With the mutex held.
  void call_for_help() {
    changed_.notify_all();
    try {
      while (!stretches_.empty() &&
             threads_.size() + 1 < std::min<std::size_t>(most_, pace_.workers())) {
        const auto number = static_cast<unsigned>(threads_.size() + 1);
        threads_.emplace_back([this, number] { be_worker(number); });
      }
    } catch (const std::system_error&) {
      // The system gives no more threads: those there are do it, if more slowly.
      most_ = threads_.size() + 1;
    }
  }

  Pace& pace_;
  const StopFlag& stop_;
  const Work& work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Stretches stretches_;
  std::exception_ptr failure_;
  std::size_t most_ = 0;  ///< workers that there can be
  SuspensionWatch watch_;
  /// Without the caller's. The last member, for it is joined first.
  std::vector<JoinedThread> threads_;
};

unsigned jobs_that_fit(unsigned wanted) {
  const rlim_t files_of_a_walk = directories_of_a_walk + system::DirReader::own_descriptors;
  struct rlimit files {};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted;
  const auto fitting = files.rlim_cur > files_of_the_rest + files_of_a_walk
                           ? (files.rlim_cur - files_of_the_rest) / files_of_a_walk
                           : 1;
  const auto most = wanted > 0 ? wanted : Pace(0).most();
  return fitting < most ? static_cast<unsigned>(fitting) : wanted;
}

void Workers::run(std::size_t count, const Work& work) {
  if (count > 0) Shift(pace_, stop_, count, work).run();
}

}  // namespace calib
