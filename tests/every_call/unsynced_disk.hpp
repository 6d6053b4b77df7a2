// What the disk holds while the kernel still has some of it in memory only: every state that a
// power loss may leave.
//
// The model is that of a local file system that keeps its own structure intact (a journal or copies
// on writing), and promises nothing that fsync(2) does not:
//
// - What was in a file when it was synced is there. Of each later write, each sector of 512 bytes
//   may be there or not; a file that grew may have its new size, and zeros.
// - A name that was made, renamed or removed is so, for good, once the directory is synced; before
//   that, each of these may have come to the disk or not, in whatever order. Syncing a file does
//   not save its name.
// - A rename is never half done, not from one directory to another either.
// - What cannot be without something earlier comes after it: two changes of one name, or of the
//   names of one inode; an entry after its directory; a removed directory after all that was taken
//   out of it.
//
// The folders with the database and with the uploads have no order between them, so this covers
// those on two file systems, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "every_call/disk_state.hpp"
#include "support/change_log.hpp"

namespace calib::test {

class UnsyncedDisk {
 public:
  /// A disk that has all of this.
  explicit UnsyncedDisk(const DiskState& synced);

  void apply(const Change& change);

  /// What stands there for whoever looks: all of it.
  [[nodiscard]] DiskState seen() const;

  /// How many of the states are visited: `few` are those with all and with none of what is not
  /// synced, in each of the two folders and in both; `many` adds each change of a name alone there,
  /// alone lost, and the last to be there, and some at random, with torn files.
  enum class Choice { few, many };
  /// Some may be visited more than once.
  void visit_states(Choice choice, std::uint64_t seed,
                    const std::function<void(const DiskState&, const std::string&)>& visit) const;

 private:
  using Entry = std::pair<std::size_t, std::string>;  // directory, name
  using Names = std::map<Entry, std::size_t>;         // -> node
  static constexpr std::size_t nothing = 0;           // the root has no name

  struct Write {
    std::uint64_t offset = 0;
    std::string data;
    bool cuts = false;  ///< or grows it: to the size `offset`
  };
  struct Node {
    bool is_directory = false;
    std::string synced;
    std::vector<Write> unsynced;
  };
  struct NameChange {
    std::vector<std::pair<Entry, std::size_t>> edits;  ///< to a node, or to nothing
    std::set<std::size_t> needs;                       ///< earlier ones, by number
    std::string text;
  };
  enum class Data { seen, synced, zeros, torn };
  using Chosen = std::set<std::size_t>;

  [[nodiscard]] Entry entry_of(const std::string& path) const;
  [[nodiscard]] std::size_t node_of(const std::string& path) const;
  std::size_t add_node(bool is_directory);
  void change_names(NameChange change);
  void sync(std::size_t node);
  void settle(const Chosen& chosen);
  [[nodiscard]] Chosen with_needs(Chosen chosen) const;
  [[nodiscard]] Chosen without(std::size_t lost) const;
  [[nodiscard]] Chosen in_folder(const std::string& folder) const;
  static void edit(Names& names, const NameChange& change);
  static void put(std::string& text, const Write& write);
  [[nodiscard]] static std::string content(const Node& node, Data data, std::mt19937_64& random);
  [[nodiscard]] DiskState state(const Chosen& chosen, const std::function<Data()>& data,
                                std::mt19937_64& random) const;

  std::vector<Node> nodes_;
  Names synced_;
  Names seen_;
  std::map<std::size_t, NameChange> unsynced_;  ///< by number, in order
  std::size_t next_number_ = 0;
  std::map<Entry, std::size_t> last_of_entry_;
  std::map<std::size_t, std::size_t> last_of_node_;
};

}  // namespace calib::test
