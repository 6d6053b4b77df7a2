// Decides what goes. Pure: from the folder's listing, the sessions, the rules and the time; no
// input or output, no clock. A dry run stops at the plan, so the two cannot drift apart.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/few.hpp"
#include "base/text_pool.hpp"
#include "base/timestamp.hpp"
#include "model/entry.hpp"
#include "model/options.hpp"
#include "model/report.hpp"
#include "model/session.hpp"
#include "plan/claims.hpp"
#include "plan/sorted_index.hpp"
#include "webapp/images_dir.hpp"

namespace calib {

struct Rules {
  Mode mode = Mode::expired;
  Instant now;
  Instant cutoff;                     ///< mode expired: created before this
  std::vector<std::string> sessions;  ///< mode named: these ids
  Named database_named = Named::no;
  std::string uploads;         ///< the folder's path, for messages
  std::string database;        ///< what may be printed of the database
  bool uploads_named = false;  ///< the folder is the right one, whatever stands in it
  std::string mark = {};       ///< in the names of what its passes stage; may be empty
  bool again = false;  ///< mode named: they were there, and who is gone by now is no failure
  std::vector<std::string> keep = {};  ///< mode expired: these ids, in lower case, stay
  bool proven = false;                 ///< a pass right before this one has found the folder
                                       ///< proven, and may have deleted the last session
  bool audits = false;                 ///< to list what stays, too
};

/// A session that is to go. There may be a million of them, so the texts are views.
struct DoomedSession {
  std::string_view id;
  std::string_view created_at;  ///< as the database has it
  std::string_view directory;   ///< its name in the uploads folder
  std::uint64_t fingerprint = 0;
  std::uint32_t unit = 0;  ///< sessions that share a directory share a unit: they go together
};

/// The same of one that stays after all, for something stands in the way.
KeptSession kept_of(const DoomedSession& session);

struct Plan {
  TextPool texts;                       ///< what the views in `sessions` show
  std::vector<DoomedSession> sessions;  ///< as the database lists them, units kept together
  std::vector<KeptSession> kept;        ///< those that stay, where that is asked for
  std::vector<std::string> orphans;     ///< directories that no session claims
  std::vector<std::string> leftovers;   ///< staged directories of sessions that are gone
  std::vector<std::string> restores;    ///< those of sessions that stand, our own before others'
  std::uint64_t sessions_seen = 0;
  bool proven = false;             ///< the folder is this database's
  std::uint64_t kept_by_name = 0;  ///< sessions that are to be kept, and are there
  std::vector<std::string> warnings;
  std::vector<Failure> failures;
};

/// For a name, the entries of the folder through which looking it up leads (UploadDir::way_of).
using Ways = std::map<std::string, std::vector<Entry>, std::less<>>;

class Planner {
 public:
  /// `listing` and `mounts` (names with something mounted at or below them) were read before the
  /// first session is. `in_use` are names that hold the database or the app itself: they stay.
  Planner(Rules rules, FolderSpellings folder, const std::vector<Entry>& listing,
          const std::vector<std::string>& mounts, const std::vector<std::string>& in_use = {});

  /// Every session of the database, in its order; one twice is taken once more into account.
  void add(const SessionRow& row);

  /// After the last session: the names of which the folder has to be asked where they lead. Those
  /// are claimed entries that are links, and claimed names without an entry where a file system
  /// that folds more than ASCII case may take another one for it.
  [[nodiscard]] const std::set<std::string, std::less<>>& names_to_follow() const {
    return to_follow_;
  }

  /// Of sessions that stay, what their images_dir reads where it names no directory of the folder:
  /// by links it may lead into one.
  [[nodiscard]] const std::set<std::string, std::less<>>& paths_to_follow() const {
    return paths_to_follow_;
  }
  /// What one of these leads through: nobody may have it.
  void claim(const std::vector<Entry>& way);

  /// Once, after that, with what the folder answered. `read_until` is when the last one was read:
  /// sessions that are dated later than that are from the future, those between `now` and then are
  /// just uploaded.
  Plan finish(Instant read_until, const Ways& ways);

 private:
  [[nodiscard]] std::optional<std::string> directory_of(const SessionRow& row) const;
  std::optional<Stays> why_not_due(const SessionRow& row, const std::optional<Instant>& created);
  [[nodiscard]] std::optional<Failure> obstacle(const SessionRow& row,
                                                const std::optional<std::string>& name) const;
  void note_proof(const std::optional<std::string>& name);
  [[nodiscard]] std::span<const std::uint64_t> claims_of(std::size_t candidate) const;
  void refuse(std::size_t candidate);
  void keep(const SessionRow& row);
  void list_kept(const SessionRow& row, const std::optional<std::string>& name, Stays why);
  void note_names_to_follow(const SessionRow& row);
  [[nodiscard]] const Entry* other_spelling_of(const Entry& passed) const;
  [[nodiscard]] std::vector<std::uint64_t> claims_on(const std::vector<Entry>& way) const;
  void claim_along(const Ways& ways);
  void refuse_other_spellings(const Ways& ways);
  void refuse_twins();
  void refuse_partly_named();
  [[nodiscard]] bool is_common_parent(std::uint64_t hash) const;
  void protect_shared_directories();
  void unite_sharers();
  void form_units(Plan& plan);
  void choose_directories(Plan& plan);
  [[nodiscard]] bool may_remove(std::string_view name) const;
  void choose_staged(const Entry& entry, Plan& plan);
  void choose_orphan(const Entry& entry, Plan& plan);
  [[nodiscard]] bool is_in_the_way(const Entry& entry, Plan& plan) const;
  void note_left(Plan& plan) const;
  /// What there is to say of one that was asked for by name.
  [[nodiscard]] std::string no_such_session(const std::string& id) const;
  void leave_all_where_nothing_is_proven();
  [[nodiscard]] Failure left_for_lack_of_proof() const;
  [[nodiscard]] Failure left_unproven(const Few<std::string>& entries) const;
  [[nodiscard]] std::string in_folder(std::string_view name) const;

  Rules rules_;
  FolderSpellings folder_;
  EntriesByName entries_;
  std::set<std::string, std::less<>> mounts_;
  std::set<std::string, std::less<>> in_use_;
  std::unordered_multimap<std::uint64_t, std::string> links_;  ///< of the folder, by folded hash
  bool has_odd_names_ = false;  ///< some directory's name is not all ASCII
  std::set<std::string, std::less<>> to_follow_;
  std::set<std::string, std::less<>> paths_to_follow_;
  /// What images_dir values name on the way to their last component, and how many do.
  std::unordered_map<std::uint64_t, std::uint64_t> parents_;
  std::set<std::string, std::less<>> wanted_;  ///< mode named: ids not met yet
  std::set<std::string, std::less<>> keep_;    ///< mode expired
  std::set<std::string, std::less<>> unmet_;   ///< those of `keep_` that were not met yet
  TextPool texts_;
  std::vector<DoomedSession> candidates_;
  std::vector<KeptSession> kept_;
  std::vector<std::uint64_t> claims_;     ///< of the candidates, one after the other
  std::vector<std::size_t> claims_ends_;  ///< for each candidate: where its own end
  std::vector<bool> refused_;             ///< for each candidate
  Claims survivors_;
  std::vector<Failure> failures_;
  std::uint64_t seen_ = 0;
  std::vector<std::uint64_t> kept_ids_;  ///< exact hashes
  struct Future {
    Instant created;
    std::string shown;  ///< of the first few
  };
  std::vector<Future> future_;          ///< created_at later than `now`
  std::vector<std::string> odd_dates_;  ///< the first few that are missing or cannot be read
  std::uint64_t undated_ = 0;           ///< created_at missing, unreadable or in the future
  Few<std::string> unproven_;           ///< entries that may be another database's
  Few<std::string> foreign_;            ///< entries that another database's pass has staged
  std::uint64_t left_whole_ = 0;        ///< expired sessions, where nothing proves the folder
  bool proven_ = false;  ///< the directory of at least one session stands in the folder
};

}  // namespace calib
