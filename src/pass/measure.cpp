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
  std::vector<Usage> usages;  ///< of each part; those at the end that have nothing may be missing
  std::uint64_t exclusive_bytes = 0;  ///< as TreeResult has them
  std::uint64_t going_bytes = 0;      ///< the part of it that goes
  // The same of inodes with several names.
  std::uint64_t linked_bytes = 0;
  std::uint64_t linked_bytes_freed = 0;
  std::uint64_t linked_bytes_staying = 0;
  Warnings warnings;
  [[nodiscard]] Usage usage_of(std::size_t part) const {
    return part < usages.size() ? usages[part] : Usage{};
  }
};

Measured walk(const UploadDir& uploads, const std::vector<Entry>& listing, const Parts& parts,
              unsigned jobs, const Monitor& monitor) {
  Measured result;
  HardLinks links;
  std::uint32_t count = 0;
  for (const auto part : parts) {
    if (part != stays) count = std::max(count, part + 1);
  }
  result.usages.resize(count);
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
      if (is_told(error)) result.warnings.push_back(text(error));
    }
    tree.errors.for_each_rest([&](const PathError& like, std::uint64_t left_out) {
      if (is_told(like)) result.warnings.leave_out(text(like), left_out);
    });
  };
  add(uploads.measure_top(links, monitor.stop), Fate::stays);
  std::vector<const Entry*> directories;
  for (const auto& entry : listing) {
    if (entry.kind == EntryKind::directory) directories.push_back(&entry);
  }
  std::sort(directories.begin(), directories.end(),
            [](const Entry* a, const Entry* b) { return a->inode < b->inode; });
  Workers(jobs, monitor.stop, first_readers).run(directories.size(), [&](std::size_t i) {
    monitor.progress.advance();
    const auto part = parts[static_cast<std::size_t>(directories[i] - listing.data())];
    const auto fate = part == stays ? Fate::stays : Fate::goes;
    const auto tree = uploads.measure(directories[i]->name, fate, links, monitor.stop);
    const std::lock_guard lock(mutex);
    if (fate == Fate::goes) result.usages[part] += tree.usage;
    add(tree, fate);
    return tree.usage.files + 1;
  });
  result.linked_bytes = links.allocated_bytes();
  result.linked_bytes_freed = links.freed_bytes();
  result.linked_bytes_staying = links.staying_bytes();
  return result;
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
  for (const auto& orphan : agenda.unclaimed.orphans) mark(orphan.name, part++);
  for (const auto& leftover : agenda.unclaimed.leftovers) mark(leftover, part);

  for (std::size_t i = 0; i < listing.size(); ++i) {
    if (is_counted(listing[i]) && (parts[i] == stays || agenda.over_limit)) ++kept_directories;
  }
  // A staged directory that a pass gives back stands under its own name then.
  for (auto name = aside.begin(); name != aside.end(); name = aside.upper_bound(name->first)) {
    const auto at = position(name->first);
    const auto entry = position(name->second);
    const bool goes = entry && parts[*entry] != stays && !agenda.over_limit;
    if (!goes && (!at || !is_counted(listing[*at]))) ++kept_directories;
  }
  return parts;
}

}  // namespace

std::uint64_t count_directories(const std::vector<Entry>& listing) {
  return static_cast<std::uint64_t>(std::count_if(listing.begin(), listing.end(), is_counted));
}

FolderUsage measure_folder(const UploadDir& uploads, const std::vector<Entry>& listing,
                           unsigned jobs, const Monitor& monitor) {
  const auto measured = walk(uploads, listing, Parts(listing.size(), stays), jobs, monitor);
  return {measured.exclusive_bytes + measured.linked_bytes, measured.warnings};
}

Preview preview(Agenda agenda, const UploadDir& uploads, unsigned jobs, const Monitor& monitor) {
  const auto& plan = agenda.plan;
  const auto& survey = agenda.survey;
  Preview result;
  const auto measured = [&] {
    // A million entries and as many lines of the report are too much at once.
    const auto listing = std::move(agenda.listing);
    const auto parts = parts_of(listing, agenda, result.kept.directories);
    return walk(uploads, listing, parts, jobs, monitor);
  }();
  throw_if_requested(monitor.stop);

  result.sessions.reserve(agenda.units.size());
  for (const auto& unit : agenda.units) {
    for (const auto owner : unit.owners) {
      if (owner >= plan.sessions.size()) {
        add_leaked(survey.tables, survey.counts, owner, result.orphaned_records);
        continue;
      }
      auto line = line_of(plan.sessions[owner], records_of(survey.tables, survey.counts, owner));
      line.usage = measured.usage_of(owner);
      result.sessions.push_back(std::move(line));
    }
  }
  auto part = plan.sessions.size();
  result.orphans = std::move(agenda.unclaimed.orphans);
  for (auto& orphan : result.orphans) orphan.usage = measured.usage_of(part++);
  result.total_bytes = measured.exclusive_bytes + measured.linked_bytes;
  result.freed_bytes = measured.going_bytes + measured.linked_bytes_freed;
  result.kept.sessions = plan.sessions_seen - result.sessions.size();
  result.kept.allocated_bytes =
      measured.exclusive_bytes - measured.going_bytes + measured.linked_bytes_staying;
  if (agenda.over_limit) {
    result.freed_bytes = 0;
    result.kept.sessions = plan.sessions_seen;
    result.kept.allocated_bytes = result.total_bytes;
  }
  result.warnings = measured.warnings;
  return result;
}

}  // namespace calib
