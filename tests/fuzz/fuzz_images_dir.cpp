// Any text as an images_dir. What comes out of it is the name of one entry of the uploads folder,
// the one that the file system would find there; and whoever claims it protects it.
#include <algorithm>
#include <filesystem>

#include "base/dir_io.hpp"
#include "base/text.hpp"
#include "fuzz/fuzz.hpp"
#include "plan/plan.hpp"
#include "webapp/images_dir.hpp"

namespace {

using namespace calib;
using namespace calib::test;
namespace fs = std::filesystem;

const FolderSpellings& folder() {
  static const FolderSpellings spellings("/srv/uploads", "/mnt/disk/pictures", "/srv");
  return spellings;
}

bool has_way_up(const fs::path& path) {
  return std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

/// Where the path leads, by the standard library, from the app's folder.
fs::path place_of(const std::string& text) {
  auto place = (fs::path("/srv") / text).lexically_normal();
  if (!place.has_filename()) place = place.parent_path();
  return place;
}

bool may_be_a_directory(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name.front() != '.' && name != "lost+found";
}

void check_name(const std::string& text, const std::optional<std::string>& name) {
  const bool odd = text.find('\0') != std::string::npos || has_way_up(text);
  if (odd) {
    require(!name, "no NUL and no way up is ever taken: " + text);
    return;
  }
  const auto place = place_of(text);
  const auto parent = place.parent_path();
  const bool known = parent == "/srv/uploads" || parent == "/mnt/disk/pictures";
  const bool usual = text.starts_with('/') && parent.filename() == "uploads";
  const bool names_one = (known || usual) && may_be_a_directory(place.filename());
  require(name.has_value() == names_one, "a name where the path leads into the folder: " + text);
  if (!name) return;
  ++fuzz_hits;
  require(is_component(*name) && may_be_a_directory(*name), "one component: " + *name);
  require(*name == place.filename(), "the one that the path ends with: " + *name);
}

/// A folder of all that `text` may name, and a session that is kept and has it as its images_dir.
void check_claims(const std::string& text) {
  SessionRow row;
  row.id = "the-session";
  row.id_is_text = true;
  row.claimed = text;
  row.has_images_dir = true;
  if (text.find('\0') == std::string::npos) row.images_dir = text;
  Claims claims;
  claims.add(row);

  std::vector<Entry> listing{{"uploads-of-another", EntryKind::directory, 0},
                             {"proves-the-folder", EntryKind::directory, 0}};
  std::string name;
  for (const char c : text + "/") {
    if (c != '/' && c != '\0') {
      name += c;
      continue;
    }
    if (is_session_directory_name(name)) {
      require(claims.contain(name), "every component is claimed: " + name);
      require(claims.contain(ascii_lowered(name)), "also in the other case: " + name);
      const auto same = [&](const Entry& entry) { return entry.name == name; };
      if (std::none_of(listing.begin(), listing.end(), same)) {
        listing.push_back({name, EntryKind::directory, 0});
      }
    }
    name.clear();
  }

  Planner planner({Mode::expired, Instant{}, Instant{}, {}, Named::by_option, "/srv/uploads", "db"},
                  folder(), listing, {});
  planner.add(row);
  SessionRow proof;
  proof.id = "proof";
  proof.id_is_text = true;
  proof.images_dir = proof.claimed = "uploads/proves-the-folder";
  proof.has_images_dir = true;
  planner.add(proof);
  const auto plan = planner.finish(Instant{}, {});
  require(plan.sessions.empty(), "nobody is due");
  for (const auto& orphan : plan.orphans) {
    require(orphan == "uploads-of-another" && !claims.contain(orphan),
            "what a session claims is no orphan: " + orphan);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz_text(data, size));
  check_name(text, directory_name(text, folder()));
  check_claims(text);
  return 0;
}
