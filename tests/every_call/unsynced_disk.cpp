#include "every_call/unsynced_disk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace calib::test {
namespace {

constexpr std::size_t sector = 512;
constexpr int random_states = 8;
constexpr std::size_t root = 0;

}  // namespace

UnsyncedDisk::UnsyncedDisk(const DiskState& synced) {
  add_node(true);
  // A directory sorts before what is in it.
  for (const auto& [path, text] : synced) {
    const bool is_directory = path.ends_with('/');
    const auto entry = entry_of(is_directory ? path.substr(0, path.size() - 1) : path);
    const auto node = add_node(is_directory);
    nodes_[node].synced = text;
    seen_[entry] = node;
  }
  synced_ = seen_;
}

std::size_t UnsyncedDisk::add_node(bool is_directory) {
  nodes_.push_back({is_directory, "", {}});
  return nodes_.size() - 1;
}

UnsyncedDisk::Entry UnsyncedDisk::entry_of(const std::string& path) const {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {root, path};
  return {node_of(path.substr(0, slash)), path.substr(slash + 1)};
}

std::size_t UnsyncedDisk::node_of(const std::string& path) const {
  if (path.empty()) return root;
  return seen_.at(entry_of(path));
}

void UnsyncedDisk::apply(const Change& change) {
  switch (change.kind) {
    case Change::Kind::open:
    case Change::Kind::mkdir: {
      const auto entry = entry_of(change.path);
      if (!seen_.contains(entry)) {
        const auto node = add_node(change.kind == Change::Kind::mkdir);
        change_names({{{entry, node}}, {}, "+" + change.path});
      } else if (change.size == 1) {
        nodes_[seen_.at(entry)].unsynced.push_back({0, "", true});
      }
      break;
    }
    case Change::Kind::write:
      nodes_[node_of(change.path)].unsynced.push_back({change.offset, change.data, false});
      break;
    case Change::Kind::size:
      nodes_[node_of(change.path)].unsynced.push_back({change.size, "", true});
      break;
    case Change::Kind::sync:
      sync(node_of(change.path));
      break;
    case Change::Kind::unlink:
    case Change::Kind::rmdir:
      change_names({{{entry_of(change.path), nothing}}, {}, "-" + change.path});
      break;
    case Change::Kind::rename:
      change_names(
          {{{entry_of(change.path), nothing}, {entry_of(change.other), node_of(change.path)}},
           {},
           change.path + "->" + change.other});
      break;
  }
}

void UnsyncedDisk::change_names(NameChange change) {
  const auto number = next_number_++;
  const auto need = [&](const auto& last, const auto& key) {
    if (const auto found = last.find(key); found != last.end()) change.needs.insert(found->second);
  };
  for (const auto& [entry, to] : change.edits) {
    const auto before = seen_.find(entry);
    const auto node = to != nothing ? to : before == seen_.end() ? nothing : before->second;
    if (node == nothing) throw std::runtime_error("it was not there: " + change.text);
    need(last_of_entry_, entry);
    need(last_of_node_, node);
    // The directory's own name: only where it is new is there nothing to put an entry in.
    for (const auto& [earlier, what] : unsynced_) {
      const bool made = what.edits.size() == 1 && what.edits.front().second == entry.first;
      const bool inside = to == nothing && nodes_[node].is_directory &&
                          std::any_of(what.edits.begin(), what.edits.end(),
                                      [&](const auto& other) { return other.first.first == node; });
      if (made || (inside && change.edits.size() == 1)) change.needs.insert(earlier);
    }
  }
  for (const auto& [entry, to] : change.edits) {
    if (to != nothing || change.edits.size() == 1) {
      last_of_node_[to != nothing ? to : seen_.at(entry)] = number;
    }
    last_of_entry_[entry] = number;
  }
  edit(seen_, change);
  unsynced_.emplace(number, std::move(change));
}

void UnsyncedDisk::sync(std::size_t node) {
  if (!nodes_[node].is_directory) {
    for (const auto& write : nodes_[node].unsynced) put(nodes_[node].synced, write);
    nodes_[node].unsynced.clear();
    return;
  }
  Chosen chosen;
  for (const auto& [number, change] : unsynced_) {
    const bool here = std::any_of(change.edits.begin(), change.edits.end(),
                                  [&](const auto& other) { return other.first.first == node; });
    if (here) chosen.insert(number);
  }
  settle(with_needs(chosen));
}

void UnsyncedDisk::settle(const Chosen& chosen) {
  for (const auto number : chosen) {
    edit(synced_, unsynced_.at(number));
    unsynced_.erase(number);
  }
}

UnsyncedDisk::Chosen UnsyncedDisk::with_needs(Chosen chosen) const {
  for (auto at = unsynced_.rbegin(); at != unsynced_.rend(); ++at) {
    if (!chosen.contains(at->first)) continue;
    for (const auto need : at->second.needs) {
      if (unsynced_.contains(need)) chosen.insert(need);
    }
  }
  return chosen;
}

UnsyncedDisk::Chosen UnsyncedDisk::without(std::size_t lost) const {
  Chosen chosen;
  for (const auto& [number, change] : unsynced_) {
    const auto is_there = [&](std::size_t need) {
      return chosen.contains(need) || !unsynced_.contains(need);
    };
    if (number == lost || !std::all_of(change.needs.begin(), change.needs.end(), is_there))
      continue;
    chosen.insert(number);
  }
  return chosen;
}

UnsyncedDisk::Chosen UnsyncedDisk::in_folder(const std::string& folder) const {
  Chosen chosen;
  for (const auto& [number, change] : unsynced_) {
    if (change.text.find(folder) != std::string::npos) chosen.insert(number);
  }
  return with_needs(chosen);
}

void UnsyncedDisk::edit(Names& names, const NameChange& change) {
  for (const auto& [entry, to] : change.edits) {
    if (to == nothing) {
      names.erase(entry);
    } else {
      names[entry] = to;
    }
  }
}

void UnsyncedDisk::put(std::string& text, const Write& write) {
  if (write.cuts) {
    text.resize(write.offset, '\0');
    return;
  }
  if (text.size() < write.offset + write.data.size()) {
    text.resize(write.offset + write.data.size(), '\0');
  }
  text.replace(write.offset, write.data.size(), write.data);
}

std::string UnsyncedDisk::content(const Node& node, Data data, std::mt19937_64& random) {
  auto text = node.synced;
  if (data == Data::synced || node.unsynced.empty()) return text;
  auto all = text;
  for (const auto& write : node.unsynced) put(all, write);
  if (data == Data::seen) return all;
  if (data == Data::torn) {
    for (const auto& write : node.unsynced) {
      if (write.cuts) {
        if (random() % 2 == 0) put(text, write);
        continue;
      }
      for (std::size_t at = 0; at < write.data.size();) {
        const auto size = std::min(sector - (write.offset + at) % sector, write.data.size() - at);
        if (random() % 2 == 0) put(text, {write.offset + at, write.data.substr(at, size), false});
        at += size;
      }
    }
    if (random() % 2 == 0) return text;
  }
  text.resize(all.size(), '\0');
  return text;
}

DiskState UnsyncedDisk::state(const Chosen& chosen, const std::function<Data()>& data,
                              std::mt19937_64& random) const {
  auto names = synced_;
  for (const auto number : chosen) edit(names, unsynced_.at(number));
  DiskState state;
  const std::function<void(std::size_t, const std::string&)> add = [&](std::size_t directory,
                                                                       const std::string& path) {
    for (auto at = names.lower_bound({directory, ""});
         at != names.end() && at->first.first == directory; ++at) {
      const auto& node = nodes_[at->second];
      const auto here = path + at->first.second;
      if (node.is_directory) {
        state.emplace(here + '/', "");
        add(at->second, here + '/');
      } else {
        state.emplace(here, content(node, node.unsynced.empty() ? Data::synced : data(), random));
      }
    }
  };
  add(root, "");
  return state;
}

DiskState UnsyncedDisk::seen() const {
  std::mt19937_64 unused;
  return state(
      without(next_number_), [] { return Data::seen; }, unused);
}

void UnsyncedDisk::visit_states(
    Choice choice, std::uint64_t seed,
    const std::function<void(const DiskState&, const std::string&)>& visit) const {
  std::mt19937_64 random(seed);
  const auto show = [&](const Chosen& chosen, Data data, const std::string& what) {
    visit(state(
              chosen, [&] { return data; }, random),
          what);
  };
  const auto everything = without(next_number_);
  const auto database = in_folder("backend/");
  const auto uploads = in_folder("uploads/");
  for (const auto data : {Data::seen, Data::synced, Data::zeros}) {
    if (data == Data::zeros && choice == Choice::few) return;
    show(everything, data, "all names");
    show({}, data, "no names");
    show(database, data, "the database's names");
    show(uploads, data, "the uploads' names");
  }
  if (choice == Choice::few) return;
  Chosen first;
  for (const auto& [number, change] : unsynced_) {
    first.insert(number);
    for (const auto data : {Data::seen, Data::synced}) {
      show(with_needs({number}), data, "only " + change.text);
      show(without(number), data, "all but " + change.text);
      show(first, data, "up to " + change.text);
    }
  }
  for (int i = 0; i < random_states; ++i) {
    Chosen chosen;
    for (const auto number : everything) {
      if (random() % 2 == 0) chosen.insert(number);
    }
    visit(state(
              with_needs(chosen), [&] { return static_cast<Data>(random() % 4); }, random),
          fmt::format("at random ({})", i));
  }
}

}  // namespace calib::test
