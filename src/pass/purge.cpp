#include "pass/purge.hpp"

#include <fmt/format.h>

#include <mutex>
#include <thread>

#include "uploads/open.hpp"

namespace calib {

Failure unmovable_failure(const UploadDir& uploads, const std::string& name,
                          const std::error_code& error, const std::string& owner) {
  const bool is_taken = error == std::errc::file_exists;
  std::string why = is_taken ? "something is staged under its name already, look into it"
                             : "it cannot be moved aside";
  std::string remedy;
  if (error == std::errc::cross_device_link && uploads.file_system() == FileSystem::overlay) {
    remedy =
        " (it stems from a lower layer of an overlay, an image say, and stays for ever; remove it "
        "with rm -rf, then the next pass deletes the records)";
  }
  return {uploads.path() + "/" + (is_taken ? uploads.staged_entry_of(name) : name),
          fmt::format("{}: {}{}; {} is left whole", why, error.message(), remedy, owner),
          ErrorKind::directory};
}

Failure unremovable_failure(const PathError& error, ErrorKind kind) {
  const bool is_read_only = error.error == std::errc::read_only_file_system;
  if (error.error == std::errc::text_file_busy) {
    return {error.path,
            "somebody has it open, so it is not freed yet; the next pass after it is closed "
            "removes it",
            kind};
  }
  return {error.path,
          fmt::format("it could not be removed: {}; {}", error.error.message(),
                      is_read_only ? "where it is a snapshot, remove that, else mount it writable"
                                   : "the next pass tries again"),
          kind};
}

unsigned first_removers(FileSystem file_system, unsigned processors) {
  if (!is_local(file_system)) return 8;
  return file_system != FileSystem::btrfs && processors > 1 ? 2 : 1;
}

Purger::Purger(const UploadDir& uploads, unsigned jobs, const Monitor& monitor)
    : uploads_(uploads),
      monitor_(monitor),
      workers_(jobs, monitor.stop,
               first_removers(uploads.file_system(), std::thread::hardware_concurrency())) {}

Purged Purger::purge(const std::vector<std::string>& entries, ErrorKind kind, const MayGo& may_go) {
  Purged purged;
  purged.gone.resize(entries.size());
  std::mutex mutex;
  const auto remove = [&](std::size_t i) -> std::uint64_t {
    if (may_go && !may_go(i)) return 0;
    const auto result = uploads_.purge(entries[i], links_, monitor_.stop);
    monitor_.progress.advance();
    const std::lock_guard lock(mutex);
    purged.freed_bytes += result.exclusive_bytes;
    const auto is_read_only = [](const PathError& error) {
      return error.error == std::errc::read_only_file_system;
    };
    if (result.errors.count_if(is_read_only) > 0) require_writable(uploads_);
    result.errors.add_to(purged.failures,
                         [&](const PathError& error) { return unremovable_failure(error, kind); });
    if (result.errors.empty() && !result.stopped) purged.gone[i] = result.usage;
    return result.usage.files + 1;
  };
  try {
    workers_.run(entries.size(), remove);
  } catch (...) {
    // Some are gone, whatever happened then: that must be told.
    purged.ended = std::current_exception();
  }
  return purged;
}

}  // namespace calib
