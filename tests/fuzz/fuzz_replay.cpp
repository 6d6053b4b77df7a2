// Drives a fuzz target without libFuzzer:
//
//   fuzz_x CORPUS MUTATIONS LEAST_HITS   each file of the folder, then so many mutations of them
//   fuzz_x FILE...                       these inputs
//
// The mutations are the same on every run and on every machine. The input that ends the target is
// left in fuzz-input.bin, in the working directory.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

const Bytes* current = nullptr;

/// Only what may be called in a signal handler.
void keep_input(int signal) {
  const int fd = ::open("fuzz-input.bin", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd >= 0 && current != nullptr) {
    [[maybe_unused]] const auto written = ::write(fd, current->data(), current->size());
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

Bytes contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Mutator {
 public:
  explicit Mutator(std::vector<Bytes> corpus) : corpus_(std::move(corpus)) {}

  Bytes next() {
    Bytes bytes = corpus_[below(corpus_.size())];
    for (auto times = below(3); times < 3; ++times) mutate(bytes);
    return bytes;
  }

 private:
  // Not std::uniform_int_distribution, whose numbers differ between libraries.
  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }

  std::uint8_t any_byte() {
    constexpr std::string_view telling("\0\x01\x7f\x80\xff/.-+:TZ 0123456789", 23);
    const auto byte = below(2) == 0 ? random_() : std::uint64_t(telling[below(telling.size())]);
    return static_cast<std::uint8_t>(byte & 0xffU);
  }

  void mutate(Bytes& bytes) {
    const auto at = below(bytes.size());
    const auto position = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    // Mostly in place: what is moved about is soon no database at all.
    switch (below(bytes.empty() ? 1 : 12)) {
      case 0:
        bytes.insert(position, any_byte());
        break;
      case 1:
        bytes.erase(position);
        break;
      case 2: {  // a piece of it stands somewhere else, too
        const auto from = below(bytes.size());
        const auto size = std::min(bytes.size() - std::max(at, from), 1 + below(16));
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), size, position);
        break;
      }
      case 3: {  // goes on as another one
        const auto& other = corpus_[below(corpus_.size())];
        if (at >= other.size()) break;
        bytes.resize(at);
        bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(at), other.end());
        break;
      }
      case 4:
      case 5:
      case 6:
        bytes[at] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      default:
        bytes[at] = any_byte();
    }
  }

  std::vector<Bytes> corpus_;
  std::mt19937_64 random_{20251014};
};

void run(const Bytes& bytes) {
  current = &bytes;
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  current = nullptr;
}

std::vector<Bytes> corpus_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Bytes> corpus;
  std::transform(files.begin(), files.end(), std::back_inserter(corpus), contents);
  return corpus;
}

}  // namespace

int main(int argc, char** argv) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, keep_input);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() != 3 || !fs::is_directory(arguments.front())) {
    for (const auto& file : arguments) run(contents(file));
    return arguments.empty() ? 2 : 0;
  }
  const auto corpus = corpus_in(arguments.front());
  if (corpus.empty()) return 2;
  for (const auto& bytes : corpus) run(bytes);
  Mutator mutator(corpus);
  const auto mutations = std::stoul(arguments[1]);
  for (std::size_t i = 0; i < mutations; ++i) run(mutator.next());
  const auto hits = calib::test::fuzz_hits;
  std::printf("%zu inputs, %zu of them in depth\n", corpus.size() + mutations, hits);
  return hits < std::stoul(arguments[2]) ? 1 : 0;
}
