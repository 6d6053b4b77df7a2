// What a PostgreSQL URL says, as SQLAlchemy reads it, and what may be seen of it.
#include <stdexcept>

#include "store/postgresql/url.hpp"
#include "support/catch.hpp"

using namespace calib::postgresql;

namespace {

std::string problem_of(const std::string& url) {
  try {
    static_cast<void>(read_url(url));
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

struct Case {
  std::string url;
  Parameters parameters;
};

}  // namespace

TEST_CASE("a PostgreSQL URL is read as the app's SQLAlchemy reads it", "[url]") {
  const auto [url, parameters] = GENERATE(
      Case{"postgresql://", {}}, Case{"postgres://h", {{"host", "h"}}},
      Case{"postgresql:///d", {{"dbname", "d"}}},
      Case{"postgresql+psycopg2://u:p@h:6543/d",
           {{"user", "u"}, {"password", "p"}, {"host", "h"}, {"port", "6543"}, {"dbname", "d"}}},
      Case{"postgresql://u@h/", {{"user", "u"}, {"host", "h"}}},
      Case{"postgresql://@h/d", {{"host", "h"}, {"dbname", "d"}}},
      Case{"postgresql://[::1]:5432/d", {{"host", "::1"}, {"port", "5432"}, {"dbname", "d"}}},
      Case{"postgresql://h:/d", {{"host", "h"}, {"dbname", "d"}}},
      // What libpq itself would read otherwise, or not at all.
      Case{"postgresql://u:a/b?c:d@h/d",
           {{"user", "u"}, {"password", "a/b?c:d"}, {"host", "h"}, {"dbname", "d"}}},
      Case{"postgresql://u%40x:p%25%2Fq%zz%4@h",
           {{"user", "u@x"}, {"password", "p%/q%zz%4"}, {"host", "h"}}},
      Case{"postgresql://u:a+b@h", {{"user", "u"}, {"password", "a+b"}, {"host", "h"}}},
      Case{"postgresql://%2Frun%2Fpostgresql/d", {{"host", "/run/postgresql"}, {"dbname", "d"}}},
      Case{"postgresql:///d?host=/run/postgresql&sslmode=verify-full",
           {{"dbname", "d"}, {"sslmode", "verify-full"}, {"host", "/run/postgresql"}}},
      Case{"postgresql://h?options=-c+search_path%3Dapp&connect_timeout=",
           {{"host", "h"}, {"options", "-c search_path=app"}}},
      Case{"postgresql+asyncpg://h?ssl=require", {{"host", "h"}, {"sslmode", "require"}}},
      Case{"postgresql:///d?host=a:1&host=b&host=c:3",
           {{"dbname", "d"}, {"host", "a,b,c"}, {"port", "1,,3"}}},
      Case{"postgresql://u@/?dbname=100%25", {{"user", "u"}, {"dbname", "100%"}}},
      Case{"postgresql:///d?user=u@h", {{"dbname", "d"}, {"user", "u@h"}}});
  CAPTURE(url);
  CHECK(read_url(url) == parameters);
}

TEST_CASE("a PostgreSQL URL that cannot be read is refused without a word of it", "[url]") {
  const auto* const url = GENERATE(
      "postgresql://u:p@secret@h/d", "postgresql://h:secret/d", "postgresql://h/secret%20d",
      "postgresql://h/d&password=secret", "postgresql://h?pass%00word=secret",
      "postgresql://h?password=secret%00", "postgresql://u:p@secret/d@h/d",
      "postgresql://u:p@s?secret=d@h/d", "postgresql://u:p@h/d?dbname=secret",
      "postgresql://u@h?user=secret", "postgresql://h?sslmode=secret&sslmode=secret",
      "postgresql://h?PASS-WORD=secret", "secret");
  CAPTURE(url);
  const auto problem = problem_of(url);
  CHECK(!problem.empty());
  CHECK(problem.find("secret") == std::string::npos);
  CHECK(problem.find('\n') == std::string::npos);
}

TEST_CASE("what nobody may see of a PostgreSQL URL is told", "[url]") {
  const auto secrets = [](const char* url) { return secrets_of(read_url(url)); };
  using Secrets = std::vector<std::string>;
  CHECK(secrets("postgresql://u:p%2Fq@h/d?sslpassword=key") == Secrets{"p/q", "key"});
  CHECK(secrets("postgresql://me:x@h.example:1/d-1_2?host=/run/postgresql") == Secrets{"x"});
  CHECK(secrets("postgresql://u%3Asecret@h/d") == Secrets{"u:secret"});
  CHECK(secrets("postgresql://h") == Secrets{});
}
