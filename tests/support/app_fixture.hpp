// A real app folder for one test: database, uploads, sessions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "support/app_database.hpp"
#include "support/temp_dir.hpp"

namespace calib::test {

namespace fs = std::filesystem;

/// A new lower-case UUID 4. The same ones on every run, in the order of the calls.
std::string new_uuid();

/// What stands before the name of a directory that is aside; then a pass puts `@` and its mark.
inline const std::string aside_prefix = ".calib-cleanup.";

/// The name under which it stood; `entry` itself where it is not aside.
std::string without_staging(const std::string& entry);

/// What a file holds.
std::string bytes_in(const fs::path& path);

/// A time `hours` before now, as SQLAlchemy stores it.
std::string hours_ago(double hours);

/// An ordinary user, also where the tests run as root.
constexpr uid_t nobody_id = 65534;

/// The app's root folder, with an empty database and an empty uploads folder.
class App {
 public:
  explicit App(AppSchema schema = AppSchema::current, Journal journal = Journal::rollback);

  [[nodiscard]] const fs::path& root() const { return root_; }
  [[nodiscard]] fs::path uploads() const { return root_ / "uploads"; }
  /// Of SQLite alone: its file.
  [[nodiscard]] fs::path database() const { return root_ / "backend" / "calibration.db"; }
  /// What --database takes for the database, and what the tool calls it.
  [[nodiscard]] std::string database_option() const { return database_->option(); }
  [[nodiscard]] std::string database_shown() const { return database_->shown(); }
  /// As DATABASE_URL has it.
  [[nodiscard]] std::string database_url() const { return database_->url(); }
  /// A folder beside the app's, for what nothing may touch.
  [[nodiscard]] fs::path outside() const { return temp_.path() / "outside"; }
  [[nodiscard]] fs::path scratch(const std::string& name) const { return temp_.path() / name; }

  /// A whole session as an upload leaves it: row, directory, images, image rows, a result row.
  std::string add_session(double age_hours, int images = 3);
  /// Only the row. `created_at` and `images_dir` are SQL (`NULL`, `'text'`, `X'00'`).
  void add_session_row(const std::string& id, const std::string& created_at,
                       const std::string& images_dir = "");
  /// Rows of calibration_images, for any key.
  void add_image_rows(const std::string& session_id, int count);
  void add_stereo_row(const std::string& left, const std::string& right);
  /// A directory in uploads with `files` files of `bytes` bytes.
  fs::path add_directory(const std::string& name, int files = 2, std::size_t bytes = 3000) const;

  void execute(const std::string& sql) const;
  [[nodiscard]] std::int64_t number(const std::string& sql) const;
  [[nodiscard]] std::string text(const std::string& sql) const;
  [[nodiscard]] std::set<std::string> session_ids() const;
  [[nodiscard]] bool has_session(const std::string& id) const;
  /// Rows of every table that has a session_id, for this key.
  [[nodiscard]] std::int64_t rows_of(const std::string& session_id) const;
  /// Names directly in uploads, hidden ones too.
  [[nodiscard]] std::set<std::string> entries() const;
  /// The staged directory of this name, whoever's pass has put it aside; without a mark where there
  /// is none.
  [[nodiscard]] fs::path staged(const std::string& name) const;
  /// The names of directories that are aside.
  [[nodiscard]] std::set<std::string> staged_names() const;
  /// Whether the session is as add_session() made it: row, image rows, directory with that many
  /// images.
  [[nodiscard]] bool is_whole(const std::string& id, int images = 3) const;
  /// Whether nothing of it is left: no row in any table, no directory, nothing staged.
  [[nodiscard]] bool is_gone(const std::string& id) const;
  [[nodiscard]] bool is_sound() const { return database_->is_sound(); }
  /// Every row of every table, a line each.
  [[nodiscard]] std::vector<std::string> rows() const { return test::rows_of(*database_); }

  /// Everything below root: path -> kind, size, mode, mtime, contents; and every row of every
  /// table. Two equal ones: nothing was changed.
  [[nodiscard]] std::string fingerprint() const;

  /// From here on there is none, or one without a table.
  void lose_database() const { database_->vanish(); }
  void empty_database() const { database_->empty(); }

  /// Makes it the same as `other` is now: ids, rows and files.
  void become(const App& other) const;

  /// Somebody else who uses the database, until he goes.
  [[nodiscard]] std::unique_ptr<DatabaseUser> user(const std::string& sql) const {
    return database_->user(sql);
  }
  [[nodiscard]] std::unique_ptr<DatabaseUser> writer() const { return database_->writer(); }
  [[nodiscard]] std::unique_ptr<DatabaseUser> sole_user() const { return database_->sole_user(); }
  [[nodiscard]] AppDatabase& its_database() const { return *database_; }

  /// Gives everything to the user that `As::nobody` runs as.
  void give_away() const;

 private:
  TempDir temp_;
  fs::path root_;
  AppSchema schema_;
  std::unique_ptr<AppDatabase> database_;
};

}  // namespace calib::test
