#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/call.hpp"
#include "base/fd.hpp"
#include "base/standard_streams.hpp"
#include "base/text.hpp"
#include "report/report.hpp"

namespace calib {
namespace {

using std::chrono::microseconds;

constexpr std::string_view last_success = "last_success_timestamp_seconds";

constexpr std::array<std::pair<ErrorKind, std::string_view>, 10> error_kinds{{
    {ErrorKind::session, "session"},
    {ErrorKind::directory, "directory"},
    {ErrorKind::orphan, "orphan"},
    {ErrorKind::records, "records"},
    {ErrorKind::database, "database"},
    {ErrorKind::uploads, "uploads"},
    {ErrorKind::busy, "busy"},
    {ErrorKind::limit, "limit"},
    {ErrorKind::output, "output"},
    {ErrorKind::interrupted, "interrupted"},
}};

std::string seconds_text(microseconds time) {
  const auto count = std::max(time, microseconds{0}).count();
  return fmt::format("{}.{:06}", count / 1'000'000, count % 1'000'000);
}

std::optional<std::int64_t> parse_digits(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc{} ? std::optional(value) : std::nullopt;
}

/// What seconds_text writes. Whatever has another form was not written by us.
std::optional<Instant> parse_seconds(std::string_view text) {
  constexpr std::size_t fraction_digits = 6;
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos || text.size() - dot - 1 != fraction_digits) return {};
  const auto whole = parse_digits(text.substr(0, dot));
  const auto fraction = parse_digits(text.substr(dot + 1));
  constexpr std::int64_t largest = Instant::max().time_since_epoch() / std::chrono::seconds{1};
  if (!whole || !fraction || *whole >= largest) return std::nullopt;
  return Instant{std::chrono::seconds{*whole} + microseconds{*fraction}};
}

/// The label that tells apps on one machine apart. The same however the path is written; links stay
/// as they are, for a folder that is missing must have the label that it had.
std::string uploads_label(const Report& report) {
  auto folder = std::filesystem::absolute(report.uploads).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // a slash at its end
  std::string value;
  for (const char c : valid_utf8(folder.string())) {
    if (c == '\\' || c == '"' || c == '\n') value += '\\';
    value += c == '\n' ? 'n' : c;
  }
  return fmt::format("uploads=\"{}\"", value);
}

/// The time of the last success in what an earlier pass on this folder wrote; before there was a
/// label it wrote none. Anybody may have written there since: two such lines, or a success later
/// than this pass, are not to be believed, and no time at all is what an alert notices.
std::optional<Instant> previous_success(std::string_view previous, std::string_view label,
                                        Instant now) {
  const std::string start = fmt::format("calib_cleanup_{}", last_success);
  const std::string labelled = fmt::format("{}{{{}}} ", start, label);
  const std::string plain = start + ' ';
  std::optional<Instant> found;
  while (!previous.empty()) {
    const std::string_view line = previous.substr(0, previous.find('\n'));
    previous.remove_prefix(std::min(line.size() + 1, previous.size()));
    const std::string& begin = line.starts_with(labelled) ? labelled : plain;
    if (!line.starts_with(begin)) continue;
    if (found) return std::nullopt;
    found = parse_seconds(line.substr(begin.size()));
    if (!found || *found > now) return std::nullopt;
  }
  return found;
}

class Exposition {
 public:
  explicit Exposition(std::string label) : label_(std::move(label)) {}

  void gauge(std::string_view name, std::string_view help, std::string_view value) {
    describe(name, help);
    sample(name, "", value);
  }

  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    gauge(name, help, fmt::to_string(value));
  }

  void describe(std::string_view name, std::string_view help) {
    text_ +=
        fmt::format("# HELP calib_cleanup_{0} {1}\n# TYPE calib_cleanup_{0} gauge\n", name, help);
  }

  /// `labels` are those before the one that all have, each with a comma.
  void sample(std::string_view name, std::string_view labels, std::string_view value) {
    text_ += fmt::format("calib_cleanup_{}{{{}{}}} {}\n", name, labels, label_, value);
  }

  [[nodiscard]] const std::string& label() const { return label_; }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string label_;
  std::string text_;
};

void write_times(Exposition& out, const Report& report, const std::string& previous) {
  const Instant ended = report.started + report.duration;
  out.gauge("last_run_timestamp_seconds", "When the last pass ended, as Unix time.",
            seconds_text(ended.time_since_epoch()));
  const auto success = exit_status(report) == 0 ? std::optional(ended)
                                                : previous_success(previous, out.label(), ended);
  if (success) {
    out.gauge(last_success, "When the last pass with status 0 ended, as Unix time.",
              seconds_text(success->time_since_epoch()));
  }
  out.gauge("duration_seconds", "How long the last pass took.", seconds_text(report.duration));
}

void write_work(Exposition& out, const Report& report) {
  std::uint64_t records = 0;
  for (const auto& [table, rows] : report.orphaned_records) records += rows;
  out.gauge("sessions_deleted", "Sessions that the last pass deleted.", report.sessions.size());
  out.gauge("orphaned_directories_deleted",
            "Directories without a session that the last pass deleted.", report.orphans.size());
  out.gauge("orphaned_records_deleted", "Leaked records that the last pass deleted.", records);
  out.gauge("freed_bytes", "Disk space that the last pass freed.", report.freed_bytes);
  // A pass that could not run has counted nothing, and 0 would read as an empty application.
  const bool has_run = report.outcome != Outcome::failed && report.outcome != Outcome::busy;
  if (has_run && report.kept.sessions) {
    out.gauge("sessions_kept", "Sessions that the last pass left.", *report.kept.sessions);
  }
  if (has_run && report.kept.directories) {
    out.gauge("directories_kept", "Directories in the uploads folder that the last pass left.",
              *report.kept.directories);
  }
  if (report.total_bytes) {
    out.gauge("uploads_bytes", "Disk space of the uploads folder.", *report.total_bytes);
  }
}

void write_errors(Exposition& out, const Report& report) {
  out.describe("errors", "Errors of the last pass, by what they are about.");
  for (const auto& entry : error_kinds) {
    const ErrorKind kind = entry.first;
    auto count =
        report.errors.count_if([kind](const Failure& failure) { return failure.kind == kind; });
    // That it was stopped is an outcome, and no failure of anything.
    if (kind == ErrorKind::interrupted && report.outcome == Outcome::interrupted) ++count;
    out.sample("errors", fmt::format("kind=\"{}\",", entry.second), fmt::to_string(count));
  }
  out.gauge("warnings", "Warnings of the last pass.", report.warnings.total());
}

[[noreturn]] void throw_error(int error, const std::filesystem::path& file, const char* what) {
  throw std::system_error(error, std::generic_category(),
                          fmt::format("{}: {}", file.string(), what));
}

/// Only a regular file is replaced: renaming over a link, a FIFO or /dev/null as root would leave
/// a plain file where the system needs the other thing.
void check_replaceable(const std::filesystem::path& file) {
  struct stat status {};
  if (::lstat(file.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    throw_error(errno, file, "cannot write the metrics");
  }
  if (S_ISDIR(status.st_mode)) throw_error(EISDIR, file, "cannot write the metrics");
  if (!S_ISREG(status.st_mode)) {
    throw_error(EINVAL, file,
                "cannot write the metrics: name a regular file, not a link or device");
  }
}

/// What an earlier pass left in `file`; empty where there is nothing. An error number where it
/// cannot be read.
std::pair<std::string, int> read_previous(const std::filesystem::path& file) {
  // It may have been swapped since it was checked: O_NONBLOCK, so that a FIFO does not hang us.
  const Fd fd(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return {"", errno == ENOENT ? 0 : errno};
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return {"", errno};
  if (!S_ISREG(status.st_mode)) return {"", EINVAL};

  // Ours has some KiB, and what is looked for stands at its beginning. Of something else, however
  // large, a part is enough to find nothing in it.
  constexpr std::size_t limit = 64UL * 1024;
  std::string text;
  std::array<char, 4096> buffer{};
  while (text.size() < limit) {
    const auto got = retry([&] { return ::read(fd.get(), buffer.data(), buffer.size()); });
    if (got < 0) return {"", errno};
    if (got == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return {std::move(text), 0};
}

/// A file beside the one to be replaced, gone again unless it is put in its place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target) : target_(target) {
    // Not the target's name with a suffix, which might be too long; hidden, and without .prom at
    // its end, so that the collector does not read it half-written.
    name_ = (directory() / ".calib-cleanup-metrics.XXXXXX").string();
    fd_ = Fd(::mkostemp(name_.data(), O_CLOEXEC));
    if (!fd_) throw_error(errno, target_, "cannot create a temporary file beside it");
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  TemporaryFile(TemporaryFile&&) = delete;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  // Where unlink fails, too, the error that led here is the one to report, and is on its way.
  ~TemporaryFile() {
    if (!replaced_) ::unlink(name_.c_str());
  }

  void write(std::string_view text) {
    if (const auto error = write_all(fd_.get(), text)) {
      throw_error(error.value(), target_, "cannot write the metrics");
    }
  }

  void replace_target() {
    // mkostemp made it 0600; the collector is another user, and the umask has no say.
    if (::fchmod(fd_.get(), 0644) != 0) throw_error(errno, target_, "cannot set its mode");
    if (::fsync(fd_.get()) != 0) throw_error(errno, target_, "cannot write the metrics");
    if (::rename(name_.c_str(), target_.c_str()) != 0) {
      throw_error(errno, target_, "cannot replace it");
    }
    replaced_ = true;
    const Fd parent(::open(directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent || ::fsync(parent.get()) != 0)
      throw_error(errno, target_, "cannot sync its folder");
  }

 private:
  [[nodiscard]] std::filesystem::path directory() const {
    return target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
  }

  const std::filesystem::path& target_;
  std::string name_;
  Fd fd_;
  bool replaced_ = false;
};

}  // namespace

std::string metrics_text(const Report& report, const std::string& previous) {
  Exposition out(uploads_label(report));
  write_times(out, report, previous);
  out.gauge("status", "Exit status of the last pass.",
            static_cast<std::uint64_t>(exit_status(report)));
  write_work(out, report);
  write_errors(out, report);
  out.describe("info", "The version that ran the last pass.");
  out.sample("info", "version=\"" CALIB_CLEANUP_VERSION "\",", "1");
  return out.take();
}

void write_metrics(const Report& report, const std::filesystem::path& file) {
  check_replaceable(file);
  // A success has its own time to write, and need not read the one before.
  auto [previous, error] = read_previous(file);
  // A mistyped name must not cost anybody a database or a .env.
  if (!previous.empty() && !previous.starts_with("# HELP calib_cleanup_")) {
    throw_error(EEXIST, file,
                "cannot write the metrics: this is no metrics file of calib-cleanup; name another");
  }
  if (exit_status(report) == 0) {
    previous.clear();
    error = 0;
  }

  TemporaryFile temporary(file);
  temporary.write(metrics_text(report, previous));
  temporary.replace_target();
  // Only now: that this pass failed is the news that monitoring must get, with or without the time
  // of the last success.
  if (error != 0) throw_error(error, file, "the time of the last success is lost: cannot read it");
}

}  // namespace calib
