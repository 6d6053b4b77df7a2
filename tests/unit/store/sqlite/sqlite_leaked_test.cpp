// Rows whose session is gone: which of them count as leaked, and go.
#include <fmt/format.h>

#include <algorithm>

#include "support/app_schemas.hpp"
#include "support/catch.hpp"
#include "unit/store/store_fixture.hpp"

using namespace calib;
using namespace calib::test;

namespace {

const std::string living = uuid(1);
const std::string other_living = uuid(2);
const std::string doomed = uuid(3);
const std::string other_doomed = uuid(4);
const std::string lost = uuid(10);
const std::string other_lost = uuid(11);

/// Rows with these keys (SQL) in the app's own table of images, beside two sessions.
SessionDb with_images(const std::vector<std::string>& keys) {
  SessionDb database(schema_current);
  database.add({living, other_living});
  for (const auto& key : keys) {
    database.execute(fmt::format(
        "INSERT INTO calibration_images (session_id, image_path) VALUES ({}, 'x.png')", key));
  }
  return database;
}

std::vector<std::string> sorted(std::vector<std::string> keys) {
  std::sort(keys.begin(), keys.end());
  return keys;
}

/// Two sessions that stay, two that will go, and a table that a stereo row needs no other columns
/// for.
SessionDb stereo_table(const std::vector<std::string>& keys) {
  SessionDb database(fmt::format(
      "{} CREATE TABLE results (session_id VARCHAR REFERENCES sessions ON DELETE CASCADE);",
      only_sessions));
  database.add({living, other_living, doomed, other_doomed});
  for (const auto& key : keys) {
    database.execute(fmt::format("INSERT INTO results VALUES ({})", literal(key)));
  }
  return database;
}

}  // namespace

TEST_CASE("rows whose session is gone go, from every table, each key an owner of its own",
          "[store][leaked]") {
  const auto database = with_images(
      {literal(lost), literal(living), literal(lost), literal(other_lost), literal(living)});
  database.execute(
      fmt::format("INSERT INTO calibration_parameters (session_id) VALUES ('{}'), ('{}'), ('{}')",
                  lost, living, uuid(12)));

  const auto deleted = delete_sessions(database, {});

  CHECK(deleted.rows == Counted{{lost, {{"calibration_images", 2}, {"calibration_parameters", 1}}},
                                {other_lost, {{"calibration_images", 1}}},
                                {uuid(12), {{"calibration_parameters", 1}}}});
  CHECK(deleted.surveyed == deleted.rows);
  CHECK(database.number("SELECT count(*) FROM calibration_images") == 2);
  CHECK(database.text("SELECT group_concat(session_id) FROM calibration_parameters") == living);
  CHECK(database.number("SELECT count(*) FROM sessions") == 2);
}

TEST_CASE("a dangling key leaks where it is a UUID, of either case and any version",
          "[store][leaked]") {
  const std::vector<std::string> leaked{"ffffffff-ffff-ffff-ffff-ffffffffffff",
                                        "0A1B2C3D-0000-1000-0000-00000000000A",
                                        "00000000-0000-0000-0000-000000000000"};
  std::vector<std::string> keys;
  for (const auto& key : leaked) keys.push_back(literal(key));
  const auto database = with_images(keys);
  StorePass pass(database);
  pass.look({});
  CHECK(sorted(pass.leaked()) == sorted(leaked));
  CHECK(pass.survey().refused.empty());
}

TEST_CASE("any other dangling key is kept", "[store][leaked]") {
  const std::vector<std::string> keys{
      "NULL", "''", "'x'", "7", "7.5", "'global'", fmt::format("CAST('{}' AS BLOB)", lost),
      fmt::format("'{}x'", lost), fmt::format("' {}'", lost), fmt::format("'{{{}}}'", lost),
      fmt::format("'{}' || char(0)", lost), fmt::format("'{}'", lost.substr(1)),
      fmt::format("replace('{}', '-', '')", lost), fmt::format("replace('{}', '-', '_')", lost),
      fmt::format("'{}'", std::string("g").append(lost.substr(1))),
      // Almost stereo.
      "'stereo_a_b'", fmt::format("'stereo_{}'", lost), fmt::format("'stereo_{}_'", lost),
      fmt::format("'stereo_{}_x'", lost), fmt::format("'stereo_{}-{}'", lost, other_lost),
      fmt::format("'Stereo_{}_{}'", lost, other_lost),
      fmt::format("'stereo_{}_{}_'", lost, other_lost),
      fmt::format("'mono_{}_{}'", lost, other_lost)};
  const auto database = with_images(keys);
  const auto before = database.rows();

  const auto deleted = delete_sessions(database, {});

  CHECK(deleted.rows.empty());
  CHECK(deleted.outcome == CommitOutcome::committed);
  CHECK(database.rows() == before);
}

TEST_CASE("a row of a living session is kept also where its key is in the other case",
          "[store][leaked]") {
  const std::string lower = "abcdef00-0000-4000-8000-00000000000a";
  const std::string upper = "ABCDEF00-0000-4000-8000-00000000000A";
  const bool session_is_upper = GENERATE(false, true);
  const auto database =
      with_images({literal(lower), literal(upper), literal(stereo(lower, living)),
                   literal(stereo(upper, living)), literal(stereo(living, upper))});
  database.add({session_is_upper ? upper : lower});
  const auto before = database.rows();
  CHECK(delete_sessions(database, {}).rows.empty());
  CHECK(database.rows() == before);
}

TEST_CASE("a stereo row leaks where either of its sessions is gone", "[store][leaked]") {
  const auto gone_left = stereo(lost, living);
  const auto gone_right = stereo(living, lost);
  const auto gone_both = stereo(other_lost, lost);
  const auto whole = stereo(living, other_living);
  const auto twice = stereo(living, living);
  const auto database = stereo_table({gone_left, whole, gone_right, gone_both, twice});

  const auto deleted = delete_sessions(database, {});

  CHECK(deleted.rows == Counted{{gone_left, {{"results", 1}}},
                                {gone_right, {{"results", 1}}},
                                {gone_both, {{"results", 1}}}});
  CHECK(database.rows().at("results") == sorted({literal(whole), literal(twice)}));
}

TEST_CASE("leaked rows are left alone where they are not wanted", "[store][leaked]") {
  const auto database = with_images({literal(lost), literal(stereo(lost, living))});
  database.add({doomed});
  database.execute(fmt::format(
      "INSERT INTO calibration_images (session_id, image_path) VALUES ('{}', 'x')", doomed));
  StorePass pass(database);
  pass.look({doomed}, Leaked::left_alone);
  CHECK(pass.leaked().empty());
  const auto deleted = delete_chosen(pass, pass.all());
  CHECK(deleted.rows == Counted{{doomed, {{"calibration_images", 1}}}});
  CHECK(database.number("SELECT count(*) FROM calibration_images") == 2);
}

TEST_CASE("a stereo row goes with either of its sessions and counts once", "[store][leaked]") {
  // The first session that goes is `doomed`; a row of both counts for it, whichever side it is.
  const auto [key, owner] = GENERATE(table<std::string, std::string>({
      {stereo(doomed, living), doomed},
      {stereo(living, doomed), doomed},
      {stereo(doomed, other_doomed), doomed},
      {stereo(other_doomed, doomed), doomed},
      {stereo(doomed, doomed), doomed},
      {stereo(other_doomed, lost), other_doomed},
      {stereo(lost, doomed), doomed},
  }));
  const bool without_rowid = GENERATE(false, true);
  const bool parent = GENERATE(false, true);
  INFO(key);
  SessionDb database(fmt::format(
      "{} CREATE TABLE results (session_id VARCHAR PRIMARY KEY REFERENCES sessions) {};{}",
      only_sessions, without_rowid ? "WITHOUT ROWID" : "",
      parent ? "CREATE TABLE below (r VARCHAR REFERENCES results ON DELETE CASCADE);" : ""));
  database.add({living, doomed, other_doomed});
  database.execute(
      fmt::format("INSERT INTO results VALUES ('{}'), ('{}')", key, stereo(living, living)));
  if (parent) database.execute("INSERT INTO below SELECT session_id FROM results");

  const auto deleted = delete_sessions(database, {doomed, other_doomed});

  Counted expected{{owner, {{"results", 1}}}};
  if (parent) expected[owner]["below"] = 1;
  CHECK(deleted.surveyed == expected);
  CHECK(deleted.rows == expected);
  CHECK(database.text("SELECT group_concat(session_id) FROM results") == stereo(living, living));
}

TEST_CASE("a session that is itself named like a stereo key has its own rows, and no one else does",
          "[store][leaked]") {
  const auto name = stereo(doomed, other_doomed);
  const auto database = stereo_table({name, name});
  database.add({name});
  SECTION("while it stays") {
    const auto deleted = delete_sessions(database, {doomed, other_doomed});
    CHECK(deleted.rows.empty());
    CHECK(database.number("SELECT count(*) FROM results") == 2);
  }
  SECTION("when it goes, too") {
    const auto deleted = delete_sessions(database, {doomed, name});
    CHECK(deleted.rows == Counted{{name, {{"results", 2}}}});
    CHECK(database.number("SELECT count(*) FROM results") == 0);
  }
}

TEST_CASE("what hangs on a leaked row goes with it, and what holds it keeps it",
          "[store][leaked]") {
  const bool without_rowid = GENERATE(false, true);
  const SessionDb database(fmt::format(
      "{} CREATE TABLE x (n INTEGER PRIMARY KEY, session_id VARCHAR REFERENCES sessions) {};"
      "CREATE TABLE y (x INTEGER REFERENCES x ON DELETE CASCADE);"
      "CREATE TABLE holder (x INTEGER REFERENCES x);"
      "INSERT INTO x VALUES (1, '{}'), (2, '{}'), (3, '{}');"
      "INSERT INTO y VALUES (1), (1), (2), (3); INSERT INTO holder VALUES (2);",
      only_sessions, without_rowid ? "WITHOUT ROWID" : "", lost, other_lost,
      stereo(lost, other_lost)));

  const auto deleted = delete_sessions(database, {});

  CHECK(deleted.refused == Refused{{other_lost, "held by holder.x"}});
  CHECK(deleted.surveyed_refused == deleted.refused);
  CHECK(deleted.rows ==
        Counted{{lost, {{"x", 1}, {"y", 2}}}, {stereo(lost, other_lost), {{"x", 1}, {"y", 1}}}});
  CHECK(database.text("SELECT group_concat(n) FROM x") == "2");
  CHECK(database.text("SELECT group_concat(x) FROM y") == "2");
}

TEST_CASE("only a column session_id leaks, and only where its key says that rows go",
          "[store][leaked]") {
  const SessionDb database(
      fmt::format("{0} CREATE TABLE author (name VARCHAR REFERENCES sessions ON DELETE CASCADE);"
                  "CREATE TABLE loose (session_id VARCHAR REFERENCES sessions ON DELETE SET NULL);"
                  "CREATE TABLE free (session_id VARCHAR);"
                  "INSERT INTO author VALUES ('{1}'); INSERT INTO loose VALUES ('{1}');"
                  "INSERT INTO free VALUES ('{1}');",
                  only_sessions, lost));
  const auto before = database.rows();
  CHECK(delete_sessions(database, {}).rows.empty());
  CHECK(database.rows() == before);
}
