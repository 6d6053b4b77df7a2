// calib-cleanup deletes expired calibration sessions: their records and their directories of
// images, together or not at all.
//
// The map of src/, in the order in which data flows (includes point the same way, never back):
//
//   main.cpp               parse -> run -> print -> exit status; the one catch-all
//   options                command line, environment, configuration file -> Options
//     option_table, option_values, config_file, small_file, settings
//   database_location      URLs and .env, as the app reads them   (dotenv)
//   cleanup                the pass, step by step
//     agenda               what it is to do: the plan, and what narrows it
//       plan               pure: listing + sessions + rules + now -> Plan   (images_dir, claims,
//                          lookup); plan_sharing knows who shares a directory
//     new_claims           what came while the pass ran
//     unclaimed            leftovers and orphans: what goes without a transaction
//     units, slices        whole sessions, one transaction of database and folder each
//       slice_refusals     … who is left out of it
//       slice_files        … the folder's side of it
//       lock_budget        … how much it takes in
//     removal              the folder's lock; giving back and removing entries of it
//     measure              what directories occupy: the dry run
//   session_ids            what a shell offers after --session
//   session_store          what a pass needs of a database
//     cascade              what its foreign keys say; session_keys reads what a session_id names
//     unplaced             rows that may be a session's, and that no foreign key places
//     sqlite_store         … in SQLite: sqlite_own_log, _connection, _journal, _schema,
//                          _sessions, _knowledge,
//                          _row_function, _pieces, _anchors, _scan, _added_rows, _closure,
//                          _transaction
//     postgresql_store     … on a PostgreSQL server:
//                          postgresql_url, _library, _connect, _connection, _errors, _rows,
//                          _schema, _guard, _references, _knowledge, _survey, _closure,
//                          _choice, _deletion, _transaction
//   upload_dir             the uploads folder: list, stage, restore, purge   (tree, tree_account,
//                          dir_io, mounts)
//   report                 what was done, as values: report_text, report_json, report_metrics
//   progress               the line on a terminal
//   journal                priorities of lines that go to systemd's journal
//   workers                threads, as many as get the most done   (pace)
//   stop, fd, limited_list, text, text_pool, timestamp, usage: small things that everyone may use
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>

#include "cleanup.hpp"
#include "journal.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "session_ids.hpp"
#include "standard_streams.hpp"
#include "stop.hpp"

namespace {

using namespace calib;

constexpr int status_failure = 1;
constexpr int status_usage = 2;
constexpr int status_unable = 3;

StopFlag stop;

Color color_for(When when, int descriptor) {
  if (when == When::automatic) return ::isatty(descriptor) == 1 ? Color::yes : Color::no;
  return when == When::always ? Color::yes : Color::no;
}

Priorities priorities_of(int descriptor) {
  return priorities_for(descriptor, std::getenv("JOURNAL_STREAM"));
}

void complain(const std::string& text) {
  const char* no_color = std::getenv("NO_COLOR");
  const auto when = no_color != nullptr && *no_color != '\0' ? When::never : When::automatic;
  write_all(STDERR_FILENO, diagnostic_line(Priority::error, text, color_for(when, STDERR_FILENO),
                                           priorities_of(STDERR_FILENO)));
}

/// Results go out when the work is done; that they cannot is an error of its own.
int print(const std::function<void(const TextSink&)>& results, int status) {
  std::error_code error;
  results([&](std::string_view part) {
    if (!error) error = write_all(STDOUT_FILENO, part);
  });
  if (!error) return status;
  complain(fmt::format("standard output: {}; the work itself ended with status {}", error.message(),
                       status));
  return status == 0 ? status_failure : status;
}

int print(const std::string& text, int status) {
  return print([&](const TextSink& write) { write(text); }, status);
}

void write_results(const Report& report, const Options& options, const TextSink& write) {
  // A document is for a program, wherever it goes.
  if (options.format == Format::json) return json_report(report, write);
  const auto text = text_report(report, options.verbosity, color_for(options.color, STDOUT_FILENO));
  const bool shown = priorities_of(STDOUT_FILENO) == Priorities::shown;
  write(shown ? with_priority(text, Priority::information) : text);
}

int run(const Options& options) {
  Progress progress;
  auto report = [&] {
    const ProgressLine line(progress,
                            options.verbosity == Verbosity::quiet ? When::never : options.progress);
    const auto now =
        std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    return clean_up(options, now, stop, progress);
  }();
  if (options.metrics && options.dry_run == DryRun::no) {
    try {
      write_metrics(report, *options.metrics);
    } catch (const std::system_error& error) {
      report.errors.push_back({"",
                               fmt::format("the metrics could not be written: {}", error.what()),
                               ErrorKind::output});
    }
  }
  const int status = print([&](const TextSink& write) { write_results(report, options, write); },
                           exit_status(report));
  write_all(STDERR_FILENO, diagnostics(report, color_for(options.color, STDERR_FILENO),
                                       priorities_of(STDERR_FILENO)));
  return status;
}

/// Lists of a million sessions go back to the system when they are let go. By default the GNU C
/// library sees large blocks come and go, and keeps larger ones from then on.
void give_memory_back() {
#ifdef __GLIBC__
  constexpr int most_kept = 1 << 20;
  static_cast<void>(::mallopt(M_MMAP_THRESHOLD, most_kept));
  // A threshold that is set is no longer raised by itself, so that what each slice takes for
  // SQLite's pages would go back and come anew, page by page.
  constexpr int most_unused = 8 << 20;
  static_cast<void>(::mallopt(M_TRIM_THRESHOLD, most_unused));
#endif
}

}  // namespace

int main(int argc, char** argv) {
  try {
    give_memory_back();
    keep_standard_descriptors();
    install_signal_handlers(stop);
    Environment environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      environment.emplace_back(*variable);
    }
    const auto parsed = parse_options({argv + (argc > 0 ? 1 : 0), argv + argc}, environment);
    if (const auto* information = std::get_if<InformationText>(&parsed)) {
      return print(information->text, EXIT_SUCCESS);
    }
    if (const auto* request = std::get_if<SessionIdsRequest>(&parsed)) {
      return print(session_ids(request->database, stop), EXIT_SUCCESS);
    }
    return run(std::get<Options>(parsed));
  } catch (const UsageError& error) {
    complain(error.what());
    return status_usage;
  } catch (const std::exception& error) {
    complain(error.what());
    return status_unable;
  }
}
