// The steps of a pass, one by one, over a real folder and a real database.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "base/stop.hpp"
#include "model/options.hpp"
#include "pass/agenda.hpp"
#include "pass/app_data.hpp"
#include "pass/new_claims.hpp"
#include "pass/purge.hpp"
#include "support/temp_dir.hpp"
#include "unit/store/store_fixture.hpp"

namespace calib::test {

/// Two of the app's tables, and one whose rows hold a session back.
inline constexpr const char* tables_of_pass =
    "CREATE TABLE sessions (id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL, "
    "created_at DATETIME, PRIMARY KEY (id));"
    "CREATE TABLE calibration_images (id INTEGER NOT NULL, session_id VARCHAR, "
    "PRIMARY KEY (id), FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);"
    "CREATE TABLE holders (id INTEGER NOT NULL, keeper VARCHAR, owner VARCHAR, PRIMARY KEY (id), "
    "FOREIGN KEY(keeper) REFERENCES sessions (id), "
    "FOREIGN KEY(owner) REFERENCES sessions (id) ON DELETE CASCADE);";

struct OpenOptions {
  DryRun dry_run = DryRun::no;
  Mode mode = Mode::expired;
};

/// An app folder as a pass has it open: the sessions of `add()` are old, those of `add_young()` are
/// not.
class PassFixture {
 public:
  PassFixture() { std::filesystem::create_directory(uploads_path()); }

  SessionDb database{tables_of_pass};
  Options options;
  StopFlag stop;
  Progress progress;

  [[nodiscard]] std::filesystem::path uploads_path() const { return folder_ / "uploads"; }

  /// A directory with one file of this many bytes.
  void make_directory(const std::string& name, std::size_t bytes = 5000) const {
    static_cast<void>(folder_.put("uploads/" + name + "/image.jpg", std::string(bytes, 'x')));
  }
  /// An old session with two images and its directory.
  void add(const std::string& id) const {
    database.add({id});
    add_images(id);
    make_directory(id);
  }
  void add_young(const std::string& id) const {
    add(id);
    database.execute("UPDATE sessions SET created_at = datetime('now') WHERE id = " + literal(id));
  }
  void add_images(const std::string& id) const {
    for (int i = 0; i < 2; ++i) {
      database.execute("INSERT INTO calibration_images (session_id) VALUES (" + literal(id) + ")");
    }
  }
  /// A row that goes with `owner`, and until then holds `keeper` back.
  void hold(const std::string& keeper, const std::string& owner) const {
    database.execute("INSERT INTO holders (keeper, owner) VALUES (" + literal(keeper) + ", " +
                     (owner.empty() ? "NULL" : literal(owner)) + ")");
  }
  /// A row of this session whose key is to become NULL, and may not.
  void refuse_to_delete(const std::string& id) const {
    database.execute(
        "CREATE TABLE notes (id INTEGER NOT NULL, session_id VARCHAR, "
        "CHECK (session_id IS NOT NULL), PRIMARY KEY (id), "
        "FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE SET NULL);"
        "INSERT INTO notes (session_id) VALUES (" +
        literal(id) + ")");
  }
  [[nodiscard]] bool stands(const std::string& name) const {
    return std::filesystem::exists(uploads_path() / name);
  }
  [[nodiscard]] std::int64_t count(const std::string& table) const {
    return database.number("SELECT count(*) FROM " + table);
  }

  [[nodiscard]] Monitor monitor() { return {stop, progress}; }

 private:
  TempDir folder_;
};

/// What the steps after the opening work on. The fixture must outlive it.
class OpenedPass {
 public:
  explicit OpenedPass(PassFixture& fixture, const OpenOptions& open = {})
      : fixture_(prepared(fixture, open)) {
    times.look_at(fixture.options.database);
    app.store =
        fixture.database.open(open.dry_run == DryRun::yes ? Access::read_only : Access::read_write);
    app.uploads.set_mark(app.store->mark());
  }

  /// The whole agenda, as a pass makes it.
  [[nodiscard]] Agenda agenda() { return maker.narrow(maker.read()); }

 private:
  static PassFixture& prepared(PassFixture& fixture, const OpenOptions& open) {
    auto& options = fixture.options;
    options.dry_run = open.dry_run;
    options.mode = open.mode;
    options.app_dir = fixture.uploads_path().parent_path();
    options.uploads = fixture.uploads_path();
    options.database.path = fixture.database.path();
    options.database.display = "calibration.db";
    return fixture;
  }

  PassFixture& fixture_;

 public:
  PassTimes times{fixture_.options, std::chrono::time_point_cast<std::chrono::microseconds>(
                                        std::chrono::system_clock::now())};
  AppData app{UploadDir(fixture_.uploads_path())};
  AgendaMaker maker{fixture_.options, times, app, fixture_.monitor()};
  Purger purger{app.uploads, 2, fixture_.monitor()};
};

/// `path: error` of each.
inline std::vector<std::string> texts_of(const Failures& failures) {
  std::vector<std::string> texts;
  for (const auto& failure : failures) texts.push_back(failure.path + ": " + failure.error);
  return texts;
}

template <typename Lines>
std::vector<std::string> ids_in(const Lines& lines) {
  std::vector<std::string> ids;
  for (const auto& line : lines) ids.emplace_back(line.id);
  return ids;
}

}  // namespace calib::test
