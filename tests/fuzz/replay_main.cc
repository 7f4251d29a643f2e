// Runs a fuzz target without libFuzzer: every file of a seed corpus, then mutations of them. The
// mutation with a given number is always the same, whatever ran before it.
//
//   X_replay CORPUS_DIR [MUTATIONS = 20000 [SECONDS = 5 [FIRST = 0]]]
//
// An input that ends the process is left in replay-crash.bin. SECONDS cuts the mutations short.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Sanitizers end the process without a signal.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

constexpr size_t kLargestInput = 1 << 16;

// The input that runs now, where a signal handler can find it.
const uint8_t* current_data = nullptr;
size_t current_size = 0;

void KeepCrash() {
  const int file = open("replay-crash.bin", O_CREAT | O_WRONLY | O_TRUNC, 0644);
  if (file < 0) return;
  const char text[] = "replay: the input that failed is in replay-crash.bin\n";
  if (write(file, current_data, current_size) >= 0 && write(2, text, sizeof(text) - 1) >= 0) {
    close(file);
  }
}

void OnSignal(int signal) {
  KeepCrash();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// From an allocation of exactly the input's size, so that a sanitizer sees an overread.
void RunTarget(const std::string& input) {
  const auto exact = std::make_unique<uint8_t[]>(input.size());
  std::copy(input.begin(), input.end(), exact.get());
  current_data = exact.get();
  current_size = input.size();
  LLVMFuzzerTestOneInput(exact.get(), input.size());
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& seeds, uint64_t number)
      : seeds_(seeds), number_(number) {}

  std::string Make() {
    std::string input = seeds_[Below(seeds_.size())];
    const size_t changes = 1 + Below(4);
    for (size_t i = 0; i < changes; ++i) Change(input);
    if (input.size() > kLargestInput) input.resize(kLargestInput);
    return input;
  }

 private:
  uint64_t Next() { return quantspec::RandomBits(1, number_, draws_++); }
  size_t Below(size_t n) { return n == 0 ? 0 : static_cast<size_t>(Next() % n); }

  void Change(std::string& input) {
    const size_t at = Below(input.size());
    switch (Below(8)) {
      case 0:
        if (!input.empty()) input[at] = static_cast<char>(input[at] ^ 1 << Below(8));
        return;
      case 1:
        if (!input.empty()) input[at] = static_cast<char>(Next());
        return;
      case 2:
        return OverwriteNumber(input, at);
      case 3:
        input.resize(at);
        return;
      case 4:
        input.erase(at, 1 + Below(16));
        return;
      case 5:
        input.insert(at, 1 + Below(16), static_cast<char>(Next()));
        return;
      case 6:  // a part of the same input elsewhere
        input.insert(Below(input.size() + 1), input.substr(at, 1 + Below(64)));
        return;
      default: {  // a part of another seed
        const std::string& other = seeds_[Below(seeds_.size())];
        const std::string part = other.substr(Below(other.size()), 1 + Below(64));
        input.replace(at, part.size(), part);
      }
    }
  }

  void OverwriteNumber(std::string& input, size_t at) {
    constexpr uint64_t kNumbers[] = {0,
                                     1,
                                     2,
                                     31,
                                     0x7F,
                                     0xFF,
                                     0x7FFF,
                                     0xFFFF,
                                     0x7FFFFFFF,
                                     0x80000000,
                                     0xFFFFFFFF,
                                     uint64_t{1} << 32,
                                     uint64_t{1} << 60,
                                     ~uint64_t{0} >> 1,
                                     uint64_t{1} << 63,
                                     ~uint64_t{0}};
    const uint64_t number = kNumbers[Below(std::size(kNumbers))];
    const size_t size = size_t{1} << Below(4);
    if (input.size() - at >= size) std::memcpy(input.data() + at, &number, size);
  }

  const std::vector<std::string>& seeds_;
  uint64_t number_;
  uint64_t draws_ = 0;
};

std::vector<std::string> ReadSeeds(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> seeds;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS_DIR [MUTATIONS [SECONDS [FIRST]]]\n", argv[0]);
    return 2;
  }
  const uint64_t mutations = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 20000;
  const double seconds = argc > 3 ? std::strtod(argv[3], nullptr) : 5;
  const uint64_t first = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 0;
  const std::vector<std::string> seeds = ReadSeeds(argv[1]);
  if (seeds.empty()) {
    std::fprintf(stderr, "%s holds no seeds: run tests/fuzz/make_corpus.py\n", argv[1]);
    return 1;
  }
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(KeepCrash);
  for (const int signal : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV}) {
    if (__sanitizer_set_death_callback == nullptr || signal == SIGABRT) {
      std::signal(signal, OnSignal);
    }
  }
  for (const std::string& seed : seeds) RunTarget(seed);
  const auto start = std::chrono::steady_clock::now();
  uint64_t done = 0;
  for (; done < mutations; ++done) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    if (passed.count() > seconds) break;
    RunTarget(Mutator(seeds, first + done).Make());
  }
  std::printf("%zu seeds and %llu mutations from number %llu on: no harm done\n", seeds.size(),
              static_cast<unsigned long long>(done), static_cast<unsigned long long>(first));
  return 0;
}
