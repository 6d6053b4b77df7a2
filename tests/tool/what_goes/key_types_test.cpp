// References to a session that SQLite takes for equal although they are written in another way. (On
// a server the types of both have to be comparable, and its own = says what is equal.)
#include <fmt/format.h>

#include "support/catch.hpp"
#include "support/tool_run.hpp"

using namespace calib::test;

namespace {

/// An expired session and a live one, with a directory each.
class KeyTypes : public App {
 public:
  KeyTypes(const std::string& id_type, const std::string& reference_type, const std::string& due,
           const std::string& live) {
    fs::remove(database());
    execute(fmt::format(
        "CREATE TABLE sessions (id {0} PRIMARY KEY NOT NULL, images_dir VARCHAR, created_at "
        "DATETIME); CREATE TABLE calibration_images (n INTEGER PRIMARY KEY, session_id {1} "
        "REFERENCES sessions (id) ON DELETE CASCADE);"
        "INSERT INTO sessions VALUES ('{2}', 'uploads/{2}', '{4}'), ('{3}', 'uploads/{3}', '{5}')",
        id_type, reference_type, due, live, hours_ago(48), hours_ago(1)));
    add_directory(due);
    add_directory(live);
  }

  [[nodiscard]] std::string rows() const {
    return text("SELECT coalesce(group_concat(n, ' '), '') FROM calibration_images");
  }
};

}  // namespace

TEST_CASE("a row that names its session in other letters goes one pass later", "[tool][sqlite]") {
  const auto* const id_type = GENERATE("VARCHAR COLLATE NOCASE", "VARCHAR");
  const auto* const reference_type = GENERATE("VARCHAR COLLATE NOCASE", "VARCHAR");
  CAPTURE(id_type, reference_type);
  const std::string due = "aaaaaaaa-1111-4111-8111-111111111111";
  const std::string live = "bbbbbbbb-3333-4333-8333-333333333333";
  const KeyTypes app(id_type, reference_type, due, live);
  app.execute(
      fmt::format("INSERT INTO calibration_images VALUES (1, '{0}'), (2, upper('{0}')), (3, '{0}'),"
                  "(4, '{1}'), (5, upper('{1}'))",
                  due, live));
  // Both name the live session, so its directory stays, in whatever letters.
  app.add_directory("BBBBBBBB-3333-4333-8333-333333333333");

  CHECK(run_on(app, {}).status == 0);
  CHECK(app.session_ids() == std::set<std::string>{live});
  CHECK(app.rows() == "2 4 5");
  CHECK(app.entries() == std::set<std::string>{live, "BBBBBBBB-3333-4333-8333-333333333333"});

  CHECK(run_on(app, {}).status == 0);
  CHECK(app.rows() == "4 5");
}

TEST_CASE("a reference that is a number goes with the session whose id is its text",
          "[tool][sqlite]") {
  const std::string reference_type = GENERATE("INTEGER", "NUMERIC", "VARCHAR", "BLOB");
  CAPTURE(reference_type);
  const KeyTypes app("VARCHAR", reference_type, "123", "456");
  app.execute("INSERT INTO calibration_images VALUES (1, 123), (2, '123'), (3, 456), (4, NULL)");
  CHECK(run_on(app, {}).status == 0);
  CHECK(app.session_ids() == std::set<std::string>{"456"});
  // A column of no type compares a number with a number alone: that row is left dangling, as every
  // key that is no UUID is.
  CHECK(app.rows() == (reference_type == "BLOB" ? "1 3 4" : "3 4"));
  CHECK(app.entries() == std::set<std::string>{"456"});
}
