#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "report/report.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"
#include "unit/report/report_sample.hpp"

namespace fs = std::filesystem;
using calib::metrics_text;
using calib::Report;
using calib::test::failed_report;
using calib::test::sample_report;

namespace {

using Folder = calib::test::TempDir;

long entries_in(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

/// Root may read everything; where the tests run as root they are somebody else for a while, who
/// owns `folder`.
class OrdinaryUser {
 public:
  explicit OrdinaryUser(const fs::path& folder) {
    if (!was_root_) return;
    REQUIRE(::chown(folder.c_str(), nobody, static_cast<gid_t>(-1)) == 0);
    REQUIRE(::seteuid(nobody) == 0);
  }
  OrdinaryUser(const OrdinaryUser&) = delete;
  OrdinaryUser& operator=(const OrdinaryUser&) = delete;
  OrdinaryUser(OrdinaryUser&&) = delete;
  OrdinaryUser& operator=(OrdinaryUser&&) = delete;
  ~OrdinaryUser() {
    if (was_root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  static constexpr uid_t nobody = 65534;
  const bool was_root_ = ::geteuid() == 0;
};

std::string content(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void fill(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

/// The error that writing to `file` throws; its text must name the file.
int error_of_writing(const Report& report, const fs::path& file) {
  try {
    calib::write_metrics(report, file);
  } catch (const std::system_error& error) {
    CHECK_THAT(error.what(), Catch::Matchers::ContainsSubstring(file.string()));
    return error.code().value();
  }
  return 0;
}

}  // namespace

TEST_CASE("the file holds the metrics, for everybody to read, and nothing else is left") {
  const Folder folder;
  const fs::path file = folder / "calib.prom";
  const mode_t before = ::umask(077);
  calib::write_metrics(sample_report(), file);
  ::umask(before);
  CHECK(content(file) == metrics_text(sample_report(), ""));
  CHECK(fs::status(file).permissions() == static_cast<fs::perms>(0644));
  CHECK(entries_in(folder.path()) == 1);

  Report later = failed_report();
  later.started += std::chrono::hours{1};
  calib::write_metrics(later, file);
  CHECK(content(file) == metrics_text(later, metrics_text(sample_report(), "")));
  CHECK_THAT(content(file),
             Catch::Matchers::ContainsSubstring(
                 "\ncalib_cleanup_last_success_timestamp_seconds{uploads=\"/srv/app/uploads\"} "
                 "1760443201.500000\n"));
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("the file is replaced, not written over") {
  const Folder folder;
  const auto old = metrics_text(failed_report(), "");
  fill(folder / "calib.prom", old);
  fs::create_hard_link(folder / "calib.prom", folder / "reader");
  calib::write_metrics(sample_report(), folder / "calib.prom");
  CHECK(content(folder / "reader") == old);
  CHECK(content(folder / "calib.prom") == metrics_text(sample_report(), ""));
}

TEST_CASE("a file that is none of ours is not replaced, and stays as it is") {
  const Folder folder;
  fill(folder / "calibration.db", "SQLite format 3");
  CHECK(error_of_writing(sample_report(), folder / "calibration.db") == EEXIST);
  CHECK(error_of_writing(failed_report(), folder / "calibration.db") == EEXIST);
  CHECK(content(folder / "calibration.db") == "SQLite format 3");
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("a plain name is a file in the working directory") {
  const Folder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder / "");
  const int error = error_of_writing(sample_report(), "calib.prom");
  fs::current_path(before);
  CHECK(error == 0);
  CHECK(fs::exists(folder / "calib.prom"));
}

TEST_CASE("the longest name that a file can have is long enough") {
  const Folder folder;
  const std::string name = std::string(250, 'x').append(".prom");
  CHECK(error_of_writing(sample_report(), folder / name) == 0);
  CHECK(fs::exists(folder / name));
}

TEST_CASE("what is no regular file is not replaced") {
  const Folder folder;
  const Report report = GENERATE(sample_report(), failed_report());
  const fs::path file = folder / "calib.prom";

  SECTION("directory") {
    fs::create_directory(file);
    CHECK(error_of_writing(report, file) == EISDIR);
    CHECK(fs::is_directory(file));
  }
  SECTION("link to a file") {
    fill(folder / "other", "kept");
    fs::create_symlink("other", file);
    CHECK(error_of_writing(report, file) == EINVAL);
    CHECK(fs::is_symlink(file));
    CHECK(content(folder / "other") == "kept");
  }
  SECTION("dangling link") {
    fs::create_symlink("nothing", file);
    CHECK(error_of_writing(report, file) == EINVAL);
    CHECK_FALSE(fs::exists(folder / "nothing"));
  }
  SECTION("FIFO") {
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
    CHECK(error_of_writing(report, file) == EINVAL);
    CHECK(fs::is_fifo(file));
  }
  CHECK_FALSE(fs::exists(folder / ".calib-cleanup-metrics.XXXXXX"));
}

TEST_CASE("a file that cannot be written is an error that names it") {
  const Folder folder;
  fill(folder / "file", "");
  CHECK(error_of_writing(sample_report(), folder / "missing/calib.prom") == ENOENT);
  CHECK(error_of_writing(sample_report(), folder / "file/calib.prom") == ENOTDIR);
  CHECK(error_of_writing(sample_report(), folder / "file/") == ENOTDIR);
  CHECK(error_of_writing(sample_report(), "") == ENOENT);
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("a name that rename refuses leaves no temporary file") {
  const Folder folder;
  // Where there is nothing yet, only the rename finds that this cannot be a file.
  const fs::path file = folder / "missing/";
  CHECK(error_of_writing(sample_report(), file) != 0);
  CHECK(error_of_writing(sample_report(), folder / std::string(256, 'x')) == ENAMETOOLONG);
  CHECK(entries_in(folder.path()) == 0);
}

TEST_CASE("a disk that is full leaves the old metrics and no temporary file") {
  const Folder folder;
  const fs::path file = folder / "calib.prom";
  calib::write_metrics(sample_report(), file);

  // A limit on file sizes does it, after a write that is cut short.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{100, before.rlim_max};
  auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(handler != SIG_ERR);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const int error = error_of_writing(failed_report(), file);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  REQUIRE(::signal(SIGXFSZ, handler) != SIG_ERR);

  CHECK(error == EFBIG);
  CHECK(content(file) == metrics_text(sample_report(), ""));
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("metrics that cannot be read are replaced all the same, and the loss is reported") {
  const Folder folder;
  const fs::path file = folder / "calib.prom";
  fill(file, "x");
  fs::permissions(file, fs::perms::none);
  const OrdinaryUser ordinary(folder / "");
  CHECK(error_of_writing(failed_report(), file) == EACCES);
  CHECK(content(file) == metrics_text(failed_report(), ""));

  // A pass that went well has no need to read them.
  fs::permissions(file, fs::perms::none);
  CHECK(error_of_writing(sample_report(), file) == 0);
}
