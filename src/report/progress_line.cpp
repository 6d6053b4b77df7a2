#include "report/progress_line.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "base/standard_streams.hpp"
#include "base/system.hpp"
#include "base/text.hpp"
#include "base/timestamp.hpp"

namespace calib {
namespace {

using namespace std::chrono_literals;

constexpr auto first_draw = 1s;
constexpr auto redraw = 200ms;
constexpr unsigned usual_columns = 80;

/// From the cursor to the end of the screen.
constexpr std::string_view wipe_rest = "\x1b[J";

/// `1,234,567`. Not fmt's {:L}: that is for the locale to decide, and we do not ask it.
std::string grouped(std::uint64_t number) {
  std::string digits = fmt::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string rate_text(double per_second) {
  if (per_second < 10) return fmt::format("{:.1f}/s", per_second);
  return grouped(static_cast<std::uint64_t>(per_second)) + "/s";
}

/// The first `columns` characters; a character is never cut in two.
std::string cut(std::string text, unsigned columns) {
  unsigned characters = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
    if (begins && ++characters > columns) {
      text.resize(at);
      break;
    }
  }
  return text;
}

/// The first line that fits, whole; where none does, what fits of the last one.
std::string widest(const std::vector<std::string>& lines, unsigned columns) {
  for (const auto& line : lines) {
    if (cut(line, columns).size() == line.size()) return line;
  }
  return cut(lines.back(), columns);
}

unsigned terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual_columns;
  return size.ws_col;
}

/// False where stderr takes no more: then there is nobody to tell, and nothing more to draw.
bool write_to_terminal(std::string_view text) { return !write_all(STDERR_FILENO, text); }

/// `waiting for another pass: 3 of 30 s, for calib-cleanup (process 812)`.
std::string wait_text(const Wait& wait, std::chrono::steady_clock::time_point now) {
  const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - wait.since).count();
  const std::chrono::duration<double> limit = wait.limit;
  auto text = fmt::format("{}: {} of {:g} s", wait.what, waited, limit.count());
  const auto holder = wait.holder.empty() ? system::lock_holder(wait.files) : wait.holder;
  if (!holder.empty()) text += ", for " + holder;
  return printable(text);
}

}  // namespace

std::string progress_line(const Progress::View& view, std::chrono::steady_clock::time_point now,
                          unsigned columns) {
  if (view.wait) return cut(wait_text(*view.wait, now), columns);
  std::string line = printable(view.what);
  if (view.total == 0) {
    if (view.done != 0) line += ": " + grouped(view.done);
    return cut(std::move(line), columns);
  }

  // More may be done than was counted before: files are added while we walk.
  const std::uint64_t done = std::min(view.done, view.total);
  const double part = static_cast<double>(done) / static_cast<double>(view.total);
  const int percent = static_cast<int>(part * 100);
  const auto counts = fmt::format(": {} of {} ({} %)", grouped(done), grouped(view.total), percent);

  // In the first second a rate is noise, and so is the time that it foretells.
  std::string rate_part;
  std::string left_part;
  const std::chrono::duration<double> elapsed = now - view.began;
  if (done != 0 && elapsed >= 1s) {
    const double rate = static_cast<double>(done) / elapsed.count();
    rate_part = ", " + rate_text(rate);
    // Bounded, so that a stalled pass does not overflow the conversion: nobody reads years.
    const double left = std::min(static_cast<double>(view.total - done) / rate, 1e9);
    if (done < view.total) {
      left_part =
          fmt::format(", {} left", age_text(std::chrono::duration_cast<std::chrono::microseconds>(
                                       std::chrono::duration<double>(left))));
    }
  }
  const auto short_counts = fmt::format(": {} %", percent);
  return widest({line + counts + rate_part + left_part, line + counts + left_part, line + counts,
                 line + short_counts + left_part, line + short_counts},
                columns);
}

ProgressLine::ProgressLine(const Progress& progress, When when) : progress_(progress) {
  const bool shown = when == When::always || (when == When::automatic && is_screen(STDERR_FILENO));
  if (shown) thread_.emplace([this](Pause& pause) { run(pause); });
}

ProgressLine::~ProgressLine() {
  if (!thread_) return;
  thread_.reset();
  if (drawn_) write_to_terminal(fmt::format("\r{}", wipe_rest));
}

void ProgressLine::run(Pause& pause) {
  for (std::chrono::milliseconds time = first_draw; pause.wait(time); time = redraw) {
    // One column stays free: a full line makes some terminals wrap, and \r leads to the wrong one.
    const std::string line =
        progress_line(progress_.view(), std::chrono::steady_clock::now(), terminal_columns() - 1);
    // The cursor goes back to the line's beginning. A terminal that was made narrower may have
    // broken the line: then all of it is still after the cursor, and the next draw wipes it.
    if (!write_to_terminal(fmt::format("\r{}{}\r", line, wipe_rest))) return;
    drawn_ = true;
  }
}

}  // namespace calib
