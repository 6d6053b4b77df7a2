// Which directory an images_dir names: one directly in the uploads folder, or none.
#include "webapp/images_dir.hpp"

#include "support/catch.hpp"

using namespace calib;

namespace {

using Components = std::vector<std::string_view>;

/// The folder of an app in /srv/app.
FolderSpellings usual() { return {"/srv/app/uploads", "/srv/app/uploads", "/srv/app"}; }

/// A folder that is named otherwise, and reached through a link.
FolderSpellings renamed() { return {"/srv/app/pictures", "/mnt/disk/store", "/srv/app"}; }

constexpr const char* none = "";

std::string name_of(std::string_view images_dir, const FolderSpellings& folder) {
  return directory_name(images_dir, folder).value_or(none);
}

}  // namespace

TEST_CASE("a path is cut at its slashes, without what says nothing", "[images_dir]") {
  CHECK(path_components("uploads/a") == Components{"uploads", "a"});
  CHECK(path_components("//uploads///a//") == Components{"uploads", "a"});
  CHECK(path_components("./a/./b/.") == Components{"a", "b"});
  CHECK(path_components("../a/..") == Components{"..", "a", ".."});
  CHECK(path_components("a/.../.b") == Components{"a", "...", ".b"});
  CHECK(path_components("a\\b") == Components{"a\\b"});
  CHECK(path_components("/").empty());
  CHECK(path_components(".").empty());
  CHECK(path_components("").empty());
}

TEST_CASE("uploads/<name> names a directory, from the app's folder or from anywhere",
          "[images_dir]") {
  const auto folder = GENERATE(false, true) ? usual() : renamed();
  CHECK(name_of("uploads/abc", folder) == "abc");
  CHECK(name_of("/uploads/abc", folder) == "abc");
  CHECK(name_of("/home/somebody/app/uploads/abc", folder) == "abc");
  CHECK(name_of("./uploads//abc/", folder) == "abc");
  CHECK(name_of("/x/./uploads/./abc/.", folder) == "abc");
  CHECK(name_of("uploads/with space", folder) == "with space");
  CHECK(name_of("uploads/ABC", folder) == "ABC");
  CHECK(name_of("uploads/uploads", folder) == "uploads");
  CHECK(name_of("uploads/a\xff", folder) == "a\xff");
}

TEST_CASE("the folder may also be spelled as it was given, or as it really is", "[images_dir]") {
  CHECK(name_of("/srv/app/pictures/abc", renamed()) == "abc");
  CHECK(name_of("/mnt/disk/store/abc", renamed()) == "abc");
  CHECK(name_of("/mnt//disk/./store/abc/", renamed()) == "abc");
  CHECK(name_of("pictures/abc", renamed()) == "abc");
  CHECK(name_of("./pictures/abc", renamed()) == "abc");
  SECTION("a relative path starts in the app's folder") {
    CHECK(name_of("store/abc", renamed()) == none);
    CHECK(name_of("disk/store/abc",
                  FolderSpellings("/mnt/disk/store", "/mnt/disk/store", "/mnt")) == "abc");
  }
  SECTION("or is spelled as --uploads was") {
    const FolderSpellings folder("data/pictures", "/elsewhere/data/pictures", "/srv/app");
    CHECK(name_of("data/pictures/abc", folder) == "abc");
    CHECK(name_of("/elsewhere/data/pictures/abc", folder) == "abc");
    CHECK(name_of("/data/pictures/abc", folder) == none);
    CHECK(name_of("pictures/abc", folder) == none);
  }
  SECTION("dots in what the user gave are worked out, for they are the user's") {
    const FolderSpellings folder("/srv/app/../other/./pictures/", "/srv/other/pictures",
                                 "/srv/app");
    CHECK(name_of("/srv/other/pictures/abc", folder) == "abc");
  }
}

TEST_CASE("what lies anywhere else names nothing", "[images_dir]") {
  const auto* const images_dir =
      GENERATE("", ".", "/", "abc", "/abc", "./abc", "uploads", "/uploads", "uploads/",
               "/srv/app/uploads", "/srv/app/uploads/.", "uploads/.", "uploads/a/b", "/uploads/a/b",
               "/srv/app/uploads/a/b", "x/uploads/abc", "app/uploads/abc", "downloads/abc",
               "/srv/app/abc", "Uploads/abc", "/srv/app/UPLOADS/abc", "uploads2/abc",
               "uploads\\abc", "file:///srv/app/uploads2/abc", "pictures/abc", "~/uploads/abc");
  CAPTURE(images_dir);
  CHECK(name_of(images_dir, usual()) == none);
}

TEST_CASE("no way up is ever taken", "[images_dir]") {
  const auto* const images_dir =
      GENERATE("..", "uploads/..", "uploads/../abc", "../uploads/abc", "/srv/../uploads/abc",
               "uploads/abc/..", "uploads/abc/../def", "/srv/app/uploads/../uploads/abc",
               "uploads/x/../../uploads/abc", "/../uploads/abc");
  CAPTURE(images_dir);
  CHECK(name_of(images_dir, usual()) == none);
  CHECK(name_of(images_dir, renamed()) == none);
}

TEST_CASE("no name is taken that no session's directory has", "[images_dir]") {
  using namespace std::string_view_literals;
  const auto name =
      GENERATE(".hidden"sv, ".calib-cleanup.abc"sv, "lost+found"sv, "..."sv, "a\0b"sv, "\0"sv);
  CHECK_FALSE(is_session_directory_name(name));
  CHECK_FALSE(directory_name(std::string("uploads/").append(name), usual()));
  CHECK_FALSE(is_session_directory_name(""));
  CHECK_FALSE(is_session_directory_name("a/b"));
  CHECK_FALSE(is_session_directory_name("."));
  CHECK_FALSE(is_session_directory_name(".."));
  CHECK(is_session_directory_name("lost+found2"));
  CHECK(is_session_directory_name("a."));
  CHECK(is_session_directory_name(" "));
  // What a file system takes: 255 bytes.
  CHECK(is_session_directory_name(std::string(255, 'a')));
  CHECK_FALSE(is_session_directory_name(std::string(256, 'a')));
  CHECK_FALSE(directory_name(std::string("uploads/").append(256, 'a'), usual()));
}

TEST_CASE("a NUL in a path ends nothing: such a path names no directory", "[images_dir]") {
  using namespace std::string_view_literals;
  CHECK_FALSE(directory_name("uploads/abc\0"sv, usual()));
  CHECK_FALSE(directory_name("uploads/abc\0/def"sv, usual()));
  CHECK_FALSE(directory_name("upl\0ads/abc"sv, usual()));
}
