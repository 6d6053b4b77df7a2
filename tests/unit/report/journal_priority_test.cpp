#include "report/journal_priority.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "support/catch.hpp"

using calib::Priorities;
using calib::priorities_for;
using calib::Priority;
using calib::with_priority;

namespace {

/// A connection such as the journal's: a stream that nobody else has.
class Pipe {
 public:
  Pipe() { REQUIRE(::pipe(ends_.data()) == 0); }
  ~Pipe() {
    for (const int end : ends_) ::close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  Pipe(Pipe&&) = delete;
  Pipe& operator=(Pipe&&) = delete;
  [[nodiscard]] int end() const { return ends_[1]; }
  /// `device:inode`, as systemd writes it.
  [[nodiscard]] std::string name() const {
    struct stat status {};
    REQUIRE(::fstat(end(), &status) == 0);
    return fmt::format("{}:{}", status.st_dev, status.st_ino);
  }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace

TEST_CASE("only the very stream that JOURNAL_STREAM names gets priorities") {
  const Pipe journal;
  const Pipe other;
  CHECK(priorities_for(journal.end(), journal.name().c_str()) == Priorities::shown);
  CHECK(priorities_for(other.end(), journal.name().c_str()) == Priorities::left_out);
  CHECK(priorities_for(journal.end(), nullptr) == Priorities::left_out);
  CHECK(priorities_for(-1, journal.name().c_str()) == Priorities::left_out);
}

TEST_CASE("a JOURNAL_STREAM that is not device:inode names nothing") {
  const Pipe journal;
  const auto name = journal.name();
  const auto inode = name.substr(name.find(':') + 1);
  for (const auto& wrong : {std::string(), std::string(":"), name + ":", name + "0", " " + name,
                            inode, ":" + inode, "0:" + inode}) {
    CAPTURE(wrong);
    CHECK(priorities_for(journal.end(), wrong.c_str()) == Priorities::left_out);
  }
}

TEST_CASE("each line that says something has its priority") {
  CHECK(with_priority("a\nb\n", Priority::information) == "<6>a\n<6>b\n");
  CHECK(with_priority("a\n\nb", Priority::error) == "<3>a\n\n<3>b");
  CHECK(with_priority("\n", Priority::warning) == "\n");
  CHECK(with_priority("", Priority::warning).empty());
}
