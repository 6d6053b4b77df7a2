#include "pass/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/parallel.hpp"
#include "plan/sorted_index.hpp"

namespace calib {
namespace {

// Two that only read are in each other's way nowhere, and a short walk is over before a rate is
// known.
constexpr unsigned first_readers = 2;

/// For each entry of a listing: which of Measured::usages it adds to, or `stays`.
using Parts = std::vector<std::uint32_t>;
constexpr auto stays = std::numeric_limits<std::uint32_t>::max();

/// What walking the directories of a folder came to.
struct Measured {
  std::vector<Usage> usages;  ///< of what goes
  std::uint64_t exclusive_bytes = 0;
  std::uint64_t going_bytes = 0;  ///< the part of it that goes
  HardLinks links;
};

void walk(const UploadDir& uploads, const std::vector<Entry>& listing, const Parts& parts,
          unsigned jobs, const StopFlag& stop, Progress& progress, Report& report,
          Measured& result) {
  std::mutex mutex;
  const auto lost_and_found = uploads.path() + "/lost+found";
  const auto add = [&](const TreeResult& tree, Fate fate) {
    result.exclusive_bytes += tree.exclusive_bytes;
    if (fate == Fate::goes) result.going_bytes += tree.exclusive_bytes;
    // What is mounted there is not of this folder, and lost+found is root's.
    const auto is_told = [&](const PathError& error) {
      return error.error != std::errc::cross_device_link && error.path != lost_and_found;
    };
    const auto text = [](const PathError& error) {
      return fmt::format("{}: it cannot be measured: {}", error.path, error.error.message());
    };
    for (const auto& error : tree.errors) {
      if (is_told(error)) report.warnings.push_back(text(error));
    }
    tree.errors.for_each_rest([&](const PathError& like, std::uint64_t count) {
      if (is_told(like)) report.warnings.leave_out(text(like), count);
    });
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
    const auto part = parts[static_cast<std::size_t>(directories[i] - listing.data())];
    const auto fate = part == stays ? Fate::stays : Fate::goes;
    const auto tree = uploads.measure(directories[i]->name, fate, result.links, stop);
    const std::lock_guard lock(mutex);
    if (fate == Fate::goes) result.usages[part] += tree.usage;
    add(tree, fate);
    return tree.usage.files + 1;
  });
}

bool is_counted(const Entry& entry) {
  return entry.kind == EntryKind::directory && !entry.name.starts_with('.');
}

/// One part for each planned session, one for each orphan, and one for all leftovers. Counts the
/// directories that stay.
Parts parts_of(const std::vector<Entry>& listing, const Agenda& agenda,
               std::uint64_t& kept_directories) {
  const auto& plan = agenda.plan;
  const EntriesByName entries(listing);
  Parts parts(listing.size(), stays);
  const auto position = [&](std::string_view name) -> std::optional<std::size_t> {
    const auto* entry = entries.find(name);
    if (entry == nullptr) return std::nullopt;
    return static_cast<std::size_t>(entry - listing.data());
  };
  const auto mark = [&](std::string_view name, std::size_t part) {
    const auto at = position(name);
    // Where sessions share a directory, the first one has its size.
    if (at && parts[*at] == stays) parts[*at] = static_cast<std::uint32_t>(part);
  };
  std::multimap<std::string_view, std::string_view> aside;
  for (const auto& entry : plan.restores) aside.emplace(parse_staged(entry)->name, entry);
  for (const auto& unit : agenda.units) {
    for (const auto owner : unit.owners) {
      if (owner >= plan.sessions.size()) continue;
      const auto name = plan.sessions[owner].directory;
      mark(name, owner);
      const auto [first, last] = aside.equal_range(name);
      for (auto entry = first; entry != last; ++entry) mark(entry->second, owner);
    }
  }
  auto part = plan.sessions.size();
  for (const auto& orphan : agenda.orphans) mark(orphan.name, part++);
  for (const auto& leftover : plan.leftovers) mark(leftover, part);

  for (std::size_t i = 0; i < listing.size(); ++i) {
    if (is_counted(listing[i]) && parts[i] == stays) ++kept_directories;
  }
  // A staged directory that a pass gives back stands under its own name then.
  for (auto name = aside.begin(); name != aside.end(); name = aside.upper_bound(name->first)) {
    const auto at = position(name->first);
    const auto entry = position(name->second);
    const bool goes = entry && parts[*entry] != stays;
    if (!goes && (!at || !is_counted(listing[*at]))) ++kept_directories;
  }
  return parts;
}

}  // namespace

std::uint64_t count_directories(const std::vector<Entry>& listing) {
  return static_cast<std::uint64_t>(std::count_if(listing.begin(), listing.end(), is_counted));
}

std::uint64_t measure_folder(const UploadDir& uploads, const std::vector<Entry>& listing,
                             unsigned jobs, const StopFlag& stop, Progress& progress,
                             Report& report) {
  Measured result;
  walk(uploads, listing, Parts(listing.size(), stays), jobs, stop, progress, report, result);
  return result.exclusive_bytes + result.links.allocated_bytes();
}

void measure_preview(Agenda& agenda, const UploadDir& uploads, unsigned jobs, const StopFlag& stop,
                     Progress& progress, Report& report) {
  const auto& plan = agenda.plan;
  const auto& survey = agenda.survey;
  Measured result;
  result.usages.resize(plan.sessions.size() + agenda.orphans.size() + 1);
  std::uint64_t kept_directories = 0;
  {
    // A million entries and as many lines of the report are too much at once.
    const auto listing = std::move(agenda.listing);
    const auto parts = parts_of(listing, agenda, kept_directories);
    walk(uploads, listing, parts, jobs, stop, progress, report, result);
  }
  if (stop.requested()) return;

  report.texts.push_back(plan.texts);
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
      line.usage = result.usages[owner];
      line.records.reserve(survey.tables.size());
      for (std::size_t table = 0; table < survey.tables.size(); ++table) {
        line.records.push_back(survey.counts.at(owner, table));
      }
      report.sessions.push_back(std::move(line));
    }
  }
  auto part = plan.sessions.size();
  for (auto& orphan : agenda.orphans) orphan.usage = result.usages[part++];
  report.orphans = std::move(agenda.orphans);
  report.total_bytes = result.exclusive_bytes + result.links.allocated_bytes();
  report.freed_bytes = result.going_bytes + result.links.freed_bytes();
  report.kept.sessions = plan.sessions_seen - report.sessions.size();
  report.kept.directories = kept_directories;
  report.kept.allocated_bytes =
      result.exclusive_bytes - result.going_bytes + result.links.staying_bytes();
}

}  // namespace calib
