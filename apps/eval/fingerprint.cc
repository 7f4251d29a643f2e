#include "eval/fingerprint.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>

#include "quantspec/error.h"

namespace quantspec::eval {
namespace {

constexpr uint64_t kSampleBytes = 64 << 10;
constexpr uint64_t kSamples = 256;
constexpr int kMostParts = 99999;  // names have five digits

}  // namespace

uint64_t HashBytes(std::string_view bytes, uint64_t hash) {
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3u;
  }
  return hash;
}

std::string HexHash(uint64_t hash) {
  char text[20];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

uint64_t HashFile(const std::string& path, uint64_t hash) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (!file || error) {
    throw Error(ErrorKind::kIo, path + ": cannot be read; is it a file, and may you read it?");
  }
  hash = HashBytes(std::to_string(size) + ":", hash);
  // The first sample begins with the file, the last one ends with it.
  const bool is_small = size <= kSampleBytes * kSamples;
  const uint64_t samples = is_small ? (size + kSampleBytes - 1) / kSampleBytes : kSamples;
  std::string sample;
  for (uint64_t i = 0; i < samples; ++i) {
    const uint64_t begin = is_small ? i * kSampleBytes : i * (size - kSampleBytes) / (kSamples - 1);
    sample.resize(std::min(kSampleBytes, size - begin));
    file.seekg(static_cast<std::streamoff>(begin));
    file.read(sample.data(), static_cast<std::streamsize>(sample.size()));
    if (!file) throw Error(ErrorKind::kIo, path + ": became shorter while it was read");
    hash = HashBytes(sample, hash);
  }
  return hash;
}

std::vector<std::string> PartsOfModel(const std::string& path) {
  static const std::regex ending("-([0-9]{5})-of-([0-9]{5})\\.gguf$");
  std::smatch match;
  if (!std::regex_search(path, match, ending)) return {path};
  const int count = std::atoi(match[2].str().c_str());
  const std::string stem = path.substr(0, static_cast<size_t>(match.position()));
  std::vector<std::string> parts;
  for (int part = 1; part <= std::min(count, kMostParts); ++part) {
    char number[16];
    std::snprintf(number, sizeof(number), "-%05d-of-", part);
    parts.push_back(stem + number + match[2].str() + ".gguf");
  }
  return parts.empty() ? std::vector<std::string>{path} : parts;
}

}  // namespace quantspec::eval
