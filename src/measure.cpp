#include "measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include "workers.hpp"

namespace calib {
namespace {

/// What walking the directories of a folder came to, each directory by its entry's name.
struct Walk {
  std::map<std::string_view, Usage> usages;
  std::uint64_t exclusive_bytes = 0;
  std::uint64_t going_bytes = 0;  ///< the part of it that goes
  HardLinks links;
};

void walk(const UploadDir& uploads, const std::vector<Entry>& listing,
          const std::set<std::string, std::less<>>& going, unsigned jobs, const StopFlag& stop,
          Progress& progress, Report& report, Walk& result) {
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
  Workers(jobs, stop).run(directories.size(), [&](std::size_t i) {
    progress.advance();
    const auto& name = directories[i]->name;
    const auto fate = going.contains(name) ? Fate::goes : Fate::stays;
    const auto tree = uploads.measure(name, fate, result.links, stop);
    const std::lock_guard lock(mutex);
    if (fate == Fate::goes) result.usages.emplace(name, tree.usage);
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
  walk(uploads, listing, {}, jobs, stop, progress, report, result);
  return result.exclusive_bytes + result.links.allocated_bytes();
}

Preview::Preview(const Plan& plan, const std::vector<Unit>& units, const Survey& survey,
                 const std::vector<Entry>& listing, std::vector<OrphanLine>& orphans)
    : plan_(plan), units_(units), survey_(survey), listing_(listing), orphans_(orphans) {}

void Preview::measure(const UploadDir& uploads, unsigned jobs, const StopFlag& stop,
                      Progress& progress, Report& report) {
  std::set<std::string, std::less<>> going;
  const auto staged = [](const std::string& name) { return std::string(staged_prefix) + name; };
  for (const auto& unit : units_) {
    for (const auto owner : unit.owners) {
      if (owner >= plan_.sessions.size()) continue;
      going.insert(plan_.sessions[owner].directory());
      going.insert(staged(plan_.sessions[owner].directory()));
    }
  }
  for (const auto& orphan : orphans_) going.insert(orphan.name);
  for (const auto& leftover : plan_.leftovers) going.insert(staged(leftover));

  Walk result;
  walk(uploads, listing_, going, jobs, stop, progress, report, result);

  // Where sessions share a directory, the first one has its size.
  const auto take = [&](const std::string& entry) {
    const auto found = result.usages.find(entry);
    return found == result.usages.end() ? Usage{} : std::exchange(found->second, {});
  };
  for (const auto& unit : units_) {
    for (const auto owner : unit.owners) {
      if (owner >= plan_.sessions.size()) {
        for (std::size_t table = 0; table < survey_.tables.size(); ++table) {
          const auto rows = survey_.counts.at(owner, table);
          if (rows > 0) report.orphaned_records[survey_.tables[table]] += rows;
        }
        continue;
      }
      const auto& session = plan_.sessions[owner];
      SessionLine line{session.id,          session.created_at,        session.created,
                       session.directory(), take(session.directory()), {}};
      line.usage += take(staged(session.directory()));
      for (std::size_t table = 0; table < survey_.tables.size(); ++table) {
        line.records.push_back(survey_.counts.at(owner, table));
      }
      report.sessions.push_back(std::move(line));
    }
  }
  for (auto& orphan : orphans_) {
    orphan.usage = take(orphan.name);
    report.orphans.push_back(orphan);
  }
  report.total_bytes = result.exclusive_bytes + result.links.allocated_bytes();
  report.freed_bytes = result.going_bytes + result.links.freed_bytes();
  report.kept.sessions = plan_.sessions_seen - report.sessions.size();
  // A staged directory that a pass gives back stands under its own name then.
  std::set<std::string, std::less<>> staying(plan_.restores.begin(), plan_.restores.end());
  for (const auto& entry : listing_) {
    if (is_counted(entry)) staying.insert(entry.name);
  }
  std::erase_if(staying, [&](const std::string& name) { return going.contains(name); });
  report.kept.directories = staying.size();
  report.kept.allocated_bytes =
      result.exclusive_bytes - result.going_bytes + result.links.staying_bytes();
}

}  // namespace calib
