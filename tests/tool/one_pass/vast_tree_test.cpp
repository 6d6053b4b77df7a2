// A directory of very many files, and one of very many levels, in one pass that may open only a few
// files.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "support/catch.hpp"
#include "support/in_memory.hpp"
#include "support/scale.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

const int files = scaled(200'000);
const int levels = scaled(5'000);

/// What is opened in a directory, closed with this.
class OpenDirectory {
 public:
  explicit OpenDirectory(int parent, const char* name)
      : fd_(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), name);
  }
  ~OpenDirectory() { ::close(fd_); }
  OpenDirectory(const OpenDirectory&) = delete;
  OpenDirectory& operator=(const OpenDirectory&) = delete;
  OpenDirectory(OpenDirectory&&) = delete;
  OpenDirectory& operator=(OpenDirectory&&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

void make_wide(const fs::path& top) {
  const OpenDirectory directory(AT_FDCWD, top.c_str());
  // Links to one file are made faster than files, and are as many entries. A file has room for some
  // 65,000 of them.
  std::string target;
  for (int i = 0; i < files; ++i) {
    auto name = fmt::format("{:06}.png", i);
    if (i % 30'000 == 0) {
      ::close(::openat(directory.get(), name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      target = std::move(name);
    } else if (::linkat(directory.get(), target.c_str(), directory.get(), name.c_str(), 0) != 0) {
      throw std::system_error(errno, std::generic_category(), name);
    }
  }
}

/// By descriptors, for no path is that long: each level is put around those there are.
void make_deep(const fs::path& top) {
  const OpenDirectory directory(AT_FDCWD, top.c_str());
  for (int level = 1; level < levels; ++level) {
    if (::mkdirat(directory.get(), "around", 0700) != 0 ||
        (level > 1 && ::renameat(directory.get(), "level", directory.get(), "around/level") != 0) ||
        ::renameat(directory.get(), "around", directory.get(), "level") != 0) {
      throw std::system_error(errno, std::generic_category(), "a level");
    }
  }
}

}  // namespace

TEST_CASE("a tree of very many levels and a directory of very many files go, with few descriptors",
          "[tool][vast][threads]") {
  const InMemory in_memory;
  App app;
  app.add_session(1);
  const auto wide = app.add_session(48);
  const auto deep = app.add_session(48);
  make_wide(app.uploads() / wide);
  make_deep(app.uploads() / deep);
  // The limit is the tool's: what this test has open it has already.
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit few{40, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);

  const auto dry = run_on(app, {"--dry-run", "--json"});
  const auto ran = run_on(app, {"--json"});

  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  for (const auto* one : {&dry, &ran}) {
    CHECK(one->status == 0);
    CHECK(one->err.empty());
    REQUIRE(one->json().at("sessions").size() == 2);
    for (const auto& session : one->json().at("sessions")) {
      CHECK(session.at("files") == (session.at("id") == wide ? files + 3 : 3));
    }
  }
  CHECK(dry.json().at("freed_bytes") == ran.json().at("freed_bytes"));
  CHECK(app.entries() == app.session_ids());
  CHECK(app.entries().size() == 1);
}
