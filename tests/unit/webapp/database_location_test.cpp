#include "webapp/database_location.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "support/catch.hpp"
#include "support/temp_dir.hpp"

using namespace calib;
using calib::test::TempDir;
using Catch::Matchers::ContainsSubstring;

namespace fs = std::filesystem;

namespace {

using Text = std::string;

struct PathCase {
  Text text;
  Text path;
};

struct DisplayCase {
  Text url;
  Text display;
};

Text message_of(const Text& url) {
  try {
    parse_database_url(url, "/app", "SOURCE");
  } catch (const DatabaseLocationError& error) {
    return error.what();
  }
  return "";
}

void check_error_keeps_secret(const Text& message) {
  CHECK_THAT(message, !ContainsSubstring("secret"));
  CHECK(message.find('\n') == Text::npos);
}

}  // namespace

TEST_CASE("database URL: sqlite paths as SQLAlchemy opens them") {
  const auto expected = GENERATE(
      PathCase{"sqlite:///x.db", "/app/x.db"}, PathCase{"sqlite:////x.db", "/x.db"},
      PathCase{"sqlite:///./backend/x.db", "/app/backend/x.db"},
      PathCase{"sqlite+pysqlite:///x.db", "/app/x.db"},
      PathCase{"sqlite+aiosqlite:///x.db", "/app/x.db"},
      PathCase{"sqlite:///a+b@c:d.db", "/app/a+b@c:d.db"},
      PathCase{"sqlite:///50%.db", "/app/50%.db"}, PathCase{"sqlite:///%x0", "/app/%x0"},
      PathCase{"sqlite:///é\\~", "/app/é\\~"}, PathCase{"sqlite:///x.db\n", "/app/x.db\n"},
      PathCase{"sqlite:///a b.db ", "/app/a b.db "}, PathCase{"sqlite:///x#y", "/app/x#y"},
      PathCase{"sqlite:////a/link/../x.db", "/a/x.db"},
      PathCase{"sqlite:///a/../../x.db", "/app/../x.db"}, PathCase{"sqlite:///x.db/", "/app/x.db"},
      PathCase{"sqlite:///x.db?", "/app/x.db"}, PathCase{"sqlite:///./:memory:", "/app/:memory:"},
      PathCase{"sqlite:///x.db?timeout=5&check_same_thread=false&&cached_statements=9"
               "&isolation_level=IMMEDIATE&detect_types=1",
               "/app/x.db"});
  CAPTURE(expected.text);
  const DatabaseLocation location = parse_database_url(expected.text, "/app", "SOURCE");
  CHECK(location.kind == DatabaseKind::sqlite);
  CHECK(location.path == fs::path(expected.path));
  CHECK(location.display == expected.path);
  CHECK(location.url.empty());
}

TEST_CASE("database URL: a relative path starts at the app's folder as it was given") {
  CHECK(parse_database_url("sqlite:///x.db", ".", "S").path == fs::path("./x.db"));
  CHECK(parse_database_url("sqlite:///x.db", "a/../b", "S").path == fs::path("a/../b/x.db"));
}

TEST_CASE("database URL: what is refused, and the source is named") {
  const Text url = GENERATE(
      Text{"sqlite://"}, Text{"sqlite:///"}, Text{"sqlite:///:memory:"},
      Text{"sqlite:///?timeout=1"}, Text{"sqlite:///file:x.db"}, Text{"sqlite://host/x.db"},
      Text{"sqlite://x.db"}, Text{"sqlite://u:secret@/x.db"}, Text{"sqlite://:secret@/x.db"},
      Text{"sqlite:///x.db?uri=true"}, Text{"sqlite:///x.db?mode=ro"},
      Text{"sqlite:///x.db?timeout=1;uri=true"}, Text{"sqlite:///x.db?%75ri=true"},
      Text{"sqlite:///a%20b.db"}, Text{"sqlite:////%2e%2E/x"}, Text{"sqlite:///%%41"},
      Text{"sqlite+aiosqlite:///x%3f.db?timeout=1"}, Text{"\u00a0sqlite:///x.db"},
      Text{"sqlite:///x.db?timeout=1&cache=shared"}, Text{"sqlite:///x.db?password=secret"},
      Text{"sqlite:///x.db?timeout=1&secret"}, Text{"sqlite+pysqlcipher://:secret@/x.db"},
      Text{"SQLite:///x.db"}, Text{"mysql://u:secret@h/d"}, Text{"mysql+pymysql://u:secret@h/d"},
      Text{"file:///x.db"}, Text{""}, Text{"x.db"}, Text{" sqlite:///x.db"}, Text{"://u:secret@h"},
      Text{"u:secret@h://x"}, Text{"secret secret://x"}, Text{"postgresql:u:secret@h/d"},
      Text{"postgresql://u:secret"}, Text{"postgresql://u:secret/d"},
      Text{"postgresql://h:9x/secret"}, Text{"postgresql://[::1/secret"},
      Text(40, 's').append("://secret"), Text("sqlite:///x\0.db", 15),
      Text("postgresql://h/\0secret", 22));
  CAPTURE(url);
  REQUIRE_THROWS_AS(parse_database_url(url, "/app", "SOURCE"), DatabaseLocationError);
  CHECK_THAT(message_of(url), ContainsSubstring("SOURCE"));
  check_error_keeps_secret(message_of(url));
}

TEST_CASE("database URL: what is wrong is said") {
  CHECK_THAT(message_of("sqlite://"), ContainsSubstring("in-memory"));
  CHECK_THAT(message_of("sqlite:///:memory:"), ContainsSubstring("in-memory"));
  CHECK_THAT(message_of("sqlite:///file:x"), ContainsSubstring("file:"));
  CHECK_THAT(message_of("sqlite://host/x"), ContainsSubstring("host"));
  CHECK_THAT(message_of("sqlite:///x?uri=true"), ContainsSubstring("query"));
  CHECK_THAT(message_of("mysql://u:p@h/d"), ContainsSubstring("mysql://"));
  CHECK_THAT(message_of("x.db"), ContainsSubstring("sqlite:///"));
  for (const auto* other : {"cockroachdb://u:p@h/d", "POSTGRESQL://u:p@h/d", "postgresql+x://h"}) {
    CHECK_THAT(message_of(other), ContainsSubstring("write postgresql://"));
    CHECK_THAT(message_of(other), !ContainsSubstring("sqlite"));
  }
  CHECK_THAT(message_of("SQLITE:///x.db"), ContainsSubstring("write sqlite:///"));
  CHECK_THAT(message_of(Text("sqlite:///\0", 11)), ContainsSubstring("NUL"));
  CHECK_THAT(message_of("postgresql://u:p"), ContainsSubstring("%XX"));
  CHECK_THAT(message_of("sqlite:///a%20b"),
             ContainsSubstring("%20") && ContainsSubstring("--database PATH"));
}

TEST_CASE("database URL: PostgreSQL is kept whole and shown without its password") {
  const auto expected =
      GENERATE(DisplayCase{"postgresql://u:secret@h/d", "postgresql://u@h/d"},
               DisplayCase{"postgres://u:secret@h:5432/d", "postgres://u@h:5432/d"},
               DisplayCase{"postgresql+psycopg2://u@h/d", "postgresql+psycopg2://u@h/d"},
               DisplayCase{"postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"},
               DisplayCase{"postgresql://", "postgresql://"},
               DisplayCase{"postgresql:///d", "postgresql:///d"},
               DisplayCase{"postgresql://u:secret@[::1]:5432/d", "postgresql://u@[::1]:5432/d"},
               DisplayCase{"postgresql://h/d?password=secret", "postgresql://h/d"},
               DisplayCase{"postgresql://u:secret@h?password=secret", "postgresql://u@h"},
               DisplayCase{"postgresql://u:p@secret@h/d", "postgresql://***"},
               DisplayCase{"postgresql://u:p/secret@h/d", "postgresql://***"},
               DisplayCase{"postgresql://u:p?secret@h/d", "postgresql://***"},
               DisplayCase{"postgresql://u:p@h/d?password=x@secret", "postgresql://***"},
               DisplayCase{"postgresql://h/d&password=secret", "postgresql://h/***"},
               DisplayCase{"postgresql://u%3Asecret@h/d", "postgresql://***@h/d"},
               DisplayCase{"postgresql://u:p@se%40cret/d", "postgresql://u@***/d"});
  CAPTURE(expected.url);
  const DatabaseLocation location = parse_database_url(expected.url, "/app", "SOURCE");
  CHECK(location.kind == DatabaseKind::postgresql);
  CHECK(location.url == expected.url);
  CHECK(location.display == expected.display);
  CHECK(location.path.empty());
}

TEST_CASE("database option: paths are the working directory's, URLs are the app's") {
  const auto expected = GENERATE(PathCase{"x.db", "x.db"}, PathCase{"./a/../x.db", "./a/../x.db"},
                                 PathCase{"/x:y.db", "/x:y.db"}, PathCase{"./file:x", "./file:x"},
                                 PathCase{"./:memory:", "./:memory:"}, PathCase{"-x.db", "-x.db"},
                                 PathCase{"sqlite:///x.db", "/app/x.db"});
  CAPTURE(expected.text);
  const DatabaseLocation location = parse_database_option(expected.text, "/app", "--database");
  CHECK(location.kind == DatabaseKind::sqlite);
  CHECK(location.path.native() == expected.path);
  CHECK(location.display == expected.path);
  CHECK(location.named == Named::by_option);
  CHECK(parse_database_option("postgres://h/d", "/app", "S").kind == DatabaseKind::postgresql);
}

TEST_CASE("database option: names that SQLite or people mean otherwise are refused") {
  const Text value =
      GENERATE(Text{""}, Text{":memory:"}, Text{":x"}, Text{"file:x.db"}, Text{"file:/x?mode=ro"},
               Text{"sqlite:x.db"}, Text{"postgresql:u:secret@h/d"}, Text{"u:secret@h"},
               Text{"mysql://u:secret@h"}, Text("x\0y", 3));
  CAPTURE(value);
  REQUIRE_THROWS_AS(parse_database_option(value, "/app", "--database"), DatabaseLocationError);
  try {
    parse_database_option(value, "/app", "--database");
  } catch (const DatabaseLocationError& error) {
    CHECK_THAT(error.what(), ContainsSubstring("--database"));
    check_error_keeps_secret(error.what());
  }
}

TEST_CASE("app database: found where the app finds it") {
  const TempDir app;
  const auto find = [&app](const std::optional<Text>& url) {
    return find_app_database({url}, app.path());
  };
  const fs::path standard = app / "backend/calibration.db";

  SECTION("nothing is said") {
    CHECK(find(std::nullopt).path == standard);
    CHECK(find(std::nullopt).named == Named::no);
    CHECK(find(std::nullopt).kind == DatabaseKind::sqlite);
    CHECK(find(std::nullopt).display == standard.string());
  }
  SECTION("the environment says nothing, and so hides every .env") {
    REQUIRE(fs::exists(app.put("backend/.env", "DATABASE_URL=sqlite:///b.db\n")));
    CHECK(find("").path == standard);
    CHECK(find("").named == Named::no);
  }
  SECTION("the environment") {
    REQUIRE(fs::exists(app.put("backend/.env", "DATABASE_URL='broken")));
    CHECK(find("sqlite:///e.db").path == app / "e.db");
    CHECK(find("sqlite:///e.db").named == Named::by_app);
    REQUIRE_THROWS_WITH(find("mysql://h/d"), ContainsSubstring("DATABASE_URL "));
  }
  SECTION("backend/.env, which hides the other") {
    const fs::path file = app.put("backend/.env", "export DATABASE_URL=sqlite:///b.db\n");
    REQUIRE(fs::exists(app.put(".env", "DATABASE_URL=sqlite:///r.db\n")));
    CHECK(find(std::nullopt).path == app / "b.db");
    CHECK(find(std::nullopt).named == Named::by_app);

    const Text silent = GENERATE(Text{"DATABASE_URL=\n"}, Text{"OTHER=1\n"}, Text{""});
    REQUIRE(fs::exists(app.put("backend/.env", silent)));
    CHECK(find(std::nullopt).path == standard);
    CHECK(find(std::nullopt).named == Named::no);

    REQUIRE(fs::exists(app.put("backend/.env", "DATABASE_URL=mysql://u:secret@h/d\n")));
    REQUIRE_THROWS_WITH(find(std::nullopt), ContainsSubstring("DATABASE_URL in " + file.string()) &&
                                                !ContainsSubstring("secret"));
  }
  SECTION(".env in the root, where backend/.env does not exist") {
    REQUIRE(fs::exists(app.put(".env", "DATABASE_URL=sqlite:///r.db\n")));
    SECTION("no backend") { CHECK(find(std::nullopt).path == app / "r.db"); }
    SECTION("no .env in it") {
      fs::create_directory(app / "backend");
      CHECK(find(std::nullopt).path == app / "r.db");
    }
    SECTION("backend is a file") {
      REQUIRE(fs::exists(app.put("backend", "")));
      CHECK(find(std::nullopt).path == app / "r.db");
    }
  }
}

TEST_CASE("app database: the first regular file .env on the way up counts") {
  const TempDir folder;
  const fs::path app = folder / "srv/app";
  fs::create_directories(app / "backend");
  const auto found = [](const fs::path& app_dir) {
    return find_app_database({}, app_dir).path.string();
  };
  REQUIRE(fs::exists(folder.put(".env", "DATABASE_URL=sqlite:////top.db\n")));

  SECTION("far above the root") { CHECK(found(app) == "/top.db"); }
  SECTION("the nearest of two") {
    REQUIRE(fs::exists(folder.put("srv/.env", "DATABASE_URL=sqlite:////srv.db\n")));
    CHECK(found(app) == "/srv.db");
  }
  SECTION("the first one, although it does not say") {
    REQUIRE(fs::exists(folder.put("srv/.env", "OTHER=1\n")));
    CHECK(found(app) == app / "backend/calibration.db");
  }
  SECTION("a relative URL starts at the app's root all the same") {
    REQUIRE(fs::exists(folder.put(".env", "DATABASE_URL=sqlite:///x.db\n")));
    CHECK(found(app) == app / "x.db");
  }
  SECTION("a folder is passed over") {
    fs::create_directory(app / "backend/.env");
    fs::create_directory(app / ".env");
    CHECK(found(app) == "/top.db");
  }
  SECTION("a device is passed over, as a container masks a file") {
    fs::create_symlink("/dev/null", app / ".env");
    CHECK(found(app) == "/top.db");
  }
  SECTION("a link that leads nowhere is passed over") {
    fs::create_symlink("gone", app / ".env");
    CHECK(found(app) == "/top.db");
  }
  SECTION("a link to a file is followed") {
    REQUIRE(fs::exists(folder.put("shared", "DATABASE_URL=sqlite:////shared.db\n")));
    fs::create_symlink("../../shared", app / ".env");
    CHECK(found(app) == "/shared.db");
  }
  SECTION("the app's folder is a link: its own parents count") {
    fs::create_directory(folder / "links");
    fs::create_directory_symlink(app, folder / "links/app");
    REQUIRE(fs::exists(folder.put("links/.env", "DATABASE_URL=sqlite:////links.db\n")));
    CHECK(found(folder / "links/app") == "/top.db");
  }
  SECTION("backend is a link: what it leads to is asked, not its parents") {
    fs::remove(app / "backend");
    fs::create_directories(folder / "release/backend");
    fs::create_directory_symlink(folder / "release/backend", app / "backend");
    REQUIRE(fs::exists(folder.put("release/.env", "DATABASE_URL=sqlite:////release.db\n")));
    CHECK(found(app) == "/top.db");
    REQUIRE(fs::exists(folder.put("release/backend/.env", "DATABASE_URL=sqlite:////b.db\n")));
    CHECK(found(app) == "/b.db");
  }
  SECTION("the app's folder is not there") {
    CHECK(found(folder / "other") == folder / "other/backend/calibration.db");
  }
}

TEST_CASE("app database: a switched off python-dotenv is an error where it matters") {
  const TempDir app;
  const AppVariables off{std::nullopt, true};
  CHECK(find_app_database(off, app.path()).path == app / "backend/calibration.db");
  const fs::path file = app.put(".env", "DATABASE_URL=sqlite:///r.db\n");
  REQUIRE_THROWS_WITH(
      find_app_database(off, app.path()),
      ContainsSubstring(file.string()) && ContainsSubstring("PYTHON_DOTENV_DISABLED"));
  CHECK(find_app_database({"sqlite:///e.db", true}, app.path()).path == app / "e.db");
}

TEST_CASE("app database: a .env that cannot be read or understood is an error") {
  const TempDir app;
  REQUIRE(fs::exists(app.put(".env", "DATABASE_URL=sqlite:///r.db\n")));
  fs::create_directory(app / "backend");
  const fs::path file = app / "backend/.env";

  SECTION("a FIFO") { REQUIRE(::mkfifo(file.c_str(), 0600) == 0); }
  SECTION("a link to itself") { fs::create_symlink(".env", file); }
  SECTION("too large") { REQUIRE(fs::exists(app.put("backend/.env", Text(2'000'000, '#')))); }
  SECTION("a broken line") { REQUIRE(fs::exists(app.put("backend/.env", "DATABASE_URL='x"))); }
  SECTION("an expansion") { REQUIRE(fs::exists(app.put("backend/.env", "DATABASE_URL=${A}"))); }
  SECTION("a NUL byte") {
    REQUIRE(fs::exists(app.put("backend/.env", Text("DATABASE_URL=sqlite:///x\0y", 26))));
  }
  SECTION("in the root") {
    fs::remove(app / ".env");
    REQUIRE(::mkfifo((app / ".env").c_str(), 0600) == 0);
    REQUIRE_THROWS_WITH(find_app_database({}, app.path()),
                        ContainsSubstring((app / ".env").string()));
    return;
  }
  REQUIRE_THROWS_AS(find_app_database({}, app.path()), DatabaseLocationError);
  REQUIRE_THROWS_WITH(find_app_database({}, app.path()), ContainsSubstring(file.string()));
}

TEST_CASE("app database: a .env that the user may not read or look for is an error") {
  const TempDir folder;
  const fs::path app = folder / "srv/app";
  REQUIRE(fs::exists(folder.put("srv/app/backend/.env", "A=1\n")));
  fs::path closed;
  fs::path named;
  SECTION("the file") {
    closed = app / "backend/.env";
    named = closed;
  }
  SECTION("its folder") {
    closed = app / "backend";
    named = closed / ".env";
  }
  SECTION("what it is a link to") {
    fs::remove(app / "backend/.env");
    REQUIRE(fs::exists(folder.put("closed/file", "A=1\n")));
    fs::create_symlink("../../../closed/file", app / "backend/.env");
    closed = folder / "closed";
    named = app / "backend/.env";
  }
  SECTION("a folder above the app's") {
    closed = folder / "srv";
    named = app / ".env";
  }
  fs::permissions(folder.path(),
                  fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec);
  fs::permissions(closed, fs::perms::none);
  // Permissions do not bind root, so a child asks as somebody else.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0 && ::setuid(nobody) != 0) ::_exit(2);
    try {
      find_app_database({}, app);
    } catch (const DatabaseLocationError& error) {
      const Text said = error.what();
      const bool clear = said.find("Permission denied") != Text::npos &&
                         said.find(named.string() + ",") != Text::npos &&
                         said.find("--database") != Text::npos;
      ::_exit(clear ? 0 : 3);
    }
    ::_exit(1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  fs::permissions(closed, fs::perms::owner_all);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
