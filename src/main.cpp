// calib-cleanup deletes expired calibration sessions: their records and their directories of
// images, together or not at all.
//
// The map of src/, one folder a line. Each may include only what stands above it here, and not all
// of that: folders.txt says what, and the build holds it. scripts/include_graph.py prints who
// includes whom.
//
//   base/              knows nothing of sessions: files, text, time, threads, how to stop; what
//                      differs between systems is behind base/system.hpp
//   model/             the nouns: options, sessions, entries, the report, what ends a pass
//   webapp/            what the web app writes: its .env, database URLs, paths of images
//   cli/               command line, environment, configuration file -> Options
//   uploads/           the folder: list, stage, restore, measure, purge
//   store/             what a pass needs of a database, and what its foreign keys say
//   store/sqlite/      … in a file of SQLite
//   store/postgresql/  … on a PostgreSQL server
//   plan/              pure: listing + sessions + rules + now -> Plan
//   report/            what was done, as values: as text, JSON, metrics; the line on a terminal
//   pass/              the steps: pass.cpp calls them in their order
//   console/           who sits before it: the question before a pass, results, complaints
//   main.cpp           parse -> run -> print -> exit status; the one catch-all
#include <cstdlib>
#include <exception>
#include <variant>

#include "base/standard_streams.hpp"
#include "base/stop.hpp"
#include "base/system.hpp"
#include "cli/command_line.hpp"
#include "console/ask.hpp"
#include "console/output.hpp"
#include "model/options.hpp"
#include "store/list_ids.hpp"

namespace {

using namespace calib;

constexpr int status_usage = 2;
constexpr int status_unable = 3;

StopFlag stop;

int run(Options options) {
  // Nobody else needs to know what each thing is that would go.
  options.may_ask = is_to_be_asked(options);
  if (options.may_ask) {
    if (const auto status = ask(options, stop)) return *status;
  }
  return finish(watched_pass(options, stop), options);
}

}  // namespace

int main(int argc, char** argv, char** environment_variables) {
  try {
    system::give_memory_back();
    keep_standard_descriptors();
    install_signal_handlers(stop);
    Environment environment;
    for (char** variable = environment_variables; *variable != nullptr; ++variable) {
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
