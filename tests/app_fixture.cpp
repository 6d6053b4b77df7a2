#include "app_fixture.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "scale.hpp"

namespace calib::test {
namespace {

constexpr uid_t nobody = 65534;

std::string slurp(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

int unnamed_file() {
  const int file = ::memfd_create("output", MFD_CLOEXEC);
  if (file < 0) throw std::system_error(errno, std::generic_category(), "memfd_create");
  return file;
}

std::string written_to(int file) {
  std::string text(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)), '\0');
  if (::pread(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    throw std::system_error(errno, std::generic_category(), "output");
  }
  return text;
}

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
         !names.contains(".calib-cleanup." + id);
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
        S_ISREG(status.st_mode) ? std::hash<std::string>{}(slurp(entry.path())) : 0);
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
    if (::lchown(entry.path().c_str(), nobody, nobody) != 0) {
      throw std::system_error(errno, std::generic_category(), entry.path().string());
    }
  }
  if (::chown(temp_.path().c_str(), nobody, nobody) != 0) {
    throw std::system_error(errno, std::generic_category(), temp_.path().string());
  }
}

Running::Running(const std::vector<std::string>& arguments, const RunOptions& options)
    : out_(unnamed_file()), err_(unnamed_file()) {
  std::vector<std::string> environment{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC0"};
  for (const auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  if (!options.interpose.empty() || options.clock_wrong_by != 0) {
    environment.emplace_back("LD_PRELOAD=" INTERPOSER);
    environment.push_back("CALIB_TEST_AT=" + options.interpose);
    if (options.clock_wrong_by != 0) {
      environment.push_back(fmt::format("CALIB_TEST_CLOCK={}", options.clock_wrong_by));
    }
    // The sanitizer wants to be loaded first, but our library only wraps a few calls.
    environment.emplace_back("ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0");
  }
  std::vector<std::string> words{options.executable.empty() ? executable() : options.executable};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (auto& variable : environment) envp.push_back(variable.data());
  envp.push_back(nullptr);

  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ == 0) {
    // Between fork and exec only what is safe there.
    const int in = ::open("/dev/null", O_RDONLY);
    ::dup2(in, 0);
    if (!options.stdout_file) {
      ::dup2(out_, 1);
    } else if (options.stdout_file->empty()) {
      ::close(1);
    } else {
      ::dup2(::open(options.stdout_file->c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644), 1);
    }
    ::dup2(err_, 2);
    ::alarm(options.seconds);
    if (options.open_files) {
      const struct rlimit limit { *options.open_files, *options.open_files };
      if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::_exit(123);
    }
    if (options.file_bytes) {
      const struct rlimit limit { *options.file_bytes, *options.file_bytes };
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(123);
    }
    if (options.directory && ::chdir(options.directory->c_str()) != 0) ::_exit(120);
    if (options.as == As::nobody && ::geteuid() == 0 &&
        (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) {
      ::_exit(121);
    }
    ::execve(argv.front(), argv.data(), envp.data());
    ::_exit(122);
  }
}

Running::~Running() {
  ::close(out_);
  ::close(err_);
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Running::signal(int number) const { ::kill(pid_, number); }

bool Running::wait_until_stopped() {
  int status = 0;
  if (::waitpid(pid_, &status, WUNTRACED) != pid_) {
    throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  if (WIFSTOPPED(status)) return true;
  ended_ = status;
  return false;
}

bool Running::is_stopped() const {
  // proc(5): the state stands behind the name, which is in brackets.
  std::ifstream file(fmt::format("/proc/{}/stat", pid_));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.find(") T ") != std::string::npos;
}

Ran Running::finish() {
  if (!ended_) {
    // Only where it was stopped: SIGCONT would take away the SIGSTOP with which LeakSanitizer stops
    // a process at its end, and then waits for ever.
    if (is_stopped()) ::kill(pid_, SIGCONT);
    int status = 0;
    struct rusage usage {};
    if (::wait4(pid_, &status, 0, &usage) != pid_) {
      throw std::system_error(errno, std::generic_category(), "wait4");
    }
    ended_ = status;
    peak_bytes_ = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }
  Ran ran;
  ran.peak_bytes = peak_bytes_;
  ran.status = WIFEXITED(*ended_) ? WEXITSTATUS(*ended_) : 128 + WTERMSIG(*ended_);
  ran.out = written_to(out_);
  ran.err = written_to(err_);
  return ran;
}

Ran run_tool(const std::vector<std::string>& arguments, const RunOptions& options) {
  return Running(arguments, options).finish();
}

Ran run_on(const App& app, std::vector<std::string> arguments, const RunOptions& options) {
  arguments.insert(arguments.begin(), {"--app-dir", app.root().string()});
  return run_tool(arguments, options);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool has_line(const std::string& text, const std::string& line) {
  const auto lines = lines_of(text);
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

}  // namespace calib::test
