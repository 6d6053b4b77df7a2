#include "pass/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/joined_thread.hpp"
#include "base/parallel.hpp"
#include "plan/sorted_index.hpp"

namespace calib {
namespace {

// Two that only read are in each other's way nowhere, and a short walk is over before a rate is
// known.
constexpr unsigned first_readers = 2;

/// Whose the entries of a listing are: of the planned sessions, of the orphans, of all leftovers
/// together, of the orphans that are spared, and of the sessions that stay, in that order.
struct Parts {
  static constexpr auto nobody = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> of_entry;
  std::vector<bool> goes;            ///< each part but the last ones
  std::span<KeptSession> kept = {};  ///< these, which are told what they occupy

  [[nodiscard]] bool does_go(std::size_t entry) const {
    return of_entry[entry] < goes.size() && goes[of_entry[entry]];
  }
};

/// What walking the directories of a folder came to.
struct Measured {
  Usage unclaimed;  ///< of directories that are nobody's; hidden ones left out
  std::uint64_t unclaimed_count = 0;
  std::vector<Usage> usages;  ///< of each part but those of sessions that stay
  Directories staged{0, 0};
  std::uint64_t exclusive_bytes = 0;  ///< as TreeResult has them
  std::uint64_t going_bytes = 0;      ///< the part of it that goes
  // The same of inodes with several names.
  std::uint64_t linked_bytes = 0;
  std::uint64_t linked_bytes_freed = 0;
  std::uint64_t linked_bytes_staying = 0;
  Warnings warnings;
};

bool is_counted(const Entry& entry) {
  return entry.kind == EntryKind::directory && !entry.name.starts_with('.');
}

Measured walk(const UploadDir& uploads, const std::vector<Entry>& listing, const Parts& parts,
              unsigned jobs, const Monitor& monitor) {
  Measured result;
  HardLinks links;
  result.usages.resize(parts.goes.size());
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
    const auto entry = static_cast<std::size_t>(directories[i] - listing.data());
    const auto fate = parts.does_go(entry) ? Fate::goes : Fate::stays;
    const auto tree = uploads.measure(directories[i]->name, fate, links, monitor.stop);
    const std::lock_guard lock(mutex);
    const auto part = parts.of_entry[entry];
    if (part < result.usages.size()) {
      result.usages[part] += tree.usage;
    } else if (part == Parts::nobody) {
      if (is_counted(*directories[i]) && directories[i]->name != "lost+found") {
        result.unclaimed += tree.usage;
        ++result.unclaimed_count;
      }
    } else {
      parts.kept[part - result.usages.size()].usage += tree.usage;
    }
    if (parse_staged(directories[i]->name)) {
      ++result.staged.count;
      *result.staged.allocated_bytes += tree.usage.allocated_bytes;
    }
    add(tree, fate);
    return tree.usage.files + 1;
  });
  result.linked_bytes = links.allocated_bytes();
  result.linked_bytes_freed = links.freed_bytes();
  result.linked_bytes_staying = links.staying_bytes();
  return result;
}

/// Which of the planned sessions are still to go.
std::vector<bool> going_of(const Agenda& agenda) {
  std::vector<bool> going(agenda.plan.sessions.size());
  for (const auto& unit : agenda.units) {
    for (const auto owner : unit.owners) {
      if (owner < going.size()) going[owner] = true;
    }
  }
  return going;
}

/// `entries` are those of `listing`.
Parts parts_of(const std::vector<Entry>& listing, const EntriesByName& entries,
               const Agenda& agenda, std::span<KeptSession> kept) {
  Parts parts;
  parts.of_entry.assign(listing.size(), Parts::nobody);
  parts.kept = kept;
  std::uint32_t next = 0;
  const auto mark = [&](std::string_view name) {
    const auto* entry = entries.find(name);
    if (entry == nullptr) return;
    // Where sessions share a directory, the first one has its size.
    auto& part = parts.of_entry[static_cast<std::size_t>(entry - listing.data())];
    if (part == Parts::nobody) part = next;
  };
  std::multimap<std::string_view, std::string_view> aside;
  for (const auto& entry : agenda.plan.restores) aside.emplace(parse_staged(entry)->name, entry);
  const auto mark_session = [&](std::string_view directory) {
    if (directory.empty()) return;
    mark(directory);
    const auto [first, last] = aside.equal_range(directory);
    for (auto entry = first; entry != last; ++entry) mark(entry->second);
  };
  const auto end_part = [&](bool goes) {
    parts.goes.push_back(goes);
    ++next;
  };
  const auto going = going_of(agenda);
  for (std::size_t i = 0; i < going.size(); ++i) {
    if (going[i]) mark_session(agenda.plan.sessions[i].directory);
    end_part(going[i]);
  }
  for (const auto& orphan : agenda.unclaimed.orphans) {
    mark(orphan.name);
    end_part(true);
  }
  for (const auto& leftover : agenda.unclaimed.leftovers) mark(leftover);
  end_part(true);
  for (const auto& orphan : agenda.spared) {
    mark(orphan.name);
    end_part(false);
  }
  for (const auto& session : kept) {
    mark_session(session.directory);
    ++next;
  }
  return parts;
}

/// The directories that stand in the folder after a pass.
std::uint64_t count_staying(const std::vector<Entry>& listing, const EntriesByName& entries,
                            const Agenda& agenda, const Parts& parts) {
  const auto does_go = [&](const Entry* entry) {
    return !agenda.over_limit && parts.does_go(static_cast<std::size_t>(entry - listing.data()));
  };
  std::uint64_t count = 0;
  for (const auto& entry : listing) {
    if (is_counted(entry) && !does_go(&entry)) ++count;
  }
  // A staged directory that a pass gives back stands under its own name then.
  std::map<std::string_view, std::string_view> aside;
  for (const auto& entry : agenda.plan.restores) aside.emplace(parse_staged(entry)->name, entry);
  for (const auto& [name, staged] : aside) {
    const auto* at = entries.find(name);
    const auto* entry = entries.find(staged);
    const bool goes = entry != nullptr && does_go(entry);
    if (!goes && (at == nullptr || !is_counted(*at))) ++count;
  }
  return count;
}

}  // namespace

std::uint64_t count_directories(const std::vector<Entry>& listing) {
  return static_cast<std::uint64_t>(std::count_if(listing.begin(), listing.end(), is_counted));
}

FolderUsage measure_folder(const UploadDir& uploads, const std::vector<Entry>& listing,
                           unsigned jobs, const Monitor& monitor) {
  Parts parts;
  parts.of_entry.assign(listing.size(), Parts::nobody);
  const auto measured = walk(uploads, listing, parts, jobs, monitor);
  return {measured.exclusive_bytes + measured.linked_bytes, measured.warnings};
}

std::vector<std::string> staged_in(const std::vector<Entry>& listing) {
  std::vector<std::string> staged;
  for (const auto& entry : listing) {
    if (entry.kind == EntryKind::directory && parse_staged(entry.name))
      staged.push_back(entry.name);
  }
  return staged;
}

Directories measure_within(std::chrono::milliseconds time, const UploadDir& uploads,
                           const std::vector<std::string>& names) {
  Directories result{names.size(), std::nullopt};
  if (names.empty()) {
    result.allocated_bytes = 0;
    return result;
  }
  StopFlag over;
  std::optional<PausingThread> clock;
  try {
    clock.emplace([&](Pause& pause) {
      if (pause.wait(time)) over.request(SIGALRM);
    });
  } catch (const std::system_error&) {
    return result;  // the system gives no thread: who would end it in time?
  }
  HardLinks links;
  std::uint64_t bytes = 0;
  for (const auto& name : names) {
    if (over.requested()) break;
    bytes += uploads.measure(name, Fate::stays, links, over).exclusive_bytes;
  }
  if (!over.requested()) result.allocated_bytes = bytes + links.allocated_bytes();
  return result;
}

Preview preview(Agenda agenda, const UploadDir& uploads, unsigned jobs, const Monitor& monitor) {
  const auto& plan = agenda.plan;
  const auto& survey = agenda.survey;
  Preview result;
  auto& kept = result.kept_sessions;
  kept = std::move(agenda.plan.kept);
  const auto going = going_of(agenda);
  for (std::size_t i = 0; i < going.size(); ++i) {
    if (!going[i]) kept.push_back(kept_of(plan.sessions[i]));
  }
  const auto measured = [&] {
    // A million entries and as many lines of the report are too much at once.
    const auto listing = std::move(agenda.listing);
    Parts parts;
    {
      const EntriesByName entries(listing);
      parts = parts_of(listing, entries, agenda, kept);
      result.kept.directories = count_staying(listing, entries, agenda, parts);
    }
    return walk(uploads, listing, parts, jobs, monitor);
  }();
  throw_if_requested(monitor.stop);

  result.sessions.reserve(agenda.units.size());
  for (const auto& unit : agenda.units) {
    for (const auto owner : unit.owners) {
      if (const auto pairs = survey.halved_pairs.find(owner); pairs != survey.halved_pairs.end()) {
        result.halved_pairs += pairs->second;
      }
      if (owner >= plan.sessions.size()) {
        add_leaked(survey.tables, survey.counts, owner, result.orphaned_records);
        continue;
      }
      auto line = line_of(plan.sessions[owner], records_of(survey.tables, survey.counts, owner));
      line.usage = measured.usages[owner];
      result.sessions.push_back(std::move(line));
    }
  }
  auto part = plan.sessions.size();
  result.orphans = std::move(agenda.unclaimed.orphans);
  for (auto& orphan : result.orphans) orphan.usage = measured.usages[part++];
  result.leftovers = measured.usages[part++];
  result.spared = std::move(agenda.spared);
  result.staged = measured.staged;
  result.unclaimed_kept = measured.unclaimed;
  result.unclaimed_kept_count = measured.unclaimed_count + result.spared.size();
  for (auto& orphan : result.spared) {
    orphan.usage = measured.usages[part++];
    result.unclaimed_kept += orphan.usage;
  }
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
