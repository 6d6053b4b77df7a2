// A file server that does not answer, mounted in the uploads folder: nobody waits for it.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>

#include "support/catch.hpp"
#include "support/diagnostics.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// A FUSE file system that says that it is there, and answers nothing else. When this goes, whoever
/// waits for it gets an error.
class HungServer {
 public:
  /// Whether it is mounted there.
  [[nodiscard]] bool mount(const fs::path& where) {
    device_ = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device_ < 0) return false;
    const auto root = fs::is_directory(where) ? 040000 : 0100000;
    const auto data =
        fmt::format("fd={},rootmode={:o},user_id=0,group_id=0,allow_other", device_, root);
    if (::mount("hung", where.c_str(), "fuse", MS_NOSUID | MS_NODEV, data.c_str()) != 0) {
      return false;
    }
    // The first question is for the protocol's version.
    std::array<char, 65536> question{};
    if (::read(device_, question.data(), question.size()) < 0) return false;
    fuse_in_header asked{};
    std::memcpy(&asked, question.data(), sizeof asked);
    struct {
      fuse_out_header header;
      fuse_init_out body;
    } answer{};
    answer.header = {sizeof answer, 0, asked.unique};
    answer.body.major = FUSE_KERNEL_VERSION;
    answer.body.minor = FUSE_KERNEL_MINOR_VERSION;
    answer.body.max_write = 4096;
    return ::write(device_, &answer, sizeof answer) == sizeof answer;
  }

  /// Whether anybody asks it something, within so many milliseconds (-1: waits until then). The
  /// question is not taken: whoever waits for the answer to one that was cannot be killed.
  [[nodiscard]] bool is_asked(int milliseconds) const {
    struct pollfd poll {
      device_, POLLIN, 0
    };
    return ::poll(&poll, 1, milliseconds) == 1;
  }

  HungServer() = default;
  ~HungServer() {
    if (device_ >= 0) ::close(device_);
  }
  HungServer(const HungServer&) = delete;
  HungServer& operator=(const HungServer&) = delete;
  HungServer(HungServer&&) = delete;
  HungServer& operator=(HungServer&&) = delete;

 private:
  int device_ = -1;
};

/// Runs `body` where such a file system is mounted. A thread has a mount namespace of its own for
/// as long as it lives.
void with_hung_mount(const fs::path& where, const std::function<void(const HungServer&)>& body) {
  bool done = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return;
    }
    HungServer server;
    if (!server.mount(where)) return;
    body(server);
    done = true;
  }).join();
  if (!done) WARN("skipped: mounting FUSE file systems needs root and /dev/fuse");
}

/// Ends a run that hangs.
RunOptions patient(const std::string& interpose = "") {
  RunOptions options;
  options.seconds = 60;
  options.interpose = interpose;
  return options;
}

}  // namespace

TEST_CASE("a mount that does not answer keeps nobody waiting", "[tool][files][mounts][linux]") {
  App app;
  const auto id = app.add_session(48);
  const auto kept = app.add_session(2);
  // Where it is, and whose: nobody's, or the session's that goes or stays.
  const auto [owner, name] = GENERATE(table<std::string, std::string>({{"", "remote"},
                                                                       {"", "image.png"},
                                                                       {"orphan", "a/remote"},
                                                                       {"due", "remote"},
                                                                       {"kept", "remote"},
                                                                       {"kept", "image_001.png"}}));
  const auto where = app.uploads() / (owner == "due" ? id : owner == "kept" ? kept : owner) / name;
  // Without openat2(2), too.
  const auto fault = GENERATE(as<std::string>{}, "", "openat2:*:38", "openat2:*:1");
  const auto arguments =
      GENERATE(as<std::vector<std::string>>{}, std::vector<std::string>{"--dry-run"},
               std::vector<std::string>{"--json"});
  CAPTURE(where, fault, arguments);
  fs::create_directories(where.parent_path());
  if (where.extension() == ".png") {
    std::ofstream(where).flush();
  } else {
    fs::create_directory(where);
  }

  with_hung_mount(where, [&](const HungServer& server) {
    const auto ran = run_on(app, arguments, patient(fault));
    INFO(ran.err);
    CHECK(ran.has_exited);
    CHECK_FALSE(server.is_asked(0));
    const bool is_in_the_way = owner != "kept" && name != "image.png";
    CHECK(ran.status == (is_in_the_way ? 1 : 0));
    if (is_in_the_way) CHECK(is_one_error(ran, {"something is mounted there"}));
  });
}

TEST_CASE("a claimed link that leads to a server which does not answer is status 3, and no wait",
          "[tool][files][mounts][links][linux]") {
  App app;
  const auto due = app.add_session(48);
  const auto kept = app.add_session(2);
  const auto where = app.root() / "server";
  const auto away = app.root() / "away";
  fs::create_directory(where);
  fs::rename(app.uploads() / kept, away);
  fs::create_symlink(where / "deeper", app.uploads() / kept);
  const auto arguments =
      GENERATE(as<std::vector<std::string>>{}, std::vector<std::string>{"--dry-run"},
               std::vector<std::string>{"--json"});
  CAPTURE(arguments);
  with_hung_mount(where, [&](const HungServer&) {
    auto options = patient();
    // A search for leaks would wait for the thread that waits for the server.
    options.environment["ASAN_OPTIONS"] = "detect_leaks=0";
    const auto ran = run_on(app, arguments, options);
    INFO(ran.err);
    CHECK(ran.status == 3);
    CHECK(is_one_error(ran, {app.uploads().string(), "where " + kept + " leads cannot be told",
                             "timed out", "see to the file server"}));
  });
  CHECK(app.has_session(due));
}

TEST_CASE("a second signal ends a pass that waits for a file server",
          "[tool][files][signals][threads][linux]") {
  App app;
  app.add_session(48);
  with_hung_mount(app.uploads(), [&](const HungServer& server) {
    Running running({"--app-dir", app.root().string(), "--dry-run"}, patient());
    REQUIRE(server.is_asked(-1));
    // Two different ones: of two alike that come at once there is but one.
    running.signal(SIGTERM);
    running.signal(SIGINT);
    const auto ran = running.finish();
    CHECK((ran.status == 128 + SIGTERM || ran.status == 128 + SIGINT));
  });
}
