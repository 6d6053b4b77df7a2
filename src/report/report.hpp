// What is told of a pass: its exit status, and its report as text, JSON and metrics.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/options.hpp"
#include "model/report.hpp"
#include "report/journal_priority.hpp"

namespace calib {

/// The exit status of the contract.
int exit_status(const Report& report);

/// One sentence about how it went: `Cleanup completed successfully` on status 0, or that a dry run
/// has changed nothing, else what is wrong. The `message` of the JSON document.
std::string message(const Report& report);

/// How many of those that are listed went, or would go.
std::size_t deleted_sessions(const Report& report);
std::size_t deleted_directories(const Report& report);

/// What is listed, in the order in which text and JSON list it: largest first by allocated bytes,
/// ties by name. Pointers into the argument.
std::vector<const SessionLine*> largest_first(const std::vector<SessionLine>& sessions);
std::vector<const OrphanLine*> largest_first(const std::vector<OrphanLine>& orphans);
std::vector<const KeptSession*> largest_first(const std::vector<KeptSession>& sessions);

/// Whether to write escape codes; When::automatic is settled by who calls.
enum class Color { no, yes };

/// How much of a list is shown: a person at a terminal wants the 20 largest, a program all of it.
enum class Lists { whole, largest };

/// What bars are drawn with.
enum class Charset { ascii, utf8 };

/// The summary, and in a dry run (or with Verbosity::verbose) the tables before it; in a dry run
/// the audit after it. Lines end with a newline; empty for Verbosity::quiet.
std::string text_report(const Report& report, Verbosity verbosity, Color color,
                        Lists lists = Lists::whole, Charset charset = Charset::ascii);

/// What a dry run says that would go, without the tables: to be asked about.
std::string plan_summary(const Report& report);

/// Warnings and errors, a line each: `calib-cleanup: warning: …`, `calib-cleanup: error: …`. Ten of
/// one kind (see Failures), then a line for the rest of them.
std::string diagnostics(const Report& report, Color color, Priorities priorities);

/// One such line, escaped. `level` is Priority::error or Priority::warning.
std::string diagnostic_line(Priority level, const std::string& text, Color color,
                            Priorities priorities);

/// Takes a text in parts, one after the other.
using TextSink = std::function<void(std::string_view)>;

/// Writes the JSON document of the contract, with a newline at its end, in parts of some 64 KiB:
/// there may be a million sessions in it.
void json_report(const Report& report, const TextSink& write);

/// Prometheus text format. `previous` is what the file held before (empty where there was none):
/// the time of the last success is carried over from it by a pass that fails.
std::string metrics_text(const Report& report, const std::string& previous);

/// Writes metrics_text to `file` atomically (a temporary file beside it, fsync, rename), mode 0644.
/// Throws std::system_error.
void write_metrics(const Report& report, const std::filesystem::path& file);

}  // namespace calib
