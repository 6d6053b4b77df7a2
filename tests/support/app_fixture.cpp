#include "support/app_fixture.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "support/scale.hpp"

namespace calib::test {
namespace {

const std::string& stereo_columns() {
  static const std::string columns =
      "left_camera_matrix, left_distortion_coefficients, right_camera_matrix, "
      "right_distortion_coefficients, rotation_matrix, translation_vector, essential_matrix, "
      "fundamental_matrix, rectification_matrix_left, rectification_matrix_right, "
      "projection_matrix_left, projection_matrix_right, disparity_to_depth_mapping, "
      "reprojection_error, pattern_type, columns, rows, square_size";
  return columns;
}

}  // namespace

std::string without_staging(const std::string& entry) {
  if (!entry.starts_with(aside_prefix)) return entry;
  const auto name = entry.substr(aside_prefix.size());
  const auto at = name.rfind('@');
  const bool has_mark = at != std::string::npos && name.size() - at == 17 &&
                        name.find_first_not_of("0123456789abcdef", at + 1) == std::string::npos;
  return has_mark ? name.substr(0, at) : name;
}

std::string bytes_in(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::string new_uuid() {
  static std::mt19937_64 random(20251014);
  const auto high = random();
  const auto low = random();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}", high >> 32U,
                     (high >> 16U) & 0xffffU, high & 0xfffU, 8 + (low >> 62U),
                     (low >> 48U) & 0xfffU, low & 0xffffffffffffU);
}

std::string hours_ago(double hours) {
  const auto now =
      std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  const auto then = now - std::chrono::microseconds(static_cast<std::int64_t>(hours * 3.6e9));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(then);
  const auto clock = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  ::gmtime_r(&clock, &parts);
  std::array<char, 32> text{};
  const auto size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return fmt::format("{}.{:06}", std::string(text.data(), size), (then - seconds).count());
}

App::App(AppSchema schema, Journal journal) : root_(temp_.path() / "app"), schema_(schema) {
  fs::create_directories(root_ / "backend");
  fs::create_directories(uploads());
  fs::create_directories(outside());
  std::ofstream(outside() / "sentinel") << "nothing may touch this";
  database_ = make_app_database(root_, schema, journal);
}

void App::execute(const std::string& sql) const { database_->execute(sql); }

std::int64_t App::number(const std::string& sql) const { return std::stoll(text(sql)); }

std::string App::text(const std::string& sql) const { return database_->query(sql).at(0).at(0); }

void App::add_session_row(const std::string& id, const std::string& created_at,
                          const std::string& images_dir) {
  if (schema_ == AppSchema::june_2025) {
    execute(fmt::format("INSERT INTO sessions VALUES ({}, {})", sql_text(id), created_at));
    return;
  }
  execute(fmt::format("INSERT INTO sessions VALUES ({}, {}, {})", sql_text(id),
                      images_dir.empty() ? sql_text("uploads/" + id) : images_dir, created_at));
}

void App::add_image_rows(const std::string& session_id, int count) {
  if (count == 0) return;
  std::string rows;
  for (int i = 0; i < count; ++i) {
    rows += fmt::format("{}({}, {})", i == 0 ? "" : ", ", sql_text(session_id),
                        sql_text(fmt::format("uploads/{}/image_{:03}.png", session_id, i)));
  }
  execute("INSERT INTO calibration_images (session_id, image_path) VALUES " + rows);
}

std::string App::add_session(double age_hours, int images) {
  auto id = new_uuid();
  add_session_row(id, sql_text(hours_ago(age_hours)));
  add_directory(id, images);
  add_image_rows(id, images);
  execute(
      fmt::format("INSERT INTO calibration_results (session_id, camera_matrix, "
                  "distortion_coefficients, reprojection_error, pattern_type, columns, rows, "
                  "square_size) VALUES ({}, '[]', '[]', 0.3, 'chessboard', 9, 6, 25.0)",
                  sql_text(id)));
  return id;
}

void App::add_stereo_row(const std::string& left, const std::string& right) {
  std::string values;
  for (int i = 0; i < 18; ++i) values += ", 1";
  execute(fmt::format("INSERT INTO stereo_calibration_results (session_id, {}) VALUES ({}{})",
                      stereo_columns(), sql_text("stereo_" + left + "_" + right), values));
}

fs::path App::add_directory(const std::string& name, int files, std::size_t bytes) const {
  const auto directory = uploads() / name;
  fs::create_directories(directory);
  for (int i = 0; i < files; ++i) {
    std::ofstream(directory / fmt::format("image_{:03}.png", i), std::ios::binary)
        << std::string(bytes, static_cast<char>('a' + i % 26));
  }
  return directory;
}

std::set<std::string> App::session_ids() const {
  std::set<std::string> ids;
  for (auto& row : database_->query("SELECT id FROM sessions")) ids.insert(std::move(row.at(0)));
  return ids;
}

bool App::has_session(const std::string& id) const {
  return number("SELECT count(*) FROM sessions WHERE id = " + sql_text(id)) > 0;
}

std::int64_t App::rows_of(const std::string& session_id) const {
  std::int64_t rows = 0;
  for (const auto& table : database_->tables_with_session_id()) {
    rows += number(fmt::format("SELECT count(*) FROM \"{}\" WHERE session_id = {}", table,
                               sql_text(session_id)));
  }
  return rows;
}

std::set<std::string> App::entries() const {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(uploads())) {
    names.insert(entry.path().filename().string());
  }
  return names;
}

fs::path App::staged(const std::string& name) const {
  for (const auto& entry : entries()) {
    if (entry.starts_with(aside_prefix) && without_staging(entry) == name) return uploads() / entry;
  }
  return uploads() / (aside_prefix + name);
}

std::set<std::string> App::staged_names() const {
  std::set<std::string> names;
  for (const auto& entry : entries()) {
    if (entry.starts_with(aside_prefix)) names.insert(without_staging(entry));
  }
  return names;
}

bool App::is_whole(const std::string& id, int images) const {
  if (!has_session(id) || rows_of(id) != images + 1) return false;
  for (int i = 0; i < images; ++i) {
    if (!fs::is_regular_file(uploads() / id / fmt::format("image_{:03}.png", i))) return false;
  }
  return fs::is_directory(uploads() / id);
}

bool App::is_gone(const std::string& id) const {
  const auto names = entries();
  return !has_session(id) && rows_of(id) == 0 && !names.contains(id) &&
         !staged_names().contains(id);
}

std::string App::fingerprint() const {
  std::map<std::string, std::string> parts;
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    // SQLite may leave these beside a WAL database, also when it only reads.
    const auto name = entry.path().filename().string();
    if (name.ends_with("-wal") || name.ends_with("-shm")) continue;
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) != 0) {
      throw std::system_error(errno, std::generic_category(), entry.path().string());
    }
    parts[entry.path().string()] = fmt::format(
        "{:o} {} {} {}.{} {}", status.st_mode, status.st_ino,
        S_ISDIR(status.st_mode) ? 0 : status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
        S_ISREG(status.st_mode) ? std::hash<std::string>{}(bytes_in(entry.path())) : 0);
  }
  std::string result;
  for (const auto& [path, what] : parts) result += path + ": " + what + "\n";
  return result + database_->fingerprint();
}

void App::become(const App& other) const {
  fs::remove_all(root_);
  fs::copy(other.root_, root_, fs::copy_options::recursive);
  database_->become(*other.database_);
}

void App::give_away() const {
  if (::geteuid() != 0) return;  // then `nobody` is whoever runs the tests
  for (const auto& entry : fs::recursive_directory_iterator(temp_.path())) {
    if (::lchown(entry.path().c_str(), nobody_id, nobody_id) != 0) {
      throw std::system_error(errno, std::generic_category(), entry.path().string());
    }
  }
  if (::chown(temp_.path().c_str(), nobody_id, nobody_id) != 0) {
    throw std::system_error(errno, std::generic_category(), temp_.path().string());
  }
}

}  // namespace calib::test
