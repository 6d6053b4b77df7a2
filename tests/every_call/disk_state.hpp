// What stands below a folder, byte by byte: what a process that dies leaves to the next one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace calib::test {

/// Path below the folder -> contents; the paths of directories end in `/`.
using DiskState = std::map<std::string, std::string>;

DiskState read_disk(const std::filesystem::path& folder);

/// Makes `folder` hold this and nothing else.
void write_disk(const DiskState& state, const std::filesystem::path& folder);

std::uint64_t hash_of(const DiskState& state);

/// The part below `path`, which ends in `/`, with paths from there.
DiskState below(const DiskState& state, const std::string& path);

}  // namespace calib::test
