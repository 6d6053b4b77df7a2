#include "measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "lookup.hpp"
#include "workers.hpp"

namespace calib {
namespace {

// Two that only read are in each other's way nowhere, and a short walk is over before a rate is
// known.
constexpr unsigned first_readers = 2;

/// What walking the directories of a folder came to.
struct Walk {
  std::vector<Usage> usages;  ///< of those that go, for each entry of the listing
  std::uint64_t exclusive_bytes = 0;
  std::uint64_t going_bytes = 0;  ///< the part of it that goes
  HardLinks links;
};

void walk(const UploadDir& uploads, const std::vector<Entry>& listing,
          const std::vector<bool>& going, unsigned jobs, const StopFlag& stop, Progress& progress,
          Report& report, Walk& result) {
  std::mutex mutex;
  const auto lost_and_found = uploads.path() + "/lost+found";
  const auto add = [&](const TreeResult& tree, Fate fate) {
    result.exclusive_bytes += tree.exclusive_bytes;
    if (fate == Fate::goes) result.going_bytes += tree.exclusive_bytes;
    for (const auto& error : tree.errors) {
      // What is mounted there is not of this folder, and lost+found is root's.
      if (error.error == std::errc::cross_device_link || error.path == lost_and_found) continue;
      report.warnings.push_back(
          fmt::format("{}: it cannot be measured: {}", error.path, error.error.message()));
    }
  };
  add(uploads.measure_top(result.links, stop), Fate::stays);
  std::vector<const Entry*> directories;
  for (const auto& entry : listing) {
    if (entry.kind == EntryKind::directory) directories.push_back(&entry);
  }
  std::sort(directories.begin(), directories.end(),
            [](const Entry* a, const Entry* b) { return a->inode < b->inode; });
  Workers(jobs, stop, first_readers).run(directories.size(), [&](std::size_t i) {
    progress.advance();
    const auto position = static_cast<std::size_t>(directories[i] - listing.data());
    const auto fate = going[position] ? Fate::goes : Fate::stays;
    const auto tree = uploads.measure(directories[i]->name, fate, result.links, stop);
    const std::lock_guard lock(mutex);
    if (fate == Fate::goes) result.usages[position] = tree.usage;
    add(tree, fate);
    return tree.usage.files + 1;
  });
}

bool is_counted(const Entry& entry) {
  return entry.kind == EntryKind::directory && !entry.name.starts_with('.');
}

}  // namespace

std::uint64_t count_directories(const std::vector<Entry>& listing) {
  return static_cast<std::uint64_t>(std::count_if(listing.begin(), listing.end(), is_counted));
}

std::uint64_t measure_folder(const UploadDir& uploads, const std::vector<Entry>& listing,
                             unsigned jobs, const StopFlag& stop, Progress& progress,
                             Report& report) {
  Walk result;
  walk(uploads, listing, std::vector<bool>(listing.size()), jobs, stop, progress, report, result);
  return result.exclusive_bytes + result.links.allocated_bytes();
}

void measure_preview(Agenda& agenda, const UploadDir& uploads, unsigned jobs, const StopFlag& stop,
                     Progress& progress, Report& report) {
  const auto& listing = agenda.listing;
  const auto& plan = agenda.plan;
  const auto& survey = agenda.survey;
  const EntriesByName entries(listing);
  std::vector<bool> going(listing.size());
  const auto position = [&](std::string_view name) -> std::optional<std::size_t> {
    const auto* entry = entries.find(name);
    if (entry == nullptr) return std::nullopt;
    return static_cast<std::size_t>(entry - listing.data());
  };
  const auto mark = [&](std::string_view name) {
    if (const auto at = position(name)) going[*at] = true;
  };
  const auto staged = [](std::string_view name) { return std::string(staged_prefix).append(name); };
  for (const auto& unit : agenda.units) {
    for (const auto owner : unit.owners) {
      if (owner >= plan.sessions.size()) continue;
      mark(plan.sessions[owner].directory);
      mark(staged(plan.sessions[owner].directory));
    }
  }
  for (const auto& orphan : agenda.orphans) mark(orphan.name);
  for (const auto& leftover : plan.leftovers) mark(staged(leftover));

  Walk result;
  result.usages.resize(listing.size());
  walk(uploads, listing, going, jobs, stop, progress, report, result);
  if (stop.requested()) return;

  // Where sessions share a directory, the first one has its size.
  const auto take = [&](std::string_view name) {
    const auto at = position(name);
    return at ? std::exchange(result.usages[*at], {}) : Usage{};
  };
  report.texts = plan.texts;
  report.sessions.reserve(agenda.units.size());
  for (const auto& unit : agenda.units) {
    for (const auto owner : unit.owners) {
      if (owner >= plan.sessions.size()) {
        for (std::size_t table = 0; table < survey.tables.size(); ++table) {
          const auto rows = survey.counts.at(owner, table);
          if (rows > 0) report.orphaned_records[survey.tables[table]] += rows;
        }
        continue;
      }
      auto line = line_of(plan.sessions[owner]);
      line.usage = take(line.directory);
      line.usage += take(staged(line.directory));
      line.records.reserve(survey.tables.size());
      for (std::size_t table = 0; table < survey.tables.size(); ++table) {
        line.records.push_back(survey.counts.at(owner, table));
      }
      report.sessions.push_back(std::move(line));
    }
  }
  for (auto& orphan : agenda.orphans) orphan.usage = take(orphan.name);
  report.orphans = std::move(agenda.orphans);
  report.total_bytes = result.exclusive_bytes + result.links.allocated_bytes();
  report.freed_bytes = result.going_bytes + result.links.freed_bytes();
  report.kept.sessions = plan.sessions_seen - report.sessions.size();
  for (std::size_t i = 0; i < listing.size(); ++i) {
    if (is_counted(listing[i]) && !going[i]) ++report.kept.directories;
  }
  // A staged directory that a pass gives back stands under its own name then.
  for (const auto& name : plan.restores) {
    const auto at = position(name);
    const auto aside = position(staged(name));
    const bool goes = aside && going[*aside];
    if (!goes && (!at || !is_counted(listing[*at]))) ++report.kept.directories;
  }
  report.kept.allocated_bytes =
      result.exclusive_bytes - result.going_bytes + result.links.staying_bytes();
}

}  // namespace calib
