// What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: under clang,
// libFuzzer drives it (preset `fuzz`); everywhere else fuzz_replay.cpp does, with its corpus and
// the same mutations on every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

// The name and the signature are libFuzzer's: https://llvm.org/docs/LibFuzzer.html#fuzz-target
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace calib::test {

/// How many inputs got past the first door (were a time, named a directory, were a database). Where
/// there are few of them, the target tests nothing.
inline std::size_t fuzz_hits = 0;

inline std::string_view fuzz_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Ends the run where a promise is broken.
inline void require(bool holds, const std::string& promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise.c_str());
  std::abort();
}

}  // namespace calib::test
