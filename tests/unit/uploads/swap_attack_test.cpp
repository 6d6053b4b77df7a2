// Directories and links change places all the time while directories are measured, moved aside,
// given back and purged: nothing outside is as much as opened.

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "support/catch.hpp"
#include "support/scale.hpp"
#include "support/swap.hpp"
#include "support/watch.hpp"
#include "unit/uploads/dir_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

const int swaps_wanted = scaled(100'000);

bool is_real_directory(const fs::path& path) { return fs::is_directory(fs::symlink_status(path)); }

/// What tells whether a file was written to, linked, renamed or replaced.
std::string look_at(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return "gone";
  return std::to_string(status.st_ino) + ' ' + std::to_string(status.st_nlink) + ' ' +
         std::to_string(status.st_mtim.tv_sec) + '.' + std::to_string(status.st_mtim.tv_nsec) +
         ' ' + std::to_string(status.st_ctim.tv_sec) + '.' +
         std::to_string(status.st_ctim.tv_nsec) + ' ' +
         (S_ISREG(status.st_mode) ? read_text(path) : "");
}

/// Puts what the attacker has taken or the tool removed back into its place. Built where he does
/// not come, so that nothing is written through a link.
void set_the_table(const Sandbox& box, const StopFlag& stop, const UploadDir& folder,
                   const std::vector<fs::path>& lures) {
  HardLinks links;
  std::error_code taken;
  for (const auto& lure : lures) {
    if (is_real_directory(lure)) static_cast<void>(folder.purge(lure.filename(), links, stop));
    fs::create_symlink(lure == lures.front() ? box.outside : box.outside / "inner", lure, taken);
  }
  for (const auto* name : {"session", ".calib-cleanup.session"}) {
    if (::unlink((box.uploads / name).c_str()) != 0 && errno == EISDIR) return;
  }
  box.write("built/sub/deep/image");
  box.write("built/sub/image");
  box.write("built/image");
  if (!put(box.uploads / "built", box.uploads / "session")) fs::remove_all(box.uploads / "built");
}

}  // namespace

TEST_CASE("attack: directories and links change places all the time") {
  const Sandbox box;
  const auto session = box.uploads / "session";
  const auto staged = box.uploads / ".calib-cleanup.session";
  const std::vector<fs::path> lures{box.uploads / "lure", box.uploads / "sub lure",
                                    box.uploads / "deep lure"};
  const Swaps swaps{
      {session, lures[0]}, {session / "sub", lures[1]}, {session / "sub" / "deep", lures[2]},
      {staged, lures[0]},  {staged / "sub", lures[1]},  {staged / "sub" / "deep", lures[2]}};
  const std::vector<fs::path> guarded{box.outside, box.outside / "inner", box.outside / "sentinel",
                                      box.outside / "inner" / "sentinel"};
  std::vector<std::string> before;
  for (const auto& path : guarded) before.push_back(look_at(path));

  const UploadDir folder(box.uploads);
  const StopFlag stop;
  HardLinks links;
  const Watch watch({box.outside, box.outside / "inner"});
  auto attacker = std::make_unique<Swapper>(swaps);
  // A fight: it goes on until both sides have won at times.
  int staged_directories = 0;
  int refused = 0;
  for (int round = 0; attacker->swapped() < swaps_wanted || staged_directories == 0 || refused == 0;
       ++round) {
    set_the_table(box, stop, folder, lures);
    static_cast<void>(folder.measure("session", Fate::goes, links, stop));
    const auto error = folder.stage("session");
    if (error == std::errc::not_a_directory || error.value() == ESTALE) ++refused;
    if (!error) ++staged_directories;
    static_cast<void>(folder.measure(".calib-cleanup.session", Fate::goes, links, stop));
    if (round % 4 == 0) static_cast<void>(folder.restore("session"));
    static_cast<void>(folder.purge(".calib-cleanup.session", links, stop));
    static_cast<void>(folder.purge("session", links, stop));
  }
  attacker.reset();

  CHECK_FALSE(watch.saw_something());
  for (std::size_t i = 0; i < guarded.size(); ++i) CHECK(look_at(guarded[i]) == before[i]);
  CHECK(watch.saw_something());  // the looks just now: it does see
  CHECK(names_in(box.outside) == std::vector<std::string>{"inner", "sentinel"});
}
