// Sessions, and the rows that hang on them, as a pass sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/timestamp.hpp"
#include "model/usage.hpp"

namespace calib {

/// A row of `sessions` as it is read; the views end with the visit.
struct SessionRow {
  std::string_view id;      ///< raw bytes, whatever their type
  bool id_is_text = false;  ///< text, not empty, without a NUL: an id that the app could have made
  std::optional<std::string_view> created_at;  ///< where it is text
  std::optional<std::string_view> images_dir;  ///< where it is text without a NUL
  std::string_view claimed;                    ///< the raw bytes of images_dir, whatever their type
  /// Where id or images_dir is a BLOB that the database's encoding reads as another text.
  std::string_view id_as_text;
  std::string_view claimed_as_text;
  bool has_images_dir = false;    ///< whether the schema has the column
  std::uint64_t fingerprint = 0;  ///< of the three values and their types
};
using SessionVisitor = std::function<void(const SessionRow&)>;

/// Rows belong to owners: first the doomed sessions, in the order in which survey() got them, then
/// the keys of leaked records, in the order in which it returned them.
using OwnerIndex = std::uint32_t;

/// A doomed session, as the pass hands it to the store. The id must outlive the store's use of it.
struct DoomedKey {
  std::string_view id;
  std::uint64_t fingerprint = 0;
};

/// Why an owner may not go after all.
struct Refusal {
  enum class Reason {
    gone,     ///< its row is not there any more
    changed,  ///< its row is not the one that was planned with, or the leaked key is a session
              ///< again
    held      ///< a row that stays refers to it
  };
  OwnerIndex owner = 0;
  Reason reason = Reason::changed;
  std::string detail;  ///< held: the table and column, as `table.column`
};

std::vector<OwnerIndex> owners_of(std::span<const Refusal> refusals);

/// Of any value that is read: the app's keys and paths are short, and somebody else's must not fill
/// the memory.
inline constexpr int max_value_bytes = 1 << 24;

/// How many rows of each table hang on each owner. Dense: owners × tables.
class RecordCounts {
 public:
  RecordCounts() = default;
  RecordCounts(std::size_t owners, std::size_t tables) : tables_(tables), rows_(owners * tables) {}
  std::uint32_t& at(OwnerIndex owner, std::size_t table) { return rows_[owner * tables_ + table]; }
  [[nodiscard]] std::uint32_t at(OwnerIndex owner, std::size_t table) const {
    return rows_[owner * tables_ + table];
  }
  void clear(OwnerIndex owner) {
    for (std::size_t table = 0; table < tables_; ++table) at(owner, table) = 0;
  }
  /// Of all owners and tables.
  [[nodiscard]] std::uint64_t sum() const {
    return std::accumulate(rows_.begin(), rows_.end(), std::uint64_t{0});
  }
  void add_owners(std::size_t count) { rows_.resize(rows_.size() + count * tables_); }

 private:
  std::size_t tables_ = 0;
  std::vector<std::uint32_t> rows_;
};

/// Why a session stays.
enum class Stays {
  young,         ///< not old enough
  kept_by_name,  ///< by --keep
  undated,       ///< created_at is missing, or cannot be read
  future,        ///< created_at is later than now
  not_asked,     ///< nobody has asked for it: --orphans-only, --session
  left_whole     ///< something stands in the way, of which an error tells
};

/// A session that stays. There may be a million of them, so the texts are views.
struct KeptSession {
  std::string_view id;
  std::string_view created_at;  ///< as the database has it; empty where it is no text
  std::string_view directory;   ///< its name in the uploads folder; empty where it has none
  Stays why = Stays::young;
  Usage usage = {};

  /// Where created_at can be read.
  [[nodiscard]] std::optional<Instant> created() const { return parse_timestamp(created_at); }
};

enum class Leaked { left_alone, wanted };

/// Rows that name sessions, or what hangs on them, by a key whose meaning is not certain, or by
/// none. They stay, whatever goes.
struct Unplaced {
  struct Rows {
    OwnerIndex owner = 0;
    std::uint64_t count = 0;
  };
  std::string what;         ///< the column, and why: `images.session_id has no foreign key to …`
  std::string remedy;       ///< what mends it, as in `give it one`
  std::vector<Rows> going;  ///< rows of doomed sessions
  std::uint64_t gone = 0;   ///< rows of sessions that are not there any more
  std::uint64_t standing = 0;  ///< rows of sessions that stay, where that is worth telling
  std::uint64_t unclear = 0;   ///< rows that nobody can place
  std::string unread;          ///< why the rows could not be looked at; empty: they were
};

/// What a look at all rows found.
struct Survey {
  std::vector<std::string> tables;       ///< those that hold rows of sessions, without `sessions`
  std::vector<std::string> leaked_keys;  ///< distinct; owner index = number of doomed + position
  /// Rows of stereo pairs that go with an owner, though the other session of the pair stays.
  std::map<OwnerIndex, std::uint64_t> halved_pairs;
  RecordCounts counts;             ///< a row that hangs on two owners counts for the first
  std::vector<Refusal> refused;    ///< owners that may not go
  std::vector<Unplaced> unplaced;  ///< those with rows to tell of
};

}  // namespace calib
