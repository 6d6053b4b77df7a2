#include "support/busy_app.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

namespace calib::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t image_bytes = 3000;

std::string image_name(int number) { return fmt::format("image_{:03}.png", number); }

/// As SQLAlchemy has it: the transaction begins with the first change.
void commit(Connection& database, const std::string& sql) {
  database.execute("BEGIN; " + sql + "; COMMIT");
}

bool write_image(const fs::path& path) {
  static const std::string content(image_bytes, 'i');
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return false;
  const auto written = ::write(file, content.data(), content.size());
  const int error = errno;
  ::close(file);
  errno = error;
  return written == static_cast<ssize_t>(content.size());
}

/// Empty, or why the app's user is told that it failed.
std::string refusal(const App& app, Connection& database, const Upload& upload, double hours) {
  const auto began = Clock::now();
  const auto is_live = [&] {
    const std::chrono::duration<double, std::ratio<3600>> since = Clock::now() - began;
    return upload.age_hours + since.count() < hours;
  };
  commit(database, fmt::format("INSERT INTO sessions VALUES ('{0}', 'uploads/{0}', '{1}')",
                               upload.id, hours_ago(upload.age_hours)));
  const auto directory = app.uploads() / upload.id;
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return fmt::format("{}: {}", directory.string(), std::strerror(errno));
  }
  std::string rows;
  for (int i = 0; i < images_of_upload; ++i) {
    if (!write_image(directory / image_name(i))) {
      const int error = errno;
      // An expired one may go at any moment, and the app's user is told so.
      if (error == ENOENT && !is_live()) return {};
      return fmt::format("{}: {}", (directory / image_name(i)).string(), std::strerror(error));
    }
    rows += fmt::format("{}('{}', 'uploads/{}/{}')", i == 0 ? "" : ", ", upload.id, upload.id,
                        image_name(i));
  }
  try {
    commit(database, "INSERT INTO calibration_images (session_id, image_path) VALUES " + rows);
  } catch (const std::exception& error) {
    // Where foreign keys are enforced, the app's user is told so here.
    if (is_live()) return error.what();
  }
  return {};
}

int upload_all(const App& app, const std::vector<Upload>& uploads, double hours) {
  int refused = 0;
  for (const auto& upload : uploads) {
    std::string why;
    try {
      // A connection for each, as a request has one.
      const auto database = app.its_database().connection_of_the_app();
      why = refusal(app, *database, upload, hours);
    } catch (const std::exception& error) {
      why = error.what();
    }
    if (why.empty()) continue;
    std::fprintf(stderr, "upload of %s refused: %s\n", upload.id.c_str(), why.c_str());
    refused = 1;
  }
  return refused;
}

std::set<std::string> known_sessions(const App& app) {
  const auto database = app.its_database().connection_of_the_app();
  std::set<std::string> ids;
  for (auto& row : database->query("SELECT id FROM sessions")) ids.insert(std::move(row.at(0)));
  return ids;
}

int clean_up_without_an_end(const App& app) {
  for (;;) {
    const auto names = app.entries();
    const auto known = known_sessions(app);
    for (const auto& name : names) {
      std::error_code ignored;  // as the app ignores them: a pass may be faster
      if (!known.contains(name)) fs::remove_all(app.uploads() / name, ignored);
    }
  }
}

}  // namespace

ChildProcess start_uploads(const App& app, std::vector<Upload> uploads, double hours) {
  return ChildProcess([&] { return upload_all(app, uploads, hours); });
}

ChildProcess start_cleanups_of_the_app(const App& app) {
  return ChildProcess([&] { return clean_up_without_an_end(app); });
}

std::vector<std::string> lost_files(const App& app, Look look) {
  // Until the rows have been compared with the files.
  const auto nobody_else = app.writer();
  std::string sql =
      "SELECT i.image_path FROM calibration_images i JOIN sessions s ON s.id = i.session_id";
  if (look == Look::at_live) sql += fmt::format(" WHERE s.created_at > '{}'", hours_ago(24));
  std::vector<std::string> lost;
  for (auto& row : app.its_database().query(sql)) {
    std::error_code error;
    if (fs::file_size(app.root() / row.at(0), error) != image_bytes) {
      lost.push_back(std::move(row.at(0)));
    }
  }
  return lost;
}

}  // namespace calib::test
